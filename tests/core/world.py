"""A deterministic world around one Engine: no clock, no socket, no thread, no loop.

The store's content is what was committed, and nothing else survives :meth:`World.crash`. Commits and reads are done
when :meth:`World.run` gets to them, or, while held, when the test says so. Clients speak real bytes.
"""

import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from mombroker.core import Connection, Engine, Hooks, Limits, Outside, Transport
from mombroker.core.ports import Exchange
from mombroker.core.queue import Queue, Ref
from mombroker.core.session import Session
from mombroker.hooks.events import Event
from mombroker.hooks.requests import AuthContinue, AuthDone, ConnectRequest
from mombroker.model.errors import StoreFull
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.model.store import Page
from mombroker.model.unit import Unit
from mombroker.mqtt import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    Properties,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
)
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL, V5
from mombroker_storage.memory import MemoryStore

START = 1_700_000_000.0
FOREVER = 0xFFFFFFFF


def properties(**fields: Any) -> Properties:
    """Properties with these fields set."""
    made = Properties()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


class Got(NamedTuple):
    """An application message as a client received it, its topic alias resolved."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    properties: Properties


class Log:
    """The log port. ``errors`` are internal errors: there must be none."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, dict[str, Any]]] = []
        self.errors: list[str] = []

    def _add(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.entries.append((level, event, fields))

    def debug(self, event: str, **fields: Any) -> None:
        self._add("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._add("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._add("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._add("error", event, fields)
        defect = fields.get("exc_info")
        if defect is not None:
            self.errors.append(f"{event} {fields}\n{''.join(traceback.format_exception(defect))}")

    def events(self) -> list[str]:
        """What was logged, without its fields."""
        return [event for _, event, _ in self.entries]


class Wire(Transport):
    """The broker's end of a connection."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.writes = 0
        self.stuck = False
        self.unsent = b""
        self.paused = False
        self.closed = False
        self.told = False

    def write(self, data: bytes) -> None:
        if self.closed or self.told:
            return
        self.writes += 1
        if self.stuck:
            self.unsent += data
        else:
            self.sent += data

    def buffered(self) -> int:
        return len(self.unsent)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.sent += self.unsent
        self.unsent = b""
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class World(Outside):
    """One engine, its store, its clock, and the clients that talk to it."""

    def __init__(
        self,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        lazy_interval: float = 0.0,
        store: MemoryStore | None = None,
    ) -> None:
        self.limits = limits or Limits(sys_interval=0)
        self.hooks = hooks or Policies()
        self.lazy_interval = lazy_interval
        self.store = store or MemoryStore()
        self.now = START
        self.epoch = 0
        self.log = Log()
        self.clients: list[Client] = []
        self.hold_commits = False
        self.hold_reads = False
        self.full = False
        self.fatal_error: BaseException | None = None
        self.committed_units = 0
        self._begin()

    def _begin(self) -> None:
        self.epoch += 1
        self.unit: Unit | None = None
        self.reads: list[Callable[[], None]] = []
        self.turn_wanted = False
        self.tick_at = 0.0
        self.engine = Engine(self.limits, self.hooks, self, self.log, self.epoch, self.now, self.lazy_interval)
        self.engine.start(self.store)
        self.run()

    # -- what the engine asks for

    def commit(self, unit: Unit) -> None:
        assert self.unit is None, "two units at a time"
        self.unit = unit

    def read(self, queue: Queue, first: int, max_records: int, max_bytes: int) -> None:
        page = self._page(queue.id, first, max_records, max_bytes)
        committed = queue.committed
        engine = self.engine
        self.reads.append(lambda: engine.page_loaded(queue, page, committed))

    def read_lease(self, session: Session, ref: Ref) -> None:
        page = self._page(ref.queue.id, ref.position, 1, 1)
        engine = self.engine
        self.reads.append(lambda: engine.lease_loaded(session, ref, page))

    def _page(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> Page:
        return self.store.read(queue_id, first, max_records, max_bytes).result()

    def request_turn(self) -> None:
        self.turn_wanted = True

    def request_tick(self, deadline: float) -> None:
        self.tick_at = deadline

    def fatal(self, error: BaseException) -> None:
        self.fatal_error = error

    # -- what the test does

    def client(self, client_id: str, version: int = V5) -> "Client":
        """A client, not connected yet."""
        client = Client(self, client_id, version)
        self.clients.append(client)
        return client

    def run(self) -> None:
        """Let everything happen that is not held."""
        for _ in range(1_000_000):
            if not self._step():
                self._check()
                return
        raise AssertionError("the world does not come to rest")

    def _step(self) -> bool:
        self.engine.now = self.now
        if self.turn_wanted:
            self.turn_wanted = False
            self.engine.end_turn()
            return True
        for client in self.clients:
            if client.step():
                return True
        if self.unit is not None and not self.hold_commits:
            self._finish_commit()
            return True
        if self.reads and not self.hold_reads:
            self.reads.pop(0)()
            return True
        return False

    def _check(self) -> None:
        assert not self.log.errors, "\n".join(self.log.errors)
        for queue in self.engine.queues_by_id.values():
            assert queue.count >= 0 and queue.bytes >= 0, f"{queue.spec.name}: {queue.count}, {queue.bytes}"

    def _finish_commit(self) -> None:
        unit = self.unit
        assert unit is not None, "nothing is with the store"
        self.unit = None
        if self.full:
            self.engine.committed(StoreFull("no room"))
            return
        self.store.commit(unit)
        self.committed_units += 1
        self.engine.committed(None)

    def commit_one(self) -> None:
        """The held unit is on disk (or refused, while ``full``)."""
        self._finish_commit()
        self.run()

    def commit_all(self) -> None:
        """Hold no commits any more."""
        self.hold_commits = False
        self.run()

    def read_all(self) -> None:
        """Hold no reads any more."""
        self.hold_reads = False
        self.run()

    def advance(self, seconds: float) -> None:
        """Let time pass, with every deadline on the way."""
        end = self.now + seconds
        while self.tick_at and self.tick_at <= end:
            self.now = max(self.now, self.tick_at)
            self.tick_at = 0.0
            self.engine.now = self.now
            self.engine.tick()
            self.run()
        self.now = end
        self.engine.now = end
        self.run()

    def crash(self, after_write: bool = False) -> None:
        """kill -9 and restart. ``after_write``: the unit with the store is on disk, but nobody was told."""
        if after_write and self.unit is not None:
            self.store.commit(self.unit)
        for client in self.clients:
            client.drop()
        self._begin()

    def restart(self) -> None:
        """An orderly restart."""
        self.engine.shut_down()
        self.run()
        self.crash()

    def refs_in_memory(self) -> int:
        """How many references all queues keep in memory."""
        count = 0
        for queue in self.engine.queues_by_id.values():
            count += len(queue.ready) + len(queue.tail or ())
        return count

    def queue_of(self, client_id: str) -> Queue:
        """A session's queue."""
        return self.engine.sessions[client_id].queue


class Client:
    """A scripted client that keeps its own session state across connections, as the specification wants it to.

    While ``auto``, it acknowledges by itself. ``inbox`` is all packets of this connection; ``got`` all messages that
    the application received, QoS 2 exactly once by the client's own state.
    """

    def __init__(self, world: World, client_id: str, version: int) -> None:
        self.world = world
        self.client_id = client_id
        self.version = version
        self.auto = True
        self.connection: Connection | None = None
        self.wire = Wire()
        self.inbox: list[Packet] = []
        self.got: list[Got] = []
        self.received: set[int] = set()
        self.unacked: dict[int, Publish] = {}
        self.released: set[int] = set()
        self.results: dict[int, int] = {}
        self.next_id = 0
        self._clean = True
        self._outgoing = b""
        self._decoder = Decoder(False, version)
        self._aliases: dict[int, bytes] = {}

    # -- connection

    def open(self, takeover: bool = False) -> None:
        """A fresh network connection, nothing sent. ``takeover``: the broker knows of no end of the old one."""
        if self.connection is not None and not self.wire.told and not takeover:
            self.cut()
        self.wire = Wire()
        self.inbox = []
        self._outgoing = b""
        self._decoder = Decoder(False, self.version)
        self._aliases = {}
        self.world.engine.now = self.world.now
        self.connection = self.world.engine.open_connection(self.wire, "10.0.0.1", 1234, "test")

    def connect(
        self,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        run: bool = True,
        takeover: bool = False,
        **fields: Any,
    ) -> ConnAck | None:
        """Connect; None while there is no CONNACK. Fields that CONNECT itself has go there, others are properties."""
        self.open(takeover)
        self._clean = clean
        username = fields.pop("username", None)
        password = fields.pop("password", None)
        packet = Connect(self.client_id, self.version, clean, keep_alive, username, password, will)
        if fields:
            packet.properties = properties(**fields)
        self.send(packet, run=run)
        return self.connack

    @property
    def connack(self) -> ConnAck | None:
        """The CONNACK of this connection."""
        found = [packet for packet in self.inbox if isinstance(packet, ConnAck)]
        assert len(found) < 2
        return found[0] if found else None

    @property
    def closed(self) -> bool:
        """Whether the broker has closed the connection."""
        return self.wire.closed

    @property
    def disconnect_reason(self) -> int | None:
        """The reason of the broker's DISCONNECT."""
        found = [packet for packet in self.inbox if isinstance(packet, Disconnect)]
        return found[-1].reason if found else None

    def send(self, packet: Packet | bytes, run: bool = True) -> None:
        """Send a packet, or raw bytes; delivered once the broker reads."""
        self._outgoing += packet if isinstance(packet, bytes) else encode(packet, self.version)
        if run:
            self.world.run()

    def cut(self) -> None:
        """The network connection breaks."""
        self.cut_only()
        self.world.run()

    def cut_only(self) -> None:
        """The network connection breaks, and nothing else happens yet."""
        self._outgoing = b""
        if self.connection is not None and not self.wire.told:
            self.wire.told = True
            self.world.engine.now = self.world.now
            self.world.engine.connection_lost(self.connection)
        self.connection = None

    def drop(self) -> None:
        """The broker has died."""
        self._outgoing = b""
        self.wire.told = True
        self.wire.closed = True
        self.connection = None

    def disconnect(self, reason: int = 0, **fields: Any) -> None:
        """Say goodbye."""
        self.send(Disconnect(reason, properties(**fields) if fields else None))
        self.cut()

    def congest(self, congested: bool = True) -> None:
        """The client stops reading, or reads again."""
        assert self.connection is not None
        self.wire.stuck = congested
        if not congested:
            self.wire.sent += self.wire.unsent
            self.wire.unsent = b""
        self.world.engine.now = self.world.now
        self.world.engine.congestion(self.connection, congested)
        self.world.run()

    # -- what the client does by itself

    def step(self) -> bool:
        """Hand bytes over in both directions. Tells whether there were any."""
        connection = self.connection
        if connection is None or self.wire.told:
            return False
        if self._read():
            return True
        if self.wire.closed:
            self.wire.told = True
            self.world.engine.connection_lost(connection)
            return True
        if self._outgoing and not self.wire.paused:
            data = self._outgoing
            self._outgoing = b""
            self.world.engine.feed(connection, data)
            return True
        return False

    def _read(self) -> bool:
        if not self.wire.sent:
            return False
        self._decoder.feed(bytes(self.wire.sent))
        self.wire.sent.clear()
        while True:
            packet = self._decoder.next()
            if packet is None:
                return True
            self.inbox.append(packet)
            if isinstance(packet, Publish):
                self._take(packet)
            elif isinstance(packet, Ack):
                self._take_ack(packet)
            elif isinstance(packet, ConnAck) and packet.reason == 0 and self.auto:
                self._resume(packet.session_present or self.version == 3 and not self._clean)

    def _resume(self, present: bool) -> None:
        if not present:
            self.received.clear()
            self.unacked.clear()
            self.released.clear()
            return
        for packet_id, packet in self.unacked.items():
            if packet_id in self.released:
                self._outgoing += encode(Ack(PUBREL, packet_id), self.version)
            else:
                again = Publish.create(
                    packet.topic, packet.payload(), packet.qos, packet.retain, True, packet_id, packet.properties
                )
                self._outgoing += encode(again, self.version)

    def _take(self, packet: Publish) -> None:
        if packet.qos < 2 or packet.packet_id not in self.received:
            self.got.append(self._got(packet))
        if packet.qos == 2:
            self.received.add(packet.packet_id)
        if packet.qos and self.auto:
            self._outgoing += encode(Ack(PUBACK if packet.qos == 1 else PUBREC, packet.packet_id), self.version)

    def _got(self, packet: Publish) -> Got:
        topic = packet.topic
        given = packet.properties or Properties()
        if given.topic_alias:
            if topic:
                self._aliases[given.topic_alias] = topic
            topic = self._aliases[given.topic_alias]
        return Got(topic.decode(), packet.payload(), packet.qos, packet.retain, packet.dup, packet.packet_id, given)

    def _take_ack(self, packet: Ack) -> None:
        packet_id = packet.packet_id
        if packet.type == PUBREL:
            self.received.discard(packet_id)
            if self.auto:
                self._outgoing += encode(Ack(PUBCOMP, packet_id), self.version)
        elif packet.type == PUBREC and packet.reason < 0x80:
            self.released.add(packet_id)
            if self.auto:
                self._outgoing += encode(Ack(PUBREL, packet_id), self.version)
        else:
            self.results[packet_id] = packet.reason
            self.unacked.pop(packet_id, None)
            self.released.discard(packet_id)

    # -- what the test makes it do

    def subscribe(self, *filters: str | SubscribeFilter, qos: int = 0, id: int = 0, **options: Any) -> list[int]:
        """Subscribe; the reason codes, or none while there is no SUBACK."""
        wanted = [SubscribeFilter(item, qos, **options) if isinstance(item, str) else item for item in filters]
        packet_id = self._new_id()
        self.send(Subscribe(packet_id, wanted, properties(subscription_ids=[id]) if id else None))
        for packet in self.inbox:
            if isinstance(packet, SubAck) and packet.packet_id == packet_id:
                return packet.reasons
        return []

    def unsubscribe(self, *filters: str) -> list[int] | None:
        """Unsubscribe; the reason codes, None while there is no UNSUBACK."""
        packet_id = self._new_id()
        self.send(Unsubscribe(packet_id, list(filters)))
        for packet in self.inbox:
            if isinstance(packet, UnsubAck) and packet.packet_id == packet_id:
                return packet.reasons
        return None

    def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        qos: int = 0,
        retain: bool = False,
        run: bool = True,
        **fields: Any,
    ) -> int:
        """Publish; the packet identifier."""
        data = payload.encode() if isinstance(payload, str) else payload
        packet_id = self._new_id() if qos else 0
        packet = Publish.create(topic, data, qos, retain, False, packet_id, properties(**fields) if fields else None)
        if qos:
            self.unacked[packet_id] = packet
        self.send(packet, run=run)
        return packet_id

    def _new_id(self) -> int:
        while True:
            self.next_id = self.next_id % 0xFFFF + 1
            if self.next_id not in self.unacked:
                return self.next_id

    def ping(self) -> None:
        """Show a sign of life."""
        self.send(PingReq())

    def auth(self, reason: int, method: str | None = None, data: bytes | None = None) -> None:
        """Send an AUTH."""
        self.send(Auth(reason, properties(auth_method=method, auth_data=data)))

    def result(self, packet_id: int) -> int | None:
        """The reason code that ended a publish, None while it goes on."""
        return self.results.get(packet_id)

    def payloads(self) -> list[str]:
        """The payloads received since this was asked the last time."""
        found = [message.payload.decode() for message in self.got]
        self.got.clear()
        return found

    def acks(self, kind: int) -> list[int]:
        """Packet identifiers of the acknowledgements of a kind on this connection, in order."""
        return [packet.packet_id for packet in self.inbox if isinstance(packet, Ack) and packet.type == kind]

    def publishes(self) -> list[Publish]:
        """Every PUBLISH of this connection, in order."""
        return [packet for packet in self.inbox if isinstance(packet, Publish)]


class Policies(Hooks):
    """Hooks that a test sets by attributes. ``later`` collects questions that it answers itself."""

    def __init__(self) -> None:
        super().__init__()
        self.sees_events = True
        self.policy = QueuePolicy(overflow=Overflow.DROP_OLDEST)
        self.policies: dict[str, QueuePolicy] = {}
        self.events: list[Event] = []
        self.denied: set[tuple[str, str, str]] = set()
        self.ask_later: Callable[[str, str, str], bool] | None = None
        self.later: list[tuple[Any, Callable[[Any], None]]] = []
        self.verdict: Callable[[ConnectRequest], Identity | Refusal | None] | None = None
        self.publish_verdict: Callable[[Message], Message | Refusal | None] | None = None
        self.deliver_verdict: Callable[[Message, Identity], Message | None] | None = None
        self.exchanges: dict[str, Callable[[bytes | None], AuthContinue | AuthDone | Refusal | None]] = {}
        self.cancelled = 0

    def queue_policy(self, queue: QueueSpec, answer: Callable[[QueuePolicy], None]) -> QueuePolicy:
        return self.policies.get(queue.name, self.policy)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def authenticate(self, request: ConnectRequest, answer: Callable[[Identity | Refusal], None]) -> None:
        if self.verdict is None:
            super().authenticate(request, answer)
            return
        verdict = self.verdict(request)
        if verdict is None:
            self.later.append((request, answer))
        else:
            answer(verdict)

    def authorize(
        self, identity: Identity, action: str, resource: str, answer: Callable[[bool], None], default: bool = True
    ) -> bool | None:
        question = (identity.client_id, action, resource)
        if self.ask_later is not None and self.ask_later(*question):
            self.later.append((question, answer))
            return None
        return default and question not in self.denied

    def on_publish(
        self, message: Message, identity: Identity, answer: Callable[[Message | Refusal], None]
    ) -> Message | Refusal | None:
        assert self.publish_verdict is not None
        verdict = self.publish_verdict(message)
        if verdict is None:
            self.later.append((message, answer))
        return verdict

    def on_deliver(self, message: Message, identity: Identity) -> Message | None:
        assert self.deliver_verdict is not None
        return self.deliver_verdict(message, identity)

    def begin_exchange(self, method: str, request: ConnectRequest) -> Exchange | None:
        step = self.exchanges.get(method)
        return None if step is None else ScriptedExchange(self, step)

    def answer_next(self, value: Any) -> None:
        """Answer the oldest question."""
        self.later.pop(0)[1](value)


class ScriptedExchange(Exchange):
    """An enhanced authentication whose steps a function answers; None: the test answers later."""

    def __init__(
        self, hooks: Policies, script: Callable[[bytes | None], AuthContinue | AuthDone | Refusal | None]
    ) -> None:
        self.hooks = hooks
        self.script = script

    def step(self, data: bytes | None, answer: Callable[[AuthContinue | AuthDone | Refusal], None]) -> None:
        verdict = self.script(data)
        if verdict is None:
            self.hooks.later.append((data, answer))
        else:
            answer(verdict)

    def cancel(self) -> None:
        self.hooks.cancelled += 1
