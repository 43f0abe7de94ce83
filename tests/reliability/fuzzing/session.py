"""A whole broker in a simulated world, and a script of what everybody does to it; see :class:`Script`."""

from mombroker.core import Limits
from mombroker.core.connection import CLOSED
from mombroker.core.ports import Exchange
from mombroker.hooks.requests import AuthContinue, AuthDone, ConnectRequest
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy
from mombroker.model.reasons import NOT_AUTHORIZED
from mombroker.mqtt import Connect, PingReq, Publish, Subscribe, SubscribeFilter, encode
from tests.core.named.native import NativeWorld
from tests.core.world import Policies
from tests.reliability.fuzzing import packets
from tests.reliability.fuzzing.choices import Choices
from tests.reliability.fuzzing.decoder import seeds as packet_seeds
from tests.reliability.fuzzing.line import Line

LONGEST = 1024
LINES = 3
EXPIRY = 20
SECRET = b"secret"
STEPS = (0.06, 1.0, 6.0, 30.0)
TIGHT = Limits(
    max_packet_size=4096,
    receive_maximum=5,
    topic_alias_maximum=3,
    max_inflight=4,
    max_subscriptions=12,
    max_topic_levels=8,
    max_session_expiry=EXPIRY,
    max_connections=5,
    connect_timeout=5.0,
    max_out_buffer=2048,
    max_unit_bytes=4096,
    sys_interval=7,
    auth_cache_size=4,
)
ROOMY = Limits(connect_timeout=5.0, sys_interval=0, max_session_expiry=EXPIRY, queue_qos0=True)
OLD = Limits(
    sys_interval=0, max_session_expiry=EXPIRY, versions=(3, 4), max_inflight=2, retain_available=False, maximum_qos=1
)
POOR = Limits(
    sys_interval=0,
    max_session_expiry=EXPIRY,
    max_message_age=100_000,
    max_keep_alive=20,
    allow_empty_client_id=False,
    wildcard_available=False,
    shared_available=False,
    subscription_ids_available=False,
    topic_alias_maximum=0,
    receive_maximum=1,
)
WORLDS = (TIGHT, ROOMY, OLD, POOR)


class HostHooks(Policies):
    """Hooks that take their time for some, and let nobody near what belongs to the well-behaved pair."""

    def __init__(self) -> None:
        super().__init__()
        self.authorizes = True
        self.sees_publish = True
        self.policy = QueuePolicy(max_messages=20, max_bytes=100_000, overflow=Overflow.DROP_OLDEST)
        self.policies = {
            "client:well-sub": QueuePolicy(),
            "client:a": QueuePolicy(max_messages=3, overflow=Overflow.DROP_NEWEST),
            "client:b": QueuePolicy(max_messages=3, overflow=Overflow.REJECT, message_ttl=5.0),
        }
        self.ask_later = lambda client, action, resource: resource.startswith("slow") and client[:4] != "well"
        self.verdict = _let_in
        self.publish_verdict = _seen
        self.exchanges = {"GOOD": _good, "ASKS": _asks, "SLOW": lambda data: None, "BAD": _bad}

    def begin_exchange(self, method: str, request: ConnectRequest) -> Exchange | None:
        return None if isinstance(_let_in(request), Refusal) else super().begin_exchange(method, request)

    def authorize(self, identity, action, resource, answer, default=True):  # type: ignore[no-untyped-def]
        if resource.startswith("well/") and action != "receive" and identity.username != "well":
            return action == "subscribe"
        return super().authorize(identity, action, resource, answer, default)


def _let_in(request: ConnectRequest) -> Identity | Refusal | None:
    if request.client_id.startswith("well-") or request.username == "well":
        if request.password != SECRET:
            return Refusal(NOT_AUTHORIZED, "that is somebody else")
    elif request.username == "held":
        return None
    return Identity(request.client_id, request.username, address=request.address)


def _seen(message: Message) -> Message | Refusal | None:
    if message.topic == "hook/1":
        return Refusal(NOT_AUTHORIZED, "no")
    return None if message.topic == "hook/later" else message


def _good(data: bytes | None) -> AuthDone:
    return AuthDone(Identity("a", "ann"), data)


def _asks(data: bytes | None) -> AuthContinue | AuthDone:
    return AuthDone(Identity("b", "bob"), None) if data == b"x" else AuthContinue(b"?")


def _bad(data: bytes | None) -> Refusal:
    return Refusal(NOT_AUTHORIZED, "bad")


class Pair:
    """A publisher and a subscriber that keep to the rules, and have the right to lose nothing."""

    def __init__(self, world: NativeWorld, version: int) -> None:
        self.world = world
        self.publisher = world.client("well-pub", version)
        self.subscriber = world.client("well-sub", version)
        self.sent: dict[int, tuple[bytes, int]] = {}
        self.count = 0
        self.promised: list[tuple[bytes, int]] = []
        self.connect()
        assert self.subscriber.subscribe("well/1", qos=2) in ([2], [1])

    def connect(self) -> None:
        """Connect, or come back."""
        for client in (self.publisher, self.subscriber):
            expiry = {"session_expiry": 0xFFFFFFFF} if client.version == 5 else {}
            client.connect(clean=False, username="well", password=SECRET, **expiry)

    def publish(self, qos: int) -> None:
        """Publish the next message, if the broker has room for it."""
        publisher = self.publisher
        qos = min(qos, self.world.limits.maximum_qos)
        room = min(4, self.world.limits.receive_maximum)
        if len(publisher.unacked) >= room or not publisher.connack:
            return
        self.count += 1
        payload = b"%d" % self.count
        self.sent[publisher.publish("well/1", payload, qos, run=False)] = (payload, qos)

    def ping(self) -> None:
        """Show a sign of life."""
        for client in (self.publisher, self.subscriber):
            if not client.closed:
                client.ping()

    def look(self) -> None:
        """Note what was promised by now."""
        for packet_id, reason in list(self.publisher.results.items()):
            del self.publisher.results[packet_id]
            message = self.sent.pop(packet_id, None)
            if message is not None and reason < 0x80:
                self.promised.append(message)

    def check(self) -> None:
        """Nothing that was promised is missing, nothing came twice that may not, and nobody was thrown out."""
        got = [message.payload for message in self.subscriber.got]
        for payload, qos in self.promised:
            times = got.count(payload)
            assert times == 1 if qos == 2 else times >= 1, f"QoS {qos} {payload!r} came {times} times"
        for client in (self.publisher, self.subscriber):
            assert not client.closed, f"{client.client_id} was thrown out"


class Script:
    """A byte script against a world: the first byte chooses the limits, each further one an action and its details."""

    def __init__(self, data: bytes) -> None:
        self.choices = choices = Choices(data)
        limits = choices.pick(WORLDS)
        self.hooks = HostHooks()
        lazy = 0.5 if choices.rarely() else 0.0
        self.world = world = NativeWorld(limits, hooks=self.hooks, lazy_interval=lazy)
        world.create("late", "ann", max_messages=3, overflow="drop-oldest")
        world.create("jobs", "ann", "work/#", max_messages=5, max_deliveries=2, dead_letter="late")
        world.serve("calc", credit=1)
        self.pair = Pair(world, 4 if limits is OLD or choices.rarely() else 5)
        self.lines = [Line(world) for _ in range(LINES)]
        for line in self.lines:
            world.clients.append(line)  # type: ignore[arg-type]
        self.actions = (
            self.begin,
            self.say,
            self.say,
            self.say,
            self.say,
            self.say_raw,
            self.keep_back,
            self.cut,
            self.let_time_pass,
            self.hold,
            self.commit_one,
            self.crash,
            self.pair_publishes,
            self.stall,
            self.fill,
            self.answer,
            self.consume,
        )

    def run(self) -> None:
        """The whole script, and then peace: everything that was held up goes on."""
        while self.choices.left:
            self.choices.pick(self.actions)()
            if not self.choices.rarely():
                self.world.run()
                self.pair.look()
            assert self.world.fatal_error is None, "the broker gave up"
        self.settle()
        self.check_lines()
        self.check_leftovers()
        self.check_restart()

    # -- actions

    def line(self) -> Line:
        """One of the hostile clients."""
        return self.choices.pick(self.lines)

    def begin(self) -> None:
        """A new connection, mostly with a CONNECT."""
        line = self.line()
        self.check_end(line)
        line.open()
        line.auto = self.choices.flag()
        line.version = self.choices.pick((5, 5, 4, 3))
        if not self.choices.rarely():
            line.send(packets.connect_wire(self.choices, line.version))

    def say(self) -> None:
        """A packet or a few, in one chunk."""
        line = self.line()
        for _ in range(self.choices.number(2) + 1):
            if not line.gone:
                line.send(packets.wire(self.choices, line.connection.version or 5))

    def say_raw(self) -> None:
        """Any bytes."""
        line = self.line()
        if not line.gone:
            line.send(self.choices.blob(64))

    def keep_back(self) -> None:
        """The first part of a packet; the rest comes with what is said next."""
        line = self.line()
        if line.gone:
            return
        whole = packets.wire(self.choices, line.connection.version or 5)
        size = self.choices.number(20)
        line.send(whole[:size])
        line.kept_back = whole[size:]

    def cut(self) -> None:
        """A network connection breaks."""
        line = self.line()
        self.check_end(line)
        line.cut()

    def let_time_pass(self) -> None:
        """The clock goes on."""
        self.pass_time(self.choices.pick(STEPS))

    def pass_time(self, seconds: float) -> None:
        """The clock goes on, and the pair shows signs of life."""
        self.world.run()
        while seconds > 0.0:
            step = min(seconds, 8.0)
            self.world.advance(step)
            self.pair.ping()
            seconds -= step

    def hold(self) -> None:
        """The disk takes its time, or is done with it."""
        bits = self.choices.byte()
        self.world.hold_commits, self.world.hold_reads = bits & 1 == 1, bits & 2 == 2

    def commit_one(self) -> None:
        """One unit gets to the disk."""
        if self.world.unit is not None:
            self.world.commit_one()

    def crash(self) -> None:
        """kill -9, and a new broker on what was on disk."""
        self.pair.look()
        if self.world.lazy_interval:
            # What is acknowledged before it is on disk may be lost in a crash; an orderly end waits for the disk.
            if self.world.hold_commits or self.world.hold_reads or self.world.full:
                self.world.hold_commits = self.world.hold_reads = self.world.full = False
                self.pass_time(2.0)
            self.world.restart()
        else:
            self.world.crash(after_write=self.choices.flag())
        self.world.hold_commits = self.world.hold_reads = self.world.full = False
        self.hooks.later.clear()
        self.world.serve("calc", credit=1)
        self.pair.connect()

    def pair_publishes(self) -> None:
        """The well-behaved publish something."""
        for _ in range(self.choices.number(2) + 1):
            self.pair.publish(1 + self.choices.number(1))

    def stall(self) -> None:
        """A client stops reading, or reads again."""
        self.line().congest(self.choices.flag())

    def fill(self) -> None:
        """The disk is full, or has room again."""
        self.world.full = self.choices.flag()

    def answer(self) -> None:
        """The hook answers the oldest question."""
        if self.hooks.later:
            question, _ = self.hooks.later[0]
            self.hooks.answer_next(self._answer_to(question, self.choices.flag()))

    def _answer_to(self, question: object, kindly: bool) -> object:
        if isinstance(question, tuple):
            return kindly
        if isinstance(question, ConnectRequest):
            identity = Identity(question.client_id, question.username)
            return identity if kindly else Refusal(NOT_AUTHORIZED, "no")
        if isinstance(question, Message):
            return question if kindly else Refusal(NOT_AUTHORIZED, "no")
        return AuthDone(Identity("a", "ann"), b"done") if kindly else Refusal(NOT_AUTHORIZED, "no")

    def consume(self) -> None:
        """A consumer of the native API takes what is in a queue."""
        queue = self.world.engine.named.queues.get(self.choices.pick(("jobs", "late")))
        if queue is None or self.world.hold_commits or self.world.hold_reads:
            return
        taken = self.world.pull(2, 0.0, queue.name)
        if taken.leases:
            (self.world.ack if self.choices.flag() else self.world.nack)(*taken.leases)

    # -- what has to hold

    def settle(self) -> None:
        """Whatever was held up goes on."""
        world = self.world
        world.full = world.hold_commits = world.hold_reads = False
        for line in self.lines:
            line.congest(False)
        world.run()
        self.answer_all()
        self.pass_time(3.0)
        # The disk has room again by now, and what waited for it may ask.
        self.answer_all()
        self.pair.look()
        assert not (self.pair.publisher.version == 5 and self.pair.sent), "the pair has no answer"
        self.pair.check()
        world.check_counts()
        assert world.fatal_error is None, "the broker gave up"

    def answer_all(self) -> None:
        """Whatever a hook is asked is allowed now."""
        for _ in range(1000):
            if not self.hooks.later:
                return
            question, _ = self.hooks.later[0]
            self.hooks.answer_next(self._answer_to(question, True))
            self.world.run()
        raise AssertionError("the broker asks without end")

    def check_end(self, line: Line) -> None:
        """What was owed to a client whose connection the broker has ended."""
        line.check_end()

    def check_lines(self) -> None:
        """Every open connection is served; every other one is closed in time."""
        for line in self.lines:
            if line.is_open and not line.connection.decoder.buffered() and not line.kept_back:
                assert not line.wire.paused, "an open connection is never read from again"
                before = line.pongs()
                line.send(encode(PingReq(), line.connection.version))
                self.world.run()
                assert line.gone or line.wire.closed or line.pongs() == before + 1, "a ping has no answer"
        self.pass_time(self.world.limits.connect_timeout + 1.0)
        for line in self.lines:
            assert line.gone or line.is_open, f"a connection stays in state {line.connection.state}"
            line.check_end()
            if line.connection is not None and line.wire.closed:
                assert line.connection.state == CLOSED
        for queue in self.world.engine.queues_by_id.values():
            kept = len(queue.ready) - queue.ready_head + len(queue.tail or ())
            assert kept <= queue.count, f"{queue.spec.name} keeps {kept} references to {queue.count} messages"

    def check_leftovers(self) -> None:
        """When the hostile clients are gone and their sessions over, nothing of them is left."""
        for line in self.lines:
            line.cut()
        self.world.run()
        self.pass_time(2.0 * EXPIRY + 5.0)
        engine = self.world.engine
        assert set(engine.sessions) == {"well-pub", "well-sub"}, f"sessions stay: {set(engine.sessions)}"
        assert len(engine.connections) == 2, "connections stay"
        assert not engine.groups, f"groups stay: {set(engine.groups)}"
        assert not engine.receive_waiting or not self.hooks.later, "questions stay"
        kinds = sorted(queue.spec.kind for queue in engine.queues_by_id.values() if queue.spec.kind != "named")
        assert kinds.count("session") == 2 and kinds.count("shared") == 0, f"queues stay: {kinds}"
        self.pair.check()

    def check_restart(self) -> None:
        """What is on disk makes the same broker again."""
        before = self.durable_counts()
        self.crash()
        assert self.durable_counts() == before, f"{before} has become {self.durable_counts()}"
        self.pair.publish(1)
        self.world.run()
        self.pass_time(1.0)
        self.pair.look()
        assert not self.pair.sent, "the pair has no answer after a restart"
        self.pair.check()

    def durable_counts(self) -> dict[str, tuple[int, int]]:
        """Messages and bytes of each queue that survives."""
        queues = self.world.engine.queues_by_id.values()
        return {queue.spec.name: (queue.count, queue.bytes) for queue in queues if queue.durable}


def run(data: bytes) -> None:
    """One script."""
    Script(data[:LONGEST]).run()


def seeds() -> list[bytes]:
    """Short scripts of each action, and every packet of the tests behind a CONNECT."""
    hello = encode(Connect("a", 5, True, 0), 5)
    begin = bytes((0, 0, 0, 1, 15, 0))
    found = []
    for world in range(len(WORLDS)):
        for action in range(17):
            found.append(bytes((world, 0, 0)) + bytes((action, 1, 2, 3, 4, 5)) * 4)
    for packet in (Subscribe(1, [SubscribeFilter("a/#", 1)]), Publish.create("a/b", b"x", 1, packet_id=1)):
        wire = encode(packet, 5)
        found.append(bytes((0, 0, 0)) + begin + _raw(hello) + _raw(wire))
    for seed in packet_seeds():
        if seed[0] & 1 and len(seed) < 66:
            found.append(bytes((0, 0, 0)) + begin + _raw(hello) + _raw(seed[2:]))
    return found


def _raw(wire: bytes) -> bytes:
    return bytes((5, 0, len(wire) % 65)) + wire[:64] + b"\0"
