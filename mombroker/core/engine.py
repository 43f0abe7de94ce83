"""The broker loop: bytes and events in, bytes and units of work out. It does no I/O and reads no clock.

One *turn* is everything that arrived at once: chunks are fed, then ``end_turn`` hands the unit of work to the store
and every connection's bytes to its transport. Whoever drives it sets ``now`` (Unix seconds, never going back) first.
"""

from typing import Any, Final

from mombroker.core import closing, connecting, inbound, sessions
from mombroker.core.barrier import QUEUE_KEY, Barrier, Outcome, Promise
from mombroker.core.commits import keep, keep_all, refuse_all
from mombroker.core.connection import CLOSED, OPEN, Connection
from mombroker.core.limits import Limits
from mombroker.core.named.registry import NamedQueues
from mombroker.core.named.requests import Requests
from mombroker.core.policies import PolicyAsked
from mombroker.core.ports import Hooks, Outside, Transport
from mombroker.core.publishing import Run, retained_due
from mombroker.core.queue import NO_MESSAGE, PAGE_BYTES, PAGE_RECORDS, Consumer, Queue, Ref
from mombroker.core.retained import RetainedMessages
from mombroker.core.rights import ALLOWED, receive_right
from mombroker.core.router import Router
from mombroker.core.session import Session
from mombroker.core.shared import SharedGroup
from mombroker.core.statistics import Statistics
from mombroker.core.subscribing import send_late_retained
from mombroker.core.sweep import SWEEP_SECONDS, Sweep
from mombroker.core.sys_topics import SysTopics
from mombroker.core.timers import (
    COMMIT_DUE,
    DROP_LOG,
    NAMED,
    REQUEST,
    RETAINED_EXPIRY,
    RETRY,
    SESSION_EXPIRY,
    SWEEP,
    SYS,
    WILL,
    Timers,
)
from mombroker.hooks.events import Event, MessageDropped, QueueCreated, QueueDeleted
from mombroker.model.errors import StoreFull
from mombroker.model.message import Message, message_from_body
from mombroker.model.queues import SESSION_PREFIX, Overflow, QueueSpec
from mombroker.model.reasons import SERVER_SHUTTING_DOWN, UNSPECIFIED_ERROR
from mombroker.model.store import Page, Store
from mombroker.model.unit import TABLE_QUEUE, TABLE_TALLY

DROP_LOG_SECONDS: Final = 1.0


class Engine:
    """One broker. Its methods are called on one thread, in the order things happen."""

    def __init__(
        self, limits: Limits, hooks: Hooks, outside: Outside, log: Any, epoch: int, now: float, lazy_interval: float
    ) -> None:
        self.limits: Limits = limits
        self.hooks: Hooks = hooks
        self.outside: Outside = outside
        self.log: Any = log
        self.now: float = now
        self.started_at: float = now
        self.lazy_interval: float = lazy_interval
        self.statistics: Statistics = Statistics()
        self.router: Router = Router()
        self.retained: RetainedMessages = RetainedMessages()
        self.barrier: Barrier = Barrier(lazy_interval > 0.0)
        self.timers: Timers = Timers()
        self.run: Run = Run()
        self.sessions: dict[str, Session] = {}
        self.groups: dict[str, SharedGroup] = {}
        self.queues_by_id: dict[int, Queue] = {}
        self.connections: set[Connection] = set()
        self.receive_waiting: dict[tuple[str, str], list[Connection]] = {}
        self.own_waiting: list[Message] = []
        self.receive_outcomes: list[Outcome] = []
        self.feeding: Connection | None = None
        self.restoring_id: int = 0
        self.passes_plainly: bool = False
        self.named: NamedQueues = NamedQueues(self)
        self.requests: Requests = Requests(self)
        self.sys_topics: SysTopics = SysTopics(self)
        self.sweep: Sweep = Sweep(self)
        self._last_id: int = epoch << 32
        self._dirty: list[Connection] = []
        self._paused: list[Connection] = []
        self._turn_requested: bool = False
        self._commit_timer: bool = False
        self._tick_at: float = 0.0
        self._drops: dict[tuple[str, str], int] = {}
        self._note_plain_passage()

    def start(self, store: Store) -> None:
        """Restore what the store holds. To be called once, before any connection."""
        sessions.restore(self, store)
        if self.limits.sys_interval:
            self.timers.add(self.now, SYS)
        self.wake()

    # -- what the listeners call

    def open_connection(self, transport: Transport, address: str, port: int, listener: str) -> Connection:
        """A client has connected; it has ``connect_timeout`` seconds to send its CONNECT."""
        connection = Connection(self, transport, address, port, listener)
        self.connections.add(connection)
        self.statistics.connections_opened += 1
        self.sweep.within(min(SWEEP_SECONDS, self.limits.connect_timeout))
        return connection

    def feed(self, connection: Connection, data: bytes) -> None:
        """Bytes have arrived."""
        if connection.state == CLOSED:
            return
        if connection.state == OPEN:
            connection.last_seen = self.now
        self.statistics.bytes_received += len(data)
        connection.decoder.feed(data)
        if not connection.blocked:
            inbound.run(self, connection)
        if self.barrier.pending_bytes() > self.limits.max_unit_bytes and not connection.paused:
            connection.pause()
            self._paused.append(connection)
        if connection.congested and connection.backlog * 2 > self.limits.max_out_buffer:
            connection.pause()
        if not self._turn_requested and not self.barrier.is_idle():
            self.wake()

    def connection_lost(self, connection: Connection) -> None:
        """The network connection is gone without a DISCONNECT, or after one."""
        self.sweep.release_publishers(connection)
        closing.gone(self, connection, UNSPECIFIED_ERROR)
        self.wake()

    def congestion(self, connection: Connection, congested: bool) -> None:
        """The transport holds more unsent bytes than it likes, or has got rid of them."""
        connection.congested = congested
        if congested:
            connection.backlog = connection.transport.buffered()
            return
        connection.backlog = 0
        connection.stalled = False
        self.sweep.release_publishers(connection)
        if connection.paused:
            connection.resume()
        self._pump(connection)

    def _pump(self, connection: Connection) -> None:
        """Send on what waits for this connection."""
        connection.starved = False
        session = connection.session
        if session is None or session.connection is not connection or connection.state != OPEN:
            return
        if connection.late is not None:
            send_late_retained(connection)
        session.pump_all()
        self.wake()

    def go_on(self, connection: Connection) -> None:
        """An answer that a connection waited for has come."""
        inbound.go_on(self, connection)

    def connection_opened(self, connection: Connection) -> None:
        """The CONNACK has been sent."""
        connecting.opened(self, connection)

    def disconnect(self, connection: Connection, reason: int, detail: str) -> None:
        """Close a connection with a reason code."""
        closing.disconnect(self, connection, reason, detail)
        self.wake()

    def publish(self, message: Message) -> None:
        """Publish a message of the broker's own."""
        closing.publish_own(self, message)
        self.wake()

    # -- turns

    def wake(self) -> None:
        """Make sure that this turn has an end."""
        if not self._turn_requested:
            self._turn_requested = True
            self.outside.request_turn()

    def flush_later(self, connection: Connection) -> None:
        """Have a connection's bytes written at the end of the turn."""
        self._dirty.append(connection)
        if not self._turn_requested:
            self._turn_requested = True
            self.outside.request_turn()

    def end_turn(self) -> None:
        """Let all bytes go and hand over the unit of work. May be called more often than needed."""
        self._turn_requested = False
        self._flush()
        self.hand_over()
        self._flush()
        if self._paused and self.barrier.pending_bytes() <= self.limits.max_unit_bytes:
            paused = self._paused
            self._paused = []
            for connection in paused:
                connection.resume()
        self.schedule_tick()

    def _flush(self) -> None:
        dirty = self._dirty
        if dirty:
            self._dirty = []
            for connection in dirty:
                connection.flush()
                if connection.starved and not connection.congested:
                    self._pump(connection)

    def hand_over(self) -> None:
        """Give the unit of work to the store, if it has something to do and is done with the last one."""
        barrier = self.barrier
        if barrier.lazy and not barrier.due:
            if barrier.pending_bytes() > self.limits.max_unit_bytes:
                barrier.due = True
            elif not self._commit_timer and not barrier.is_clean():
                self._commit_timer = True
                self.timers.add(self.now + self.lazy_interval, COMMIT_DUE)
        while barrier.ready_to_hand_over():
            unit = barrier.hand_over()
            if unit.writes == 0:
                keep_all(self)
            else:
                self.statistics.commits += 1
                self.outside.commit(unit)

    def committed(self, error: BaseException | None) -> None:
        """The store is done with the unit that was handed over."""
        if error is None:
            keep_all(self)
        elif isinstance(error, StoreFull):
            refuse_all(self, error)
        else:
            self.outside.fatal(error)
            return
        self.wake()

    def send_promised(self, promise: Promise, durable: bool) -> None:
        """Send an answer: after the commit if it promises anything that is not on disk yet, otherwise now."""
        if durable and not self.barrier.lazy:
            self.barrier.promise(promise)
        else:
            keep(self, promise)

    # -- time

    def tick(self) -> None:
        """Do what has come due."""
        self._tick_at = 0.0
        entry = self.timers.take_due(self.now)
        while entry is not None:
            self._due(entry[0], entry[1])
            entry = self.timers.take_due(self.now)
        self.wake()

    def _due(self, kind: int, subject: str) -> None:
        if kind == SWEEP:
            self.sweep.run()
        elif kind == SESSION_EXPIRY:
            closing.expiry_due(self, subject)
        elif kind == WILL:
            closing.will_due(self, subject)
        elif kind == RETAINED_EXPIRY:
            retained_due(self, subject)
        elif kind == SYS:
            self.sys_topics.publish()
            if self.limits.sys_interval:
                self.timers.add(self.now + self.limits.sys_interval, SYS)
        elif kind == RETRY:
            self.barrier.retry = True
        elif kind == DROP_LOG:
            self._log_drops()
        elif kind == NAMED:
            self.named.due(subject)
        elif kind == REQUEST:
            self.requests.sweep()
        else:
            self._commit_timer = False
            self.barrier.due = True

    def schedule_tick(self) -> None:
        """Ask to be woken for the next deadline, if that is sooner than what was asked for."""
        deadline = self.timers.next_deadline()
        if deadline and (self._tick_at == 0.0 or deadline < self._tick_at):
            self._tick_at = deadline
            self.outside.request_tick(deadline)

    # -- queues

    def new_id(self) -> int:
        """A number for a queue or a body, never given before, not even by an earlier owner of the store."""
        self._last_id += 1
        return self._last_id

    def new_client_id(self) -> str:
        """An identifier for a client that brought none."""
        return f"auto-{self.new_id():x}"

    def new_session_queue(self, session: Session, durable: bool) -> Queue:
        """The queue of a session that begins, or is restored."""
        spec = QueueSpec(SESSION_PREFIX + session.client_id, "session", durable, session.identity.username)
        return self._new_queue(spec, session)

    def new_shared_queue(self, group: SharedGroup, name: str, durable: bool) -> Queue:
        """The queue of a shared subscription."""
        return self._new_queue(QueueSpec(name, "shared", durable), group)

    def _new_queue(self, spec: QueueSpec, consumer: Consumer) -> Queue:
        asked = PolicyAsked(self)
        policy = self.hooks.queue_policy(spec, asked.answer)
        queue = Queue(self.restoring_id or self.new_id(), spec, policy, consumer)
        asked.queue = queue
        queue.registered = self.restoring_id != 0
        self.queues_by_id[queue.id] = queue
        self.event(QueueCreated(self.now, spec.name))
        return queue

    def restore_tally(self, queue: Queue, tally: tuple[Any, ...]) -> None:
        """Take over what the store knows of a queue's size."""
        queue.next_position = tally[0]
        queue.committed = tally[0]
        queue.count = tally[1]
        queue.bytes = tally[2]
        queue.sent_to = tally[3]

    def delete_queue(self, queue: Queue) -> None:
        """A queue goes, with all its messages."""
        queue.deleted = True
        queue.rewind(self.barrier)
        self.queues_by_id.pop(queue.id, None)
        if queue.registered:
            self.drop_records(queue.id)
        self.event(QueueDeleted(self.now, queue.spec.name))

    def drop_records(self, queue_id: int) -> None:
        """Forget a queue's records in the store."""
        unit = self.barrier.unit
        key = QUEUE_KEY.pack(queue_id)
        unit.drop_queue(queue_id)
        unit.delete(TABLE_QUEUE, key)
        unit.delete(TABLE_TALLY, key)

    def key_of(self, session: Session) -> bytes:
        """The key of a session's records."""
        return QUEUE_KEY.pack(session.queue.id)

    def overflow(self, queue: Queue, message: Message) -> Overflow:
        """What a full queue does with a message."""
        return self.hooks.overflow(queue.spec, message, queue.policy.overflow)

    def load(self, queue: Queue) -> None:
        """Read on in a queue."""
        queue.loading = True
        queue.skipped = queue.consumer.leased_positions(queue)
        self.outside.read(queue, queue.loaded_to, PAGE_RECORDS, PAGE_BYTES)

    def page_loaded(self, queue: Queue, page: Page, committed: int) -> None:
        """A page has been read; ``committed`` is what of the queue was on disk when it was asked for."""
        queue.loading = False
        if queue.deleted:
            return
        for damage in page.damaged:
            count = min(damage.last - damage.first + 1, queue.count)
            queue.count -= count
            self.log.error("damaged message set aside", queue=queue.spec.name, detail=damage.detail)
            self.dropped(queue.spec.name, "", "damaged", count)
            queue.consumer.revoked(queue, set(range(damage.first, damage.last + 1)))
        if queue.stale:
            queue.stale = False
        else:
            queue.absorb(page.records, page.next_position, page.at_end, committed)
        queue.consumer.pump(queue)
        self.wake()

    def load_lease(self, session: Session, ref: Ref) -> None:
        """Read one message of a shared queue again, for the member that has it."""
        self.outside.read_lease(session, ref)

    def lease_loaded(self, session: Session, ref: Ref, page: Page) -> None:
        """A leased message has been read, or is gone."""
        if session.inflight.get(ref.packet_id) is not ref or session.ended or ref.message is not NO_MESSAGE:
            return
        if not page.records or page.records[0].position != ref.position:
            session.let_go(ref)
            self.wake()
            return
        ref.message = message_from_body(page.records[0].body)
        ref.message.body_id = page.records[0].body_id
        session.send_leased(ref)
        self.wake()

    def drop_ref(self, ref: Ref, cause: str) -> None:
        """Drop a message that a queue has given up."""
        ref.queue.consumer.settled(self.barrier, ref)
        self.dropped(ref.queue.spec.name, ref.message.topic, cause, 1)

    def dropped(self, target: str, topic: str, cause: str, count: int) -> None:
        """Count messages dropped, log them, tell the observers."""
        self.statistics.count_drop(cause, count)
        if not self._drops:
            self.timers.add(self.now + DROP_LOG_SECONDS, DROP_LOG)
        key = (target, cause)
        self._drops[key] = self._drops.get(key, 0) + count
        if self.hooks.sees_events:
            self.hooks.event(MessageDropped(self.now, target, topic, cause, count))

    def _log_drops(self) -> None:
        """One line per queue or client and cause, however many messages were dropped."""
        drops = self._drops
        self._drops = {}
        for (target, cause), count in drops.items():
            self.log.warning("messages dropped", target=target, cause=cause, count=count)

    def event(self, event: Event) -> None:
        """Tell the observers."""
        if self.hooks.sees_events:
            self.hooks.event(event)

    # -- shared subscriptions and rights

    def shared_group(self, name: str, topic_filter: str, session: Session) -> SharedGroup:
        """The group of a shared subscription, created for its first member; durable once a member is."""
        group = self.groups.get(name)
        if group is None:
            group = SharedGroup(self, name, topic_filter, session.durable)
            self.groups[name] = group
            self.router.bind(group.binding)
            if session.durable and not group.queue.registered:
                self.barrier.register(group.queue)
        elif session.durable and not group.queue.durable:
            group.queue.make_durable(self.barrier, group.in_flight())
            self.barrier.register(group.queue)
            self.router.forget()
        return group

    def leave_group(self, name: str, session: Session) -> None:
        """A member leaves; the last one takes the group with it."""
        group = self.groups[name]
        group.leave(session)
        if session.groups is not None:
            session.groups = [other for other in session.groups if other is not group] or None
        if not group.members:
            self.router.unbind(group.binding)
            del self.groups[name]
            self.delete_queue(group.queue)
        else:
            group.pump(group.queue)

    def may_receive(self, session: Session, topic: str) -> bool:
        """Whether a session may be sent messages of a topic, as far as is known."""
        return receive_right(self, session, topic) == ALLOWED

    def receive_answered(self, key: tuple[str, str]) -> None:
        """A right to receive is known now: those who waited for it go on."""
        for connection in self.receive_waiting.pop(key, []):
            self.go_on(connection)
        outcomes = self.receive_outcomes
        self.receive_outcomes = []
        for outcome in outcomes:
            outcome.kept()
        waiting = self.own_waiting
        self.own_waiting = []
        for message in waiting:
            closing.publish_own(self, message)
        self.wake()

    # -- the end

    def change_limits(self, limits: Limits) -> None:
        """Hold clients to other limits from now on."""
        had_sys = self.limits.sys_interval
        self.limits = limits
        self._note_plain_passage()
        if limits.sys_interval and not had_sys:
            self.timers.add(self.now, SYS)
        self.wake()

    def _note_plain_passage(self) -> None:
        hooks = self.hooks
        self.passes_plainly = not hooks.sees_publish and not hooks.sees_deliver and self.limits.max_message_age == 0

    def is_settled(self) -> bool:
        """Whether nothing waits to be written: the store may be closed. While the disk is full nothing can be."""
        return self.barrier.is_idle() or self.barrier.refusing

    def shut_down(self) -> None:
        """Disconnect every client (0x8B). What is waiting is still committed by the turns that follow."""
        for connection in list(self.connections):
            closing.disconnect(self, connection, SERVER_SHUTTING_DOWN, "the broker is shutting down")
        self.barrier.due = True
        self.wake()
