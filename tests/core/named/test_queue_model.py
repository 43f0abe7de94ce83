"""Named queues under everything that can happen to them, against a model that knows only what was promised.

A queue with priorities, delays, keys, ids, expiry, leases and a queue of dead letters is put into, taken from, killed,
filled up. Promised is: a message whose unit is on disk is there until it is settled; one that was settled on disk never
comes back; of one key one message at a time is out, in order; sizes are what they are; whoever has credit gets what is
ready.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mombroker.core import Limits
from mombroker.core.named.leases import Lease
from mombroker.core.named.upkeep import put_away

from .native import NativeWorld, Stream, Told

DELAYS = st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.3, 2.0, 70.0, 300.0])
KEYS = st.sampled_from(["", "", "a", "b"])
PICK = st.integers(0, 1000)
SETTLES = st.sampled_from(["ack", "ack", "nack", "nack later", "reject"])


class Sent:
    """What is known of one message: ``put`` is the fate of its unit, ``gone`` that of the unit that settled it."""

    def __init__(self, number: int, put: Told, key: str, priority: int, ready_at: float, expires: bool) -> None:
        self.number = number
        self.put = put
        self.key = key
        self.priority = priority
        self.ready_at = ready_at
        self.expires = expires
        self.gone: Told | None = None
        self.dead = False
        self.crashed = False

    def is_owed(self) -> bool:
        """Whether it must be in the queue, or among the dead letters."""
        return self.put.fate == "kept" and self.gone is None and not self.expires

    def must_be_gone(self) -> bool:
        """Whether it must never be seen again."""
        return (self.gone is not None and self.gone.fate == "kept") or self.put.fate == "refused"


class Queues(RuleBasedStateMachine):
    """The world, and what it owes."""

    @initialize(
        max_deliveries=st.sampled_from([0, 0, 2]),
        max_leased=st.sampled_from([2, 10_000]),
        dead_letter=st.sampled_from(["", "dead"]),
        ttl=st.sampled_from([0.0, 0.0, 30.0]),
        dedup=st.sampled_from([0.0, 50.0]),
        single=st.booleans(),
    )
    def begin(
        self, max_deliveries: int, max_leased: int, dead_letter: str, ttl: float, dedup: float, single: bool
    ) -> None:
        self.world = NativeWorld(Limits(sys_interval=0))
        self.has_dead = dead_letter != ""
        self.max_deliveries = max_deliveries
        self.ttl = ttl
        self.dedup = dedup
        self.world.create(
            "q",
            max_deliveries=max_deliveries,
            max_leased=max_leased,
            dead_letter=dead_letter,
            message_ttl=ttl,
            dedup_window=dedup,
            single_active=single,
            lease=20.0,
        )
        self.sent: dict[int, Sent] = {}
        self.streams: list[Stream] = []
        self.out: list[tuple[Lease, int]] = []
        self.number = 0
        self.was_full = False
        self.last: dict[str, int] = {}

    # -- what is done to it

    @rule(
        messages=st.lists(
            st.tuples(st.sampled_from([0, 0, 0, 5, 9]), KEYS, DELAYS, st.booleans()), min_size=1, max_size=6
        )
    )
    def put(self, messages: list[tuple[int, str, float, bool]]) -> None:
        for priority, key, delay, expires in messages:
            if self.world.engine.barrier.refusing:
                return
            self.number += 1
            told = Told()
            options: dict[str, Any] = {"priority": priority, "key": key}
            if delay:
                options["delay"] = delay
            if expires:
                options["ttl"] = 10.0
            if self.dedup:
                options["id"] = f"id-{self.number}"
            ready_at = self.world.now + delay
            self.sent[self.number] = Sent(self.number, told, key, priority, ready_at, expires or self.ttl > 0)
            self.world.put(f"{self.number}", told=told, **options)

    @precondition(lambda self: self.dedup)
    @rule(pick=PICK)
    def repeat(self, pick: int) -> None:
        if not self.sent or self.world.engine.barrier.refusing:
            return
        sent = self.sent[1 + pick % self.number]
        again = Told()
        was_known = bool(self.world.queue().seen and self.world.queue().seen.knows(f"id-{sent.number}", self.world.now))
        if was_known:
            self.world.put(f"{sent.number}", told=again, id=f"id-{sent.number}", key=sent.key, priority=sent.priority)
            if sent.put.fate is None:
                sent.put = _Either(sent.put, again)  # type: ignore[assignment]

    @rule(credit=st.integers(1, 5))
    def open_stream(self, credit: int) -> None:
        if len(self.streams) < 3:
            self.number_of_streams = getattr(self, "number_of_streams", 0) + 1
            self.streams.append(self.world.stream(credit, key=f"stream:{self.number_of_streams}"))

    @precondition(lambda self: self.streams)
    @rule(pick=PICK)
    def close_stream(self, pick: int) -> None:
        self.end(self.streams.pop(pick % len(self.streams)))

    def end(self, stream: Stream) -> None:
        for lease in self.leases():
            if lease.stream is stream and self.max_deliveries and lease.deliveries >= self.max_deliveries:
                self.bury(self.sent[int(lease.ref.message.payload)])
        self.world.end_stream(stream)

    @rule(limit=st.integers(1, 4), wait=st.sampled_from([0.0, 0.0, 5.0]))
    def pull(self, limit: int, wait: float) -> None:
        self.number_of_pulls = getattr(self, "number_of_pulls", 0) + 1
        pulls = self.__dict__.setdefault("pulls", [])
        pulls.append(self.world.pull(limit, wait, key=f"pull:{self.number_of_pulls}"))

    @precondition(lambda self: self.leases())
    @rule(pick=PICK, how=SETTLES, delay=st.sampled_from([0.5, 3.0, 100.0]))
    def settle(self, pick: int, how: str, delay: float) -> None:
        leases = self.leases()
        lease = leases[pick % len(leases)]
        sent = self.sent[int(lease.ref.message.payload)]
        told = Told(carried=True)
        last_try = self.max_deliveries and lease.deliveries >= self.max_deliveries
        revoked = lease.ref.revoked
        if how == "ack":
            sent.gone = told
            self.world.ack(lease, told=told)
        elif how == "reject":
            self.bury(sent)
            self.world.reject(lease)
        else:
            if revoked:
                sent.gone = told
            elif last_try:
                self.bury(sent)
            elif how == "nack later":
                sent.ready_at = self.world.now + delay
            self.world.nack(lease, delay=delay if how == "nack later" else 0.0, told=told)

    def bury(self, sent: Sent) -> None:
        sent.dead = True
        if not self.has_dead:
            # It is dropped; when that is on disk is of no interest.
            sent.expires = True

    @rule(seconds=st.sampled_from([0.2, 1.0, 3.0, 21.0, 66.0, 200.0, 400.0]))
    def wait(self, seconds: float) -> None:
        if self.max_deliveries and seconds > 19:
            # Leases run out, and the next ones too: any message may have been delivered too often after that.
            for sent in self.sent.values():
                self.bury(sent)
        self.world.advance(seconds)

    @rule()
    def put_it_away(self) -> None:
        queue = self.world.queue()
        if queue.held_count == 0 and not self.streams and not queue.pulls:
            self.world.enter()
            put_away(queue)
            self.world.leave()

    @rule(commits=st.booleans(), reads=st.booleans())
    def hold(self, commits: bool, reads: bool) -> None:
        self.world.hold_commits = commits
        self.world.hold_reads = reads

    @precondition(lambda self: self.world.unit is not None)
    @rule()
    def commit(self) -> None:
        self.world.commit_one()

    @precondition(lambda self: self.world.reads)
    @rule()
    def read(self) -> None:
        self.world.reads.pop(0)()
        self.world.run()

    @rule(full=st.booleans())
    def fill_the_disk(self, full: bool) -> None:
        self.world.full = full
        self.was_full = self.was_full or full

    @precondition(lambda self: not self.world.engine.barrier.refusing and self.leases())
    @rule(pick=PICK, how=st.sampled_from(["nack later", "reject"]), delay=st.sampled_from([0.5, 3.0, 100.0]))
    def settle_when_the_disk_is_just_full(self, pick: int, how: str, delay: float) -> None:
        self.fill_the_disk(True)
        self.settle(pick, how, delay)

    @precondition(lambda self: self.world.full)
    @rule()
    def make_room(self) -> None:
        self.world.full = self.world.hold_commits = False
        self.world.advance(2.0)

    @rule(after_write=st.booleans())
    def crash(self, after_write: bool) -> None:
        world = self.world
        written = after_write and world.unit is not None and not world.full
        self.forget_unpromised()
        world.hold_commits = world.hold_reads = world.full = False
        world.crash(written)
        self.streams.clear()
        self.__dict__.get("pulls", []).clear()
        world.check_counts()

    def forget_unpromised(self) -> None:
        """What is not known to be on disk may be there or not after a crash."""
        for sent in self.sent.values():
            if sent.put.fate is None:
                sent.expires = True
                sent.put = Told()
                sent.put.fate = "kept"
            elif sent.put.fate == "refused":
                sent.crashed = True
            if sent.gone is not None and sent.gone.fate is None:
                sent.gone = None
                sent.expires = True

    def leases(self) -> list[Lease]:
        return list(self.world.queue().leases.by_token.values())

    # -- what is checked

    @invariant()
    def sizes_are_right(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.check_counts()
        queue = world.queue()
        assert queue.held_count >= 0 and queue.count >= 0
        assert queue.keys.parked == sum(len(line) - 1 for line in queue.keys.lines.values())
        assert queue.loose.bytes == sum(ref.message.size() for ref in queue.loose.refs())

    @invariant()
    def every_message_is_somewhere(self) -> None:
        """What is in memory adds up, as far as nothing is on disk only; whose turn it is is on its way to somebody."""
        if not hasattr(self, "world"):
            return
        queue = self.world.queue()
        loose = {id(ref) for ref in queue.loose.refs()}
        for key, line in queue.keys.lines.items():
            held = queue.holds(line[0].queue, line[0].position) is line[0]
            assert held or id(line[0]) in loose, f"nobody has the turn of {key}"
        lanes = queue.all_lanes()
        if any(lane.is_spilled() or lane.tail is not None for lane in lanes):
            return
        held = sum(not ref.revoked for lane in queue.held.values() for ref in lane.values())
        waiting = sum(queue.holds(ref.queue, ref.position) is None for ref in queue.loose.refs())
        in_lanes = sum(len(lane.ready) - lane.ready_head for lane in lanes)
        assert queue.count == held + waiting + queue.keys.parked + in_lanes

    @invariant()
    def of_a_key_one_message_is_out(self) -> None:
        if not hasattr(self, "world"):
            return
        keys = [self.sent[int(lease.ref.message.payload)].key for lease in self.leases()]
        keyed = [key for key in keys if key]
        assert len(keyed) == len(set(keyed)), f"out are {keyed}"

    @invariant()
    def what_is_out_is_owed_and_due(self) -> None:
        if not hasattr(self, "world"):
            return
        numbers = [int(lease.ref.message.payload) for lease in self.leases()]
        if not self.was_full:
            assert len(numbers) == len(set(numbers)), f"out twice: {numbers}"
        for lease in self.leases():
            sent = self.sent[int(lease.ref.message.payload)]
            assert not (sent.gone is not None and sent.gone.fate == "kept"), f"{sent.number} has come back"
            assert sent.ready_at <= self.world.now + 0.001 or self.was_full, f"{sent.number} is out too early"

    @invariant()
    def nothing_is_stuck(self) -> None:
        """While nothing is held back, whoever has credit has been given what is ready."""
        if not hasattr(self, "world"):
            return
        world = self.world
        queue = world.queue()
        if world.hold_commits or world.hold_reads or world.full or world.engine.barrier.refusing:
            return
        if world.unit is not None or world.reads or queue.held_count >= queue.policy.max_leased:
            return
        hungry = [stream for stream in self.streams if stream.has_credit() and queue.may_be_active(stream)]
        if not hungry:
            return
        assert not queue.loose.ready, "something loose is ready"
        bucket = queue.wheel.first_due()
        assert bucket is None or not bucket.has_waiting(), f"{bucket.spec.name} has something ready"
        for lane in queue.lanes:
            assert lane is None or not lane.has_waiting(), f"{lane.spec.name} has something ready"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.full = world.hold_commits = world.hold_reads = False
        world.run()
        world.advance(3)
        for stream in self.streams:
            self.end(stream)
        world.advance(120)
        world.advance(400)
        self.drain("q")
        if self.has_dead:
            self.drain("dead")
        for sent in self.sent.values():
            assert not sent.is_owed(), f"{sent.number} is lost"
        world.advance(120)
        for queue in world.engine.named.queues.values():
            assert (queue.count, queue.bytes, queue.held_count) == (0, 0, 0)
            assert not queue.returns and not queue.doomed and not queue.keys.lines
            world.enter()
            queue.recount()
            assert queue.count == 0
        assert not any(queue.stretches for queue in world.store._queues.values())
        assert len(world.engine.timers._heap) < 200

    def drain(self, name: str) -> None:
        """Take out whatever is there, for as long as it takes."""
        world = self.world
        for _ in range(2000):
            leases = world.pulled(50, name)
            for lease in leases:
                number = int(lease.ref.message.payload)
                sent = self.sent[number]
                assert not (sent.gone is not None and sent.gone.fate == "kept"), f"{number} has come back"
                sent.gone = Told(carried=True)
                world.ack(lease, told=sent.gone)
            if not leases:
                if world.queue(name).count == 0:
                    return
                world.advance(100)
        raise AssertionError(f"{name} does not get empty: {world.queue(name).count}")


class _Either:
    """The better of two fates: a message and its repetition, of which at least one must be kept."""

    def __init__(self, one: Told, other: Told) -> None:
        self._fates = (one, other)

    @property
    def fate(self) -> str | None:
        """What is known."""
        fates = [told.fate for told in self._fates]
        if "kept" in fates:
            return "kept"
        return None if None in fates else "refused"


Queues.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestQueues = Queues.TestCase
