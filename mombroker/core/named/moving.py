"""Messages that move from one lane to another, in one unit of work: to wait again, or to become dead letters.

Nobody is given a message that has moved before its move is on disk. So if the store has no room for it, the move is
undone, as if it had not been tried: the message is where it was, on disk it never was anywhere else. While the disk
is full no message is moved at all, since that would keep room from being made.
"""

from typing import TYPE_CHECKING, Final

from mombroker.core.barrier import Outcome
from mombroker.core.named.meta import Meta
from mombroker.core.named.records import put_returned
from mombroker.core.queue import READY, Ref
from mombroker.model.message import Message

if TYPE_CHECKING:
    from mombroker.core.named.queue import NamedQueue

RETRY: Final = 0
CASCADE: Final = 1
BURIAL: Final = 2
REDRIVE: Final = 3
"""Why a message moves: it is to be tried again later, to wait in a shorter bucket, to be a dead letter, or none."""


class Move:
    """``kind`` and ``reason`` say why, ``due`` when it is to be tried again."""

    __slots__ = ("kind", "reason", "due")

    def __init__(self, kind: int, reason: str = "", due: float = 0.0) -> None:
        self.kind: int = kind
        self.reason: str = reason
        self.due: float = due


def move(queue: "NamedQueue", ref: Ref, target: "NamedQueue", message: Message, meta: Meta, why: Move) -> None:
    """Move a message, which ``meta`` is to be known of from then on, to a queue, which may be the same one."""
    barrier = queue.engine.barrier
    deliveries = queue.deliveries(ref)
    # First into its new place: leaving the old one drops the count of a shared body, which must not reach zero.
    target.put(message, meta, barrier.number)
    target.change(1, message.size())
    lane = ref.queue
    was_stored = ref.stored and barrier.unit.moves(lane.id, ref.position, ref.message.body_id)
    queue.settled(barrier, ref)
    if was_stored:
        barrier.tell(Moved(queue, ref, target, message, meta, why, deliveries))


class Moved(Outcome):
    """A move that is not on disk yet."""

    def __init__(
        self, queue: "NamedQueue", ref: Ref, target: "NamedQueue", message: Message, meta: Meta, why: Move, count: int
    ) -> None:
        super().__init__(False)
        self.queue: NamedQueue = queue
        self.ref: Ref = ref
        self.target: NamedQueue = target
        self.message: Message = message
        self.meta: Meta = meta
        self.why: Move = why
        self.deliveries: int = count

    def refused(self) -> None:
        """The store had no room: the message is still where it was."""
        queue = self.queue
        ref = self.ref
        lane = ref.queue
        if not queue.deleted and not lane.deleted:
            lane.unsettle(queue.engine.barrier, ref)
            queue.change(1, ref.message.size())
            if self.deliveries:
                # The last delivery is not on disk before the burial is: a restart would deliver once more than allowed.
                most = queue.policy.max_deliveries
                put_returned(queue, ref, min(self.deliveries, most - 1) if most else self.deliveries, True)
                queue.returns[(lane.id, ref.position)] = self.deliveries
            put_off(queue, ref, self.why)
        elif self.target is not queue and not self.target.deleted:
            # Where it was is gone. It has been accepted, so it must get into its new place. (If that is in the same
            # queue, a purge has taken it there too.)
            self.target.put(self.message, self.meta, 0)
            self.target.change(1, self.message.size())


def put_off(queue: "NamedQueue", ref: Ref, why: Move) -> None:
    """A message cannot be moved now: it stays, and it is tried again when the disk has room."""
    ref.state = READY
    if why.kind == CASCADE:
        ref.queue.put_back(ref)
    elif why.kind == REDRIVE:
        queue.let_go(ref)
        queue.make_ready(ref)
    else:
        queue.hold(ref)
        queue.put_off += 1
        if why.kind == RETRY:
            queue.loose.add_later(ref, why.due)
        else:
            queue.doomed.append((ref, why.reason))
