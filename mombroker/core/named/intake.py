"""The way into a named queue: refused or taken, recognised as a repetition, put into the lane it belongs in."""

from typing import TYPE_CHECKING, Final

from mombroker.core.named import deaths
from mombroker.core.named.dedup import SeenIds
from mombroker.core.named.meta import PLAIN, BadOption, Meta, meta_of
from mombroker.core.queue import Queue, Ref
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.operations.problems import QUEUE_FULL, QUOTA

if TYPE_CHECKING:
    from mombroker.core.named.queue import NamedQueue

TRIMMED_AT_ONCE: Final = 1000
TRIMMING: Final = (Overflow.DROP_OLDEST, Overflow.DEAD_LETTER)
"""What makes room for one message too many by letting go of older ones."""

LANE_POLICY: Final = QueuePolicy(max_messages=0, max_bytes=0)
"""Of every lane: limits are the named queue's business."""


def options_of(queue: "NamedQueue", message: Message) -> Meta:
    """What the publisher of a routed message wants. What cannot be read counts as not said: it was published to a
    topic, perhaps without a thought of queues."""
    try:
        return meta_of(message, queue.engine.now)
    except BadOption:
        return PLAIN


def refusal(queue: "NamedQueue", message: Message, meta: Meta) -> str:
    """The code of the problem for which a message would be refused; empty if it would be taken, or was before."""
    if is_repetition(queue, meta):
        return ""
    return refusal_of(queue, 1, message.size(), message)


def refusal_of(queue: "NamedQueue", count: int, size: int, message: Message) -> str:
    """The same for ``count`` messages of ``size`` bytes in all, of which ``message`` is one."""
    engine = queue.engine
    if not queue.owner.has_room(engine.limits, count, size):
        return QUOTA
    if has_room(queue, count, size):
        return ""
    overflow = engine.hooks.overflow(queue.spec, message, queue.policy.overflow)
    return QUEUE_FULL if overflow is Overflow.REJECT else ""


def has_room(queue: "NamedQueue", count: int, size: int) -> bool:
    """Whether so much more is within the queue's limits."""
    policy = queue.policy
    if policy.max_messages and queue.count + count > policy.max_messages:
        return False
    return not policy.max_bytes or queue.bytes + size <= policy.max_bytes


def is_repetition(queue: "NamedQueue", meta: Meta) -> bool:
    """Whether a message with this id was taken within the window."""
    return bool(meta.id) and queue.seen is not None and queue.seen.knows(meta.id, queue.engine.now)


def enqueue(queue: "NamedQueue", message: Message, meta: Meta) -> str:
    """Take a message that is not to be refused. Returns its id, empty for a repetition, which is not taken again.

    The caller lets the queue :meth:`~NamedQueue.pump` afterwards.
    """
    engine = queue.engine
    numbers = queue.numbers
    if is_repetition(queue, meta):
        numbers.duplicates += 1
        # Whoever sends it waits for the commit all the same: the first one may not be on disk yet.
        engine.barrier.unit.ops += 1
        return ""
    numbers.enqueued += 1
    numbers.enqueue_rate.add(1, engine.now)
    queue.used_at = engine.now
    size = message.size()
    full = not has_room(queue, 1, size)
    if full and engine.hooks.overflow(queue.spec, message, queue.policy.overflow) is Overflow.DROP_NEWEST:
        numbers.dropped += 1
        engine.dropped(queue.name, message.topic, "overflow", 1)
        return meta.id or "dropped"
    message_id = put(queue, message, meta)
    queue.count += 1
    queue.bytes += size
    queue.owner.change(1, size)
    if meta.id and queue.policy.dedup_window:
        if queue.seen is None:
            queue.seen = SeenIds(queue.name)
        queue.seen.remember(engine.barrier, meta.id, engine.now + queue.policy.dedup_window)
    if full:
        trim(queue)
    return message_id


def enqueue_dead(queue: "NamedQueue", message: Message, meta: Meta) -> None:
    """Take a message from another queue, whatever the limits; the oldest ones make room."""
    queue.numbers.enqueued += 1
    queue.numbers.enqueue_rate.add(1, queue.engine.now)
    size = message.size()
    put(queue, message, meta)
    queue.count += 1
    queue.bytes += size
    queue.owner.change(1, size)
    if not has_room(queue, 0, 0):
        trim(queue)


def put(queue: "NamedQueue", message: Message, meta: Meta) -> str:
    """Append a message to the lane it belongs in, which counts it; returns its id."""
    lane = lane_for(queue, meta)
    if message.expires_at != 0.0:
        queue.expiring = True
    position = lane.next_position
    ref = lane.append(queue.engine.barrier, message, message.qos, message.retain, meta.encode(), 0)
    if ref is not None:
        lane.push(ref)
    return meta.id or f"{lane.id:x}-{position:x}"


def lane_for(queue: "NamedQueue", meta: Meta) -> Queue:
    """The lane of a message: by the time it is due, or else by its priority."""
    now = queue.engine.now
    if meta.deliver_at > now:
        place = queue.wheel.place(meta.deliver_at, now)
        bucket = queue.wheel.buckets.get(place)
        if bucket is None:
            bucket = queue.wheel.buckets[place] = new_lane(queue, f"d{place[0]}.{place[1]}", True)
        return bucket
    return priority_lane(queue, meta.priority)


def priority_lane(queue: "NamedQueue", priority: int) -> Queue:
    """The lane of a priority, made for its first message."""
    lane = queue.lanes[priority]
    if lane is None:
        # A service's main lane is for requests that are kept, the others for those whose callers wait.
        lane = new_lane(queue, f"p{priority}", queue.spec.durable or priority == 0)
        lane.attached = queue.attached
        queue.lanes[priority] = lane
    return lane


def open_main_lane(queue: "NamedQueue") -> None:
    """The lane that bindings lead to; there is always one."""
    queue.queue = priority_lane(queue, 0)


def new_lane(queue: "NamedQueue", label: str, durable: bool, lane_id: int = 0) -> Queue:
    """A lane; ``lane_id`` is that of one which the store has."""
    engine = queue.engine
    spec = QueueSpec(f"{queue.name}#{label}", queue.spec.kind, durable, queue.spec.username)
    lane = Queue(lane_id or engine.new_id(), spec, LANE_POLICY, queue)
    lane.registered = lane_id != 0
    engine.queues_by_id[lane.id] = lane
    return lane


def move(queue: "NamedQueue", ref: Ref, meta: Meta) -> None:
    """Put a message of this queue into another lane of it, in one unit of work."""
    engine = queue.engine
    message = ref.message
    old = ref.queue
    old.settle(engine.barrier, ref)
    queue.let_go(ref)
    queue.returns.pop((old.id, ref.position), None)
    put(queue, message, meta)


def trim(queue: "NamedQueue") -> None:
    """Make room as the policy says, as far as the oldest messages are in memory; reads them if they are not."""
    queue.attach_lanes()
    for _ in range(TRIMMED_AT_ONCE):
        if has_room(queue, 0, 0):
            return
        ref = _oldest(queue)
        if ref is None:
            return
        if queue.policy.overflow is Overflow.DEAD_LETTER:
            deaths.bury(queue, ref, "overflow")
        else:
            queue.numbers.dropped += 1
            queue.engine.drop_ref(ref, "overflow")


def _oldest(queue: "NamedQueue") -> Ref | None:
    """The oldest message of the lowest priority, taken out of its lane; None if it is not in memory."""
    for lane in queue.lanes:
        if lane is None:
            continue
        ref = lane.front()
        if ref is not None:
            lane.pop_front()
            return ref
        if lane.is_spilled():
            queue.load(lane)
            return None
    return None
