"""The end of a delivery that came to nothing: a message is available again, waits for another try, or is given up."""

from typing import TYPE_CHECKING

from mombroker.core.named import deaths
from mombroker.core.named.moving import RETRY, Move, move, put_off
from mombroker.core.named.records import put_returned
from mombroker.core.queue import READY, Ref

if TYPE_CHECKING:
    from mombroker.core.named.queue import NamedQueue


def nack(queue: "NamedQueue", ref: Ref, delay: float) -> None:
    """A message could not be handled: it is for the next consumer, in its place, after ``delay`` seconds."""
    if delay <= 0.0:
        queue.returned(ref)
        return
    deliveries = delivered_in_vain(queue, ref)
    if deliveries == 0:
        return
    meta = queue.meta(ref)
    engine = queue.engine
    why = Move(RETRY, "", engine.now + delay)
    if meta.key or engine.barrier.refusing or not ref.queue.durable:
        # With a key it keeps its place at the head of its line, and so for its lane it is still held.
        put_off(queue, ref, why)
        return
    again = meta.copy()
    again.id = queue.id_of(ref)
    again.deliveries = deliveries
    again.deliver_at = why.due
    move(queue, ref, queue, ref.message, again, why)


def delivered_in_vain(queue: "NamedQueue", ref: Ref) -> int:
    """Count a delivery. 0: it was the last one, and the message is gone."""
    if ref.revoked:
        # The store had no room for it and its publisher was told so: it is not ours to deliver again.
        queue.settled(queue.engine.barrier, ref)
        return 0
    deliveries = queue.deliveries(ref) + 1
    most = queue.policy.max_deliveries
    put_returned(queue, ref, deliveries, not most or deliveries < most)
    if most and deliveries >= most:
        deaths.bury(queue, ref, "max-deliveries")
        return 0
    return deliveries


def make_ready(queue: "NamedQueue", ref: Ref) -> None:
    """Put a message that is not held any more back to where the next consumer finds it."""
    if ref.revoked:
        # As above: not ours to deliver again.
        queue.settled(queue.engine.barrier, ref)
        return
    meta = queue.meta(ref)
    lane = ref.queue
    if ref.stored and ref.position >= lane.loaded_to:
        # The lane was put away meanwhile, and reading it will find the message.
        lane.put_back(ref)
        if meta.key:
            for other in queue.keys.abandon(meta.key):
                queue.loose.add(other, queue.meta(other).priority, float(other.position))
    elif meta.key:
        queue.loose.add(ref, meta.priority, 0.0)
    elif lane is queue.lanes[meta.priority]:
        lane.put_back(ref)
    else:
        ref.state = READY
        queue.loose.add(ref, meta.priority, meta.deliver_at)
