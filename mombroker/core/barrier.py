"""The commit barrier: what one loop turn wants on disk, and the acknowledgements that wait for it.

At most one unit is with the store at a time; the next one fills meanwhile, so batches grow with load by themselves.
An acknowledgement waits for the open unit if its publish put anything into it, or if an earlier acknowledgement of
the same connection still waits (MQTT-4.6.0-2). With a ``lazy`` barrier (durability "interval") nothing waits, and
the unit is handed over when its interval has passed.
"""

import struct
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from mombroker.core.queue import Queue, Ref
from mombroker.core.records import digest, queue_record
from mombroker.model.errors import StoreFull
from mombroker.model.message import Message
from mombroker.model.unit import TABLE_DEDUP, TABLE_INFLIGHT, TABLE_QUEUE, TABLE_RETAINED, TABLE_TALLY, Unit

if TYPE_CHECKING:
    from mombroker.core.bindings import Binding
    from mombroker.core.connection import Connection
    from mombroker.core.session import Session

TALLY: Final = struct.Struct(">QQQQ")
QUEUE_KEY: Final = struct.Struct(">Q")


class Promise:
    """A packet that goes out when its unit is on disk, and what follows it.

    ``opens``: it is the CONNACK, and the connection goes on. ``retained``: it is a SUBACK, and these messages of
    QoS 0 follow it.
    """

    __slots__ = ("connection", "data", "opens", "retained")

    def __init__(
        self, connection: "Connection", data: bytes, opens: bool, retained: "list[tuple[Message, Binding]] | None"
    ) -> None:
        self.connection: Connection = connection
        self.data: bytes = data
        self.opens: bool = opens
        self.retained: list[tuple[Message, Binding]] | None = retained


@mypyc_attr(allow_interpreted_subclasses=True)
class Outcome:
    """Whoever has to know what has become of a unit: exactly one of its methods is called, once.

    ``carried``: when the store has no room for the unit, what this one waits for is carried over to the next, and so
    is this one; otherwise it is told of the refusal.
    """

    def __init__(self, carried: bool) -> None:
        self.carried: bool = carried

    def kept(self) -> None:
        """The unit is on disk."""

    def refused(self) -> None:
        """The store had no room for the unit: its messages were taken back."""


class Waiting:
    """What has to happen once a unit is on disk."""

    __slots__ = ("acks", "promises", "outcomes", "queues", "sessions", "sendable", "retained")

    def __init__(self) -> None:
        self.acks: list[tuple[Connection, list[int]]] = []
        self.promises: list[Promise] = []
        self.outcomes: list[Outcome] = []
        self.queues: list[tuple[Queue, int]] = []
        self.sessions: list[Session] = []
        self.sendable: list[tuple[Session, Ref]] = []
        self.retained: list[tuple[str, Message | None]] = []


class Barrier:
    """Fills units, hands them over one at a time, and says what may go out when. ``number`` is the open unit's."""

    def __init__(self, lazy: bool) -> None:
        self.lazy: bool = lazy
        self.number: int = 1
        self.committed: int = 0
        self.unit: Unit = Unit(1)
        self.refusing: bool = False
        self.full: bool = False
        self.due: bool = False
        self.retry: bool = False
        self.ending: dict[str, int] = {}
        self.handed: Unit | None = None
        self.handed_waiting: Waiting = Waiting()
        self._connections: list[Connection] = []
        self._queues: list[Queue] = []
        self._sessions: list[Session] = []
        self._promises: list[Promise] = []
        self._outcomes: list[Outcome] = []
        self._sendable: list[tuple[Session, Ref]] = []
        self._retained: list[tuple[str, Message | None]] = []

    def touch(self, queue: Queue) -> None:
        """The open unit changes this queue; its tally goes along."""
        queue.touched = self.number
        self._queues.append(queue)

    def register(self, queue: Queue) -> None:
        """Note in the store that the queue exists, so that its records can be found, or dropped, after a restart."""
        queue.registered = True
        self.unit.put(TABLE_QUEUE, QUEUE_KEY.pack(queue.id), queue_record(queue.spec))

    def touch_session(self, session: "Session") -> None:
        """The session's in-flight state goes into the open unit."""
        if session.touched != self.number:
            session.touched = self.number
            self._sessions.append(session)

    def session_ended(self, client_id: str) -> None:
        """The open unit forgets a durable session."""
        self.ending[client_id] = self.number

    def is_ending(self, client_id: str) -> bool:
        """Whether the end of a client's session is not on disk yet: a crash would bring it back."""
        return client_id in self.ending

    def is_idle(self) -> bool:
        """Whether nothing is waiting to be written, or for what is being written."""
        if self.handed is not None or self.unit.writes or self._sessions:
            return False
        return not (self._connections or self._queues or self._promises or self._outcomes or self._sendable)

    def is_clean(self) -> bool:
        """Whether the open unit has nothing to write."""
        return self.unit.writes == 0 and not self._sessions

    def ack(self, connection: "Connection", packet_type: int, packet_id: int, reason: int, durable: bool) -> None:
        """Acknowledge a packet: at once, or when everything it promises is on disk."""
        code = packet_type << 24 | reason << 16 | packet_id
        if self.lazy or (not durable and connection.acks_in <= self.committed):
            connection.send_ack(code)
            return
        connection.acks.append(code)
        if connection.acks_in != self.number:
            connection.acks_in = self.number
            self._connections.append(connection)

    def pump_later(self, queue: Queue) -> None:
        """Let the queue's consumer go on when the open unit is on disk."""
        if queue.touched != self.number:
            self.touch(queue)

    def promise(self, promise: Promise) -> None:
        """Keep a packet until the open unit is on disk."""
        self._promises.append(promise)

    def tell(self, outcome: Outcome) -> None:
        """Tell somebody what becomes of the open unit."""
        self._outcomes.append(outcome)

    def retain(self, message: Message, before: Message | None) -> None:
        """Store a retained message; ``before`` is what its topic had, should the store refuse the unit."""
        self.unit.put(TABLE_RETAINED, digest(message.topic), message.body())
        self._retained.append((message.topic, before))

    def is_retaining(self, topic: str) -> bool:
        """Whether the open unit changes what is retained for a topic."""
        return (TABLE_RETAINED, digest(topic)) in self.unit.puts

    def send_after_commit(self, session: "Session", ref: Ref) -> None:
        """Let the session send a message whose lease goes into the open unit."""
        self._sendable.append((session, ref))

    def ready_to_hand_over(self) -> bool:
        """Whether the open unit should go to the store now."""
        if self.handed is not None:
            return False
        if self.refusing:
            return self.retry
        if self.unit.writes == 0 and not self._sessions:
            waits = self._connections or self._promises or self._outcomes or self._sendable or self._queues
            return bool(waits)
        return not self.lazy or self.due

    def hand_over(self) -> Unit:
        """Close the open unit for the store and begin the next one."""
        unit = self.unit
        writes = unit.writes > 0
        waiting = Waiting()
        for queue in self._queues:
            if not queue.deleted:
                waiting.queues.append((queue, queue.next_position))
            if writes and queue.registered and not queue.deleted:
                tally = TALLY.pack(queue.next_position, queue.count, queue.bytes, queue.sent_to)
                unit.put(TABLE_TALLY, QUEUE_KEY.pack(queue.id), tally)
        for session in self._sessions:
            if session.durable and not session.ended:
                unit.put(TABLE_INFLIGHT, QUEUE_KEY.pack(session.queue.id), session.inflight_record())
        for connection in self._connections:
            waiting.acks.append((connection, connection.acks))
            connection.acks = []
        waiting.promises = self._promises
        waiting.outcomes = self._outcomes
        waiting.sessions = self._sessions
        waiting.sendable = self._sendable
        waiting.retained = self._retained
        self._begin(waiting, unit)
        return unit

    def _begin(self, waiting: Waiting, unit: Unit) -> None:
        self.handed = unit
        self.handed_waiting = waiting
        self.number += 1
        self.unit = Unit(self.number)
        self.due = False
        self.retry = False
        self._connections = []
        self._queues = []
        self._sessions = []
        self._promises = []
        self._outcomes = []
        self._sendable = []
        self._retained = []

    def completed(self) -> Waiting:
        """The unit with the store is on disk: what waited for it."""
        waiting = self.handed_waiting
        handed = self.handed
        self.committed = self.number - 1
        self.handed = None
        self.handed_waiting = Waiting()
        self.refusing = False
        if self.ending:
            self.ending = {client_id: number for client_id, number in self.ending.items() if number > self.committed}
        if handed is not None and (handed.segments or waiting.retained):
            self.full = False
        for queue, position in waiting.queues:
            queue.committed = position
        return waiting

    def refused(self) -> Waiting:
        """The store had no room for the unit: take its messages back and carry everything else over.

        Returns what waited for it: its acknowledgements must now be refusals, its retained messages go back to what
        they were. State changes and settled messages are kept for the next attempt, since they take less room than
        they free; promises go on waiting with them.
        """
        unit = self.handed
        if unit is None:
            raise StoreFull("the store refused a unit that was never handed over")
        waiting = self.handed_waiting
        for queue, _ in waiting.queues:
            segments = unit.segments.get(queue.id)
            if segments is not None:
                queue.revoke(segments, unit.bodies, self.unit.settled.get(queue.id) or [])
        self.handed = None
        self.handed_waiting = Waiting()
        self.refusing = True
        self.full = True
        self.committed = self.number - 1
        for client_id in self.ending:
            self.ending[client_id] = self.number
        self._carry_over(unit)
        self._promises = waiting.promises + self._promises
        self._outcomes = [outcome for outcome in waiting.outcomes if outcome.carried] + self._outcomes
        self._sendable = waiting.sendable + self._sendable
        for session in waiting.sessions:
            self.touch_session(session)
        for queue, _ in waiting.queues:
            if queue.touched != self.number and not queue.deleted:
                self.touch(queue)
            if queue.rewound_in == unit.number:
                queue.rewound_in = self.number
        return waiting

    def _carry_over(self, old: Unit) -> None:
        unit = self.unit
        for key, value in old.puts.items():
            # An id is remembered for its message, and that is not kept.
            is_message = (key[0] == TABLE_RETAINED or key[0] == TABLE_DEDUP) and value is not None
            if key not in unit.puts and not is_message:
                unit.puts[key] = value
                unit.writes += 1
        for queue_id in old.settled:
            runs = old.settled_without_moved(queue_id)
            if not runs:
                continue
            newer = unit.settled.get(queue_id)
            unit.settled[queue_id] = runs + newer if newer is not None else runs
            unit.writes += 1
        for queue_id in old.dropped_queues:
            unit.drop_queue(queue_id)
        for body_id, change in old.settled_refs().items():
            unit.body_refs[body_id] = unit.body_refs.get(body_id, 0) + change

    def pending_bytes(self) -> int:
        """Bytes in the open unit."""
        return self.unit.size
