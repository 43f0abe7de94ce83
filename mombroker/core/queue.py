"""The queue: an ordered list of message references, durable or not, that everything which waits is kept in.

Positions grow by one with each append. Seen from the front, a queue is::

    settled or in flight | ready (in memory) | spilled (only in the store) | tail (in the store and in memory)
                         ^ front             ^ loaded_to                   ^ tail_first           next_position ^

``ready`` and ``tail`` are bounded, so memory does not grow with the backlog; what lies between is read back, a page
at a time, when the consumer has credit. While nothing is spilled, an append goes straight to ``ready``. A queue whose
consumer is away keeps nothing in memory at all. A queue that is not durable writes only what spills.
"""

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from mombroker.model.message import Message, message_from_body
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.model.store import StoredRecord
from mombroker.model.unit import HEAD_SIZE, Segment, record_head, split_record
from mombroker.mqtt.properties import Properties

if TYPE_CHECKING:
    from mombroker.core.barrier import Barrier
    from mombroker.core.bindings import Binding
    from mombroker.core.named.meta import Meta

READY: Final = 0
LEASED: Final = 1
SENT: Final = 2
RELEASED: Final = 3

HEAD_QOS: Final = 0x03
HEAD_RETAIN: Final = 0x04

WINDOW_REFS: Final = 4096
WINDOW_BYTES: Final = 2 * 1024 * 1024
PAGE_RECORDS: Final = 1024
PAGE_BYTES: Final = 256 * 1024

_PLAIN_HEADS: Final = [record_head(flags, b"") for flags in range(8)]
NO_MESSAGE: Final = Message("-", b"")


class Ref:
    """A message's place in one queue, with what is particular to that queue's subscription.

    ``after`` is the unit that must be on disk before the message may be sent (0: none), ``stored`` whether the store
    holds or will hold it, ``dup`` whether it may have been sent before (MQTT-3.3.1-1). ``revoked``: the store had no
    room for it when a client had it already, so that it is not counted any more. ``meta`` is what a named queue
    knows of the message beyond that; None stands for nothing in particular.
    """

    __slots__ = (
        "queue",
        "position",
        "message",
        "qos",
        "retain",
        "subscription_ids",
        "after",
        "packet_id",
        "state",
        "stored",
        "dup",
        "revoked",
        "meta",
    )

    def __init__(
        self, queue: "Queue", position: int, message: Message, qos: int, retain: bool, subscription_ids: bytes
    ) -> None:
        self.queue: Queue = queue
        self.position: int = position
        self.message: Message = message
        self.qos: int = qos
        self.retain: bool = retain
        self.subscription_ids: bytes = subscription_ids
        self.after: int = 0
        self.packet_id: int = 0
        self.state: int = READY
        self.stored: bool = False
        self.dup: bool = False
        self.revoked: bool = False
        self.meta: Meta | None = None


def released_ref(queue: "Queue", position: int, packet_id: int) -> Ref:
    """What is left of a QoS 2 message once the receiver has it: a packet identifier to release (MQTT-4.3.3-8)."""
    ref = Ref(queue, position, NO_MESSAGE, 2, False, b"")
    ref.packet_id = packet_id
    ref.state = RELEASED
    return ref


def leased_ref(queue: "Queue", position: int, packet_id: int) -> Ref:
    """A QoS 2 message of a shared queue that one member has, its content still to be read from the store."""
    ref = released_ref(queue, position, packet_id)
    ref.state = LEASED
    ref.stored = True
    ref.dup = True
    return ref


class Consumer:
    """Who takes messages out of a queue: a session, the members of a shared subscription, or a named queue's own."""

    def pump(self, queue: "Queue") -> None:
        """Take what credit allows."""
        raise NotImplementedError

    def holds(self, queue: "Queue", position: int) -> Ref | None:
        """The reference in flight at a position, if there is one."""
        raise NotImplementedError

    def leased_positions(self, queue: "Queue") -> set[int] | None:
        """Positions in flight that a read of the queue must not deliver a second time; None if there are none."""
        raise NotImplementedError

    def settled(self, barrier: "Barrier", ref: Ref) -> None:
        """A message is done with: acknowledged, expired or dropped."""
        ref.queue.settle(barrier, ref)

    def revoked(self, queue: "Queue", positions: set[int]) -> None:
        """What was appended at these positions, or has turned out to be damaged, is not there any more. There may be
        none but those that clients have."""


class Source(Consumer):
    """A queue that several clients take from. ``queue`` is where what is bound to it goes in."""

    queue: "Queue"

    def offer_routed(self, target: "Binding", message: Message, after: int) -> None:
        """Take a message that was routed here; ``after`` is the unit that must be on disk before it is sent."""
        raise NotImplementedError

    def would_reject(self, message: Message) -> bool:
        """Whether the message would be refused to its publisher."""
        raise NotImplementedError

    def acknowledged(self, ref: Ref, reason: int, properties: Properties | None) -> None:
        """A client is done with a message; from 0x80 on, the reason says that it could not handle it, and the
        properties of its PUBACK may say more."""
        raise NotImplementedError

    def returned(self, ref: Ref) -> None:
        """A client has gone without being done with a message; :meth:`pump` is called after the last one."""
        raise NotImplementedError

    def attach(self) -> None:
        """A client that takes messages is connected."""
        raise NotImplementedError

    def detach_if_idle(self) -> None:
        """When nobody is connected any more that takes messages, keep nothing in memory."""
        raise NotImplementedError


class Queue:
    """One queue. ``count`` and ``bytes`` include what is in flight; those of a durable queue, which the store keeps
    too, leave out what the store could not take. The id is never used for another queue."""

    __slots__ = (
        "id",
        "spec",
        "policy",
        "durable",
        "attached",
        "consumer",
        "next_position",
        "committed",
        "count",
        "bytes",
        "sent_to",
        "ready",
        "ready_head",
        "ready_bytes",
        "loaded_to",
        "tail",
        "tail_first",
        "tail_bytes",
        "touched",
        "rewound_in",
        "loading",
        "stale",
        "skipped",
        "deleted",
        "registered",
    )

    def __init__(self, queue_id: int, spec: QueueSpec, policy: QueuePolicy, consumer: Consumer) -> None:
        self.id: int = queue_id
        self.spec: QueueSpec = spec
        self.policy: QueuePolicy = policy
        self.durable: bool = spec.durable
        self.attached: bool = False
        self.consumer: Consumer = consumer
        self.next_position: int = 0
        self.committed: int = 0
        self.count: int = 0
        self.bytes: int = 0
        self.sent_to: int = 0
        self.ready: list[Ref] = []
        self.ready_head: i64 = 0
        self.ready_bytes: int = 0
        self.loaded_to: int = 0
        self.tail: list[Ref] | None = None
        self.tail_first: int = 0
        self.tail_bytes: int = 0
        self.touched: int = 0
        self.rewound_in: int = 0
        self.loading: bool = False
        self.stale: bool = False
        self.skipped: set[int] | None = None
        self.deleted: bool = False
        self.registered: bool = False

    def has_room(self, size: int) -> bool:
        """Whether one more message of ``size`` bytes is within the policy's limits."""
        policy = self.policy
        if policy.max_messages and self.count >= policy.max_messages:
            return False
        return not policy.max_bytes or self.bytes + size <= policy.max_bytes

    def has_waiting(self) -> bool:
        """Whether there are messages that are not in flight."""
        return self.ready_head < len(self.ready) or self.loaded_to < self.next_position

    def over_limit(self) -> bool:
        """Whether the queue holds more than its policy allows (it was let in while the oldest were being read)."""
        policy = self.policy
        if policy.max_messages and self.count > policy.max_messages:
            return True
        return policy.max_bytes != 0 and self.bytes > policy.max_bytes

    def append(
        self, barrier: "Barrier", message: Message, qos: int, retain: bool, subscription_ids: bytes, after: int
    ) -> Ref | None:
        """Append a message. Returns its reference if it is next in line for delivery and nothing is ready before it:
        the caller sends it, or hands it to :meth:`push`. None: the queue keeps it."""
        position = self.next_position
        self.next_position = position + 1
        self.count += 1
        self.bytes += message.size()
        in_memory = self.attached and self.loaded_to == position and self._window_has_room()
        stored = self.durable or not in_memory
        if stored:
            flags = qos | HEAD_RETAIN if retain else qos
            head = record_head(flags, subscription_ids) if subscription_ids else _PLAIN_HEADS[flags]
            if self.touched != barrier.number:
                barrier.touch(self)
            if not self.registered:
                barrier.register(self)
            barrier.unit.append(self.id, position, head, message)
        if not self.attached:
            return None
        ref = Ref(self, position, message, qos, retain, subscription_ids)
        ref.stored = stored
        ref.after = after
        if not in_memory:
            self._append_tail(ref)
            return None
        self.loaded_to = position + 1
        if self.ready_head == len(self.ready):
            return ref
        self.push(ref)
        return None

    def _window_has_room(self) -> bool:
        return len(self.ready) - self.ready_head < WINDOW_REFS and self.ready_bytes < WINDOW_BYTES

    def push(self, ref: Ref) -> None:
        """Put the newest reference at the end of what is ready."""
        self.ready.append(ref)
        self.ready_bytes += ref.message.size()

    def _append_tail(self, ref: Ref) -> None:
        tail = self.tail
        if tail is None:
            tail = self.tail = []
            self.tail_first = ref.position
        tail.append(ref)
        self.tail_bytes += ref.message.size()
        if len(tail) > WINDOW_REFS or self.tail_bytes > WINDOW_BYTES:
            self._drop_tail()

    def _drop_tail(self) -> None:
        self.tail = None
        self.tail_bytes = 0

    def front(self) -> Ref | None:
        """The next message to deliver, if it is in memory."""
        if self.ready_head < len(self.ready):
            return self.ready[self.ready_head]
        if self.ready_head:
            self.ready = []
            self.ready_head = 0
            self.ready_bytes = 0
        tail = self.tail
        if tail is not None and self.tail_first <= self.loaded_to:
            self.ready = tail
            self.ready_bytes = self.tail_bytes
            self.loaded_to = self.tail_first + len(tail)
            self._drop_tail()
            return self.ready[0]
        return None

    def pop_front(self) -> None:
        """Take the reference that :meth:`front` returned out of what is ready."""
        head = self.ready_head
        self.ready_bytes -= self.ready[head].message.size()
        head += 1
        if head >= 512 and head * 2 >= len(self.ready):
            del self.ready[:head]
            head = 0
        self.ready_head = head

    def put_back(self, ref: Ref) -> None:
        """Make a reference that was taken available again, in its place."""
        ref.state = READY
        ref.packet_id = 0
        if ref.stored and ref.position >= self.loaded_to:
            if self.skipped is not None:
                self.skipped.discard(ref.position)
            return  # a read will find it
        self.ready_bytes += ref.message.size()
        low: i64 = self.ready_head
        high: i64 = len(self.ready)
        while low < high:
            middle: i64 = (low + high) // 2
            if self.ready[middle].position < ref.position:
                low = middle + 1
            else:
                high = middle
        if low == self.ready_head and low > 0:
            self.ready_head = low - 1
            self.ready[low - 1] = ref
        else:
            self.ready.insert(low, ref)

    def is_spilled(self) -> bool:
        """Whether there are messages that only the store holds."""
        return self.loaded_to < self.next_position and (self.tail is None or self.tail_first > self.loaded_to)

    def may_load(self, committed: int) -> bool:
        """Whether a page can be read now: something is spilled, on disk, and no read is under way."""
        if self.loading or not self.is_spilled():
            return False
        return self.loaded_to < self.committed and self.rewound_in <= committed

    def absorb(self, records: list[StoredRecord], next_position: int, at_end: bool, committed: int) -> None:
        """Take a page that was read from ``loaded_to`` on, when everything below ``committed`` was on disk."""
        limit = self.tail_first if self.tail is not None else self.next_position
        skipped = self.skipped
        for record in records:
            if record.position >= limit:
                break
            if record.position < self.loaded_to or skipped is not None and record.position in skipped:
                continue
            self.push(self._ref_of(record))
            self.loaded_to = record.position + 1
        reached = committed if at_end else next_position
        self.loaded_to = max(self.loaded_to, min(reached, limit))

    def _ref_of(self, record: StoredRecord) -> Ref:
        flags = record.head[0]
        message = message_from_body(record.body)
        message.body_id = record.body_id
        ref = Ref(self, record.position, message, flags & HEAD_QOS, flags & HEAD_RETAIN != 0, record.head[HEAD_SIZE:])
        ref.stored = True
        ref.dup = record.position < self.sent_to
        return ref

    def settle(self, barrier: "Barrier", ref: Ref) -> None:
        """The message is done with here: acknowledged, expired or dropped."""
        if ref.stored or not self.durable:
            self.count -= 1
            self.bytes -= ref.message.size()
        if ref.stored and not self.deleted:
            if self.touched != barrier.number:
                barrier.touch(self)
            barrier.unit.settle(self.id, ref.position, ref.message.body_id)
            if ref.position >= self.loaded_to:
                self.rewound_in = barrier.number

    def unsettle(self, barrier: "Barrier", ref: Ref) -> None:
        """The message is not done with after all, and the store still has it."""
        self.count += 1
        self.bytes += ref.message.size()
        if self.touched != barrier.number:
            barrier.touch(self)

    def rewind(self, barrier: "Barrier") -> None:
        """Forget what is in memory; the next consumer reads from the oldest unsettled message on.

        What was settled in units not yet on disk must not be read again, so the next read waits for them; the page
        of a read that is under way is ``stale``. What the store has refused, it cannot give back.
        """
        if self.durable:
            for ref in self.ready[self.ready_head :]:
                if not ref.stored:
                    self.settle(barrier, ref)
        self.ready = []
        self.ready_head = 0
        self.ready_bytes = 0
        self._drop_tail()
        self.loaded_to = 0
        self.stale = self.loading
        self.rewound_in = self.touched
        self.attached = False

    def make_durable(self, barrier: "Barrier", in_flight: list[Ref]) -> None:
        """Survive a restart from now on, with what waits: messages that were in memory only are appended again.

        Those ``in_flight`` are not.
        """
        self.durable = True
        self.spec = QueueSpec(self.spec.name, self.spec.kind, True, self.spec.username)
        for ref in in_flight:
            if not ref.stored:
                self.count -= 1
                self.bytes -= ref.message.size()
        unstored = [ref for ref in self.ready[self.ready_head :] if not ref.stored]
        if not unstored:
            return
        self.ready = [ref for ref in self.ready[self.ready_head :] if ref.stored]
        self.ready_head = 0
        self.ready_bytes = sum([ref.message.size() for ref in self.ready])
        for ref in unstored:
            self.count -= 1
            self.bytes -= ref.message.size()
            again = self.append(barrier, ref.message, ref.qos, ref.retain, ref.subscription_ids, ref.after)
            if again is not None:
                self.push(again)

    def revoke(self, segments: list[Segment], bodies: dict[int, bytes], settled: list[int]) -> None:
        """A unit was refused by the store: take its appends back, except what has been sent already.

        ``settled`` are the runs of positions that were done with after the unit had been handed over.
        """
        done: set[int] = set()
        for index in range(0, len(settled), 2):
            done.update(range(settled[index], settled[index + 1] + 1))
        gone: set[int] = set()
        held_some = False
        for segment in segments:
            position = segment.first
            for record in segment.records:
                if record and position not in done:
                    held = self.consumer.holds(self, position)
                    if held is not None:
                        held.stored = False
                        held_some = True
                    if held is None or self.durable:
                        self.count -= 1
                        self.bytes -= _size_of(record, bodies)
                    if held is None:
                        gone.add(position)
                    else:
                        held.revoked = self.durable
                position += 1
        if gone:
            self._discard(gone)
        if gone or held_some:
            self.consumer.revoked(self, gone)

    def _discard(self, positions: set[int]) -> None:
        self.ready = [ref for ref in self.ready[self.ready_head :] if ref.position not in positions]
        self.ready_head = 0
        self.ready_bytes = sum([ref.message.size() for ref in self.ready])
        if self.tail is not None:
            self._drop_tail()

    def wants_oldest(self) -> bool:
        """Whether the oldest message must be read before it can be dropped to make room."""
        return self.policy.overflow is Overflow.DROP_OLDEST and self.over_limit()


def _size_of(record: bytes, bodies: dict[int, bytes]) -> int:
    _, body, body_id = split_record(record)
    return message_from_body(bodies[body_id] if body_id else body).size()
