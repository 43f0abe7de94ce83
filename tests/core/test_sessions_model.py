"""Sessions under everything that can happen to them, against an oracle that knows only what was promised.

Clients of every version publish, subscribe, vanish, come back, take each other's place; the broker is killed, its
disk is full, its commits and reads are slow. Promised is: what was acknowledged at QoS 1 or 2 reaches every lasting
session that was subscribed (one member of a shared subscription), QoS 2 once, in order of publication; nobody gets
what it never asked for; nothing is left behind in the store when all is delivered.
"""

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mombroker.core import Limits
from mombroker.mqtt.topics import matches

from .world import FOREVER, World

VERSIONS = (5, 4, 5, 3)
NAMES = tuple(f"c{index}" for index in range(len(VERSIONS)))
TOPICS = ("a/1", "a/2", "b", "s/1")
FILTERS = ("a/#", "a/1", "+/2", "b")
SHARED = "$share/g/s/#"
WHO = st.integers(0, len(VERSIONS) - 1)


class Sessions(RuleBasedStateMachine):
    """The world, and what it owes."""

    @initialize(
        inflight=st.sampled_from([1, 3, 100]),
        window=st.sampled_from([1, 2, 50]),
        wanted=st.lists(st.tuples(WHO, st.sampled_from((*FILTERS, SHARED)), st.integers(1, 2)), min_size=2, max_size=5),
    )
    def begin(self, inflight: int, window: int, wanted: list[tuple[int, str, int]]) -> None:
        self.window = window
        self.world = World(Limits(sys_interval=0, max_inflight=inflight, receive_maximum=1000))
        self.clients = [self.world.client(name, version) for name, version in zip(NAMES, VERSIONS, strict=True)]
        self.lasting = [False] * len(VERSIONS)
        self.granted: list[dict[str, int]] = [{} for _ in VERSIONS]
        self.ever: list[set[str]] = [set() for _ in VERSIONS]
        self.owed: list[set[str]] = [set() for _ in VERSIONS]
        self.owed_to_group: set[str] = set()
        self.sent: dict[tuple[int, int], tuple[str, list[int], bool]] = {}
        self.number = 0
        self.was_full = False
        self.group_got: Counter[str] = Counter()
        for who in range(len(VERSIONS)):
            self.connect(who, True, True, False)
        for who, filter, qos in wanted:
            self.subscribe(who, filter, qos)

    def settle_down(self) -> None:
        """Let the disk have room and everything held go on."""
        world = self.world
        world.full = False
        world.hold_commits = world.hold_reads = False
        world.run()
        world.advance(2)
        self.collect()

    def connected(self, who: int) -> bool:
        client = self.clients[who]
        return client.connection is not None and client.connack is not None and not client.closed

    def forget(self, who: int) -> None:
        """The session is over: what it was owed is not owed any more, nor what it may have had of the group."""
        self.note(who)
        self.owed[who].clear()
        if SHARED in self.granted[who]:
            self.owed_to_group.clear()
        self.granted[who].clear()
        self.ever[who].clear()
        self.clients[who].got.clear()
        for key, (text, entitled, group) in list(self.sent.items()):
            self.sent[key] = (text, [other for other in entitled if other != who], group and bool(self.members()))
        for key in [key for key in self.sent if key[0] == who]:
            del self.sent[key]

    def members(self) -> list[int]:
        return [who for who in range(len(VERSIONS)) if SHARED in self.granted[who]]

    # -- what clients do

    @rule(who=WHO, takeover=st.booleans())
    def come_back(self, who: int, takeover: bool) -> None:
        self.connect(who, True, False, takeover)

    @rule(who=WHO, lasting=st.booleans(), clean=st.booleans(), takeover=st.booleans())
    def connect(self, who: int, lasting: bool, clean: bool, takeover: bool) -> None:
        self.settle_down()
        client = self.clients[who]
        if client.version != 5:
            clean = not lasting
        fields: dict[str, Any] = {"receive_maximum": self.window} if client.version == 5 else {}
        if client.version == 5 and lasting:
            fields["session_expiry"] = FOREVER
        had = self.lasting[who]
        client.auto = True
        if client.connection is None:
            takeover = False
        if clean or not had:
            self.forget(who)
        client.connect(clean=clean, takeover=takeover, **fields)
        self.settle_down()
        connack = client.connack
        assert connack is not None and connack.reason == 0
        if client.version != 3:
            assert connack.session_present == (had and not clean)
        self.lasting[who] = lasting
        if clean or not had:
            client.got.clear()

    @rule(who=WHO, orderly=st.booleans())
    def leave(self, who: int, orderly: bool) -> None:
        client = self.clients[who]
        if orderly and self.connected(who):
            client.disconnect()
        else:
            client.cut()
        self.collect()
        if not self.lasting[who]:
            self.forget(who)

    @rule(who=WHO)
    def stop_acknowledging(self, who: int) -> None:
        self.clients[who].auto = False

    @rule(who=WHO, filter=st.sampled_from(FILTERS + (SHARED,)), qos=st.integers(0, 2))
    def subscribe(self, who: int, filter: str, qos: int) -> None:
        if not self.connected(who) or filter == SHARED and not self.lasting[who]:
            return
        self.settle_down()
        if self.clients[who].version != 5 and filter == SHARED:
            qos = 2
        assert self.clients[who].subscribe(filter, qos=qos) == [qos]
        self.granted[who][filter] = qos
        self.ever[who].add(filter.removeprefix("$share/g/"))
        self.owe_no_more(who, filter)

    @rule(who=WHO, filter=st.sampled_from(FILTERS + (SHARED,)))
    def unsubscribe(self, who: int, filter: str) -> None:
        if not self.connected(who):
            return
        self.settle_down()
        self.clients[who].unsubscribe(filter)
        if self.granted[who].pop(filter, None) is None:
            return
        self.owe_no_more(who, filter)

    def owe_no_more(self, who: int, filter: str) -> None:
        """A subscription has gone, or is another one now."""
        self.owed[who] = {text for text in self.owed[who] if not self.is_for(filter, text)}
        if filter == SHARED:
            self.owed_to_group.clear()
            self.sent = {key: (text, entitled, False) for key, (text, entitled, _) in self.sent.items()}
        for key, (text, entitled, group) in list(self.sent.items()):
            if self.is_for(filter, text):
                self.sent[key] = (text, [other for other in entitled if other != who], group)

    def is_for(self, filter: str, text: str) -> bool:
        return matches(filter, text.split("|")[1])

    @rule(
        who=WHO,
        messages=st.lists(
            st.tuples(st.sampled_from(TOPICS), st.sampled_from([0, 1, 1, 2, 2, 2]), st.sampled_from([0, 0, 400])),
            min_size=1,
            max_size=5,
        ),
    )
    def publish_some(self, who: int, messages: list[tuple[str, int, int]]) -> None:
        for topic, qos, size in messages:
            self.publish(who, topic, qos, size)

    def publish(self, who: int, topic: str, qos: int, size: int) -> None:
        client = self.clients[who]
        if not self.connected(who):
            return
        self.number += 1
        text = f"{self.number}|{topic}|{who}|{qos}|" + "x" * size
        entitled = [
            other
            for other in range(len(VERSIONS))
            if self.lasting[other]
            and any(qos and given and matches(filter, topic) for filter, given in self.plain(other))
        ]
        group = topic == "s/1" and bool(self.members()) and all(self.granted[who][SHARED] for who in self.members())
        packet_id = client.publish(topic, text, qos, run=False)
        if qos:
            self.sent[(who, packet_id)] = (text, entitled, group)

    def plain(self, who: int) -> list[tuple[str, int]]:
        return [(filter, qos) for filter, qos in self.granted[who].items() if filter != SHARED]

    # -- what the world does

    @rule(steps=st.integers(1, 8))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.world._step()

    @rule()
    def come_to_rest(self) -> None:
        self.world.run()

    @rule(commits=st.booleans(), reads=st.booleans())
    def hold(self, commits: bool, reads: bool) -> None:
        self.world.hold_commits = commits
        self.world.hold_reads = reads

    @precondition(lambda self: self.world.unit is not None)
    @rule()
    def commit(self) -> None:
        self.world._finish_commit()

    @precondition(lambda self: self.world.reads)
    @rule()
    def read(self) -> None:
        self.world.reads.pop(0)()

    @rule()
    def fill_the_disk(self) -> None:
        self.world.full = self.was_full = True  # a publish that was refused and tried again comes out of order

    @rule(after_write=st.booleans())
    def crash(self, after_write: bool) -> None:
        self.collect()
        if after_write and self.world.full:
            after_write = False
        self.world.crash(after_write)
        for who in range(len(VERSIONS)):
            if not self.lasting[who]:
                self.forget(who)

    # -- what is checked

    def note(self, who: int) -> None:
        client = self.clients[who]
        if SHARED in self.granted[who]:
            self.group_got.update(got.payload.decode() for got in client.got if got.topic == "s/1")

    def collect(self) -> None:
        """Turn acknowledged publishes into what is owed."""
        for (who, packet_id), (text, entitled, group) in list(self.sent.items()):
            result = self.clients[who].results.pop(packet_id, None)
            if result is None:
                continue
            del self.sent[(who, packet_id)]
            if result < 0x80:
                for other in entitled:
                    self.owed[other].add(text)
                if group:
                    self.owed_to_group.add(text)

    @invariant()
    def nobody_gets_what_is_not_for_them(self) -> None:
        if not hasattr(self, "world"):
            return
        self.collect()
        assert not self.world.log.errors
        of_group = Counter(
            got.payload for client in self.clients for got in client.got if got.topic == "s/1" and got.qos == 2
        )
        assert all(count == 1 for count in of_group.values()), f"the group got {of_group}"
        for who, client in enumerate(self.clients):
            seen: Counter[str] = Counter()
            twice: Counter[str] = Counter()
            last: dict[tuple[str, str, int], int] = {}
            for got in client.got:
                text = got.payload.decode()
                number, topic, publisher, qos, _ = text.split("|")
                assert any(matches(filter, topic) for filter in self.ever[who])
                seen[text] += 1
                if got.qos == 2:
                    twice[text] += 1
                    assert qos == "2" and twice[text] == 1, f"{client.client_id} got {text} twice"
                if seen[text] == 1 and topic != "s/1" and not self.was_full:
                    key = (topic, publisher, got.qos)
                    assert last.get(key, 0) < int(number), f"{client.client_id} got {text} out of order"
                    last[key] = int(number)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        self.settle_down()
        for who, client in enumerate(self.clients):
            client.auto = True
            if self.lasting[who]:
                fields: dict[str, Any] = {"session_expiry": FOREVER} if client.version == 5 else {}
                client.connect(clean=False, **fields)
            else:
                # What another client publishes from now on is not owed to it any more.
                self.leave(who, orderly=False)
            self.settle_down()
        self.settle_down()
        self.nobody_gets_what_is_not_for_them()
        for who, client in enumerate(self.clients):
            got = {got.payload.decode() for got in client.got}
            assert self.owed[who] <= got, f"{client.client_id} misses {self.owed[who] - got}"
            self.note(who)
        assert self.owed_to_group <= set(self.group_got), f"the group misses {self.owed_to_group - set(self.group_got)}"
        for queue in world.engine.queues_by_id.values():
            assert (queue.count, queue.bytes) == (0, 0), f"{queue.spec.name} keeps {queue.count}, {queue.bytes} bytes"
        for session in world.engine.sessions.values():
            assert not session.inflight
        assert not any(queue.stretches for queue in world.store._queues.values())
        assert not world.store._bodies


Sessions.TestCase.settings = settings(max_examples=400, stateful_step_count=50, deadline=None)
TestSessions = Sessions.TestCase
