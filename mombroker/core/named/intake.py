"""The way into a named queue: refused or taken, recognised as a repetition, put into the lane it belongs in."""

from typing import TYPE_CHECKING, Final

from mombroker.core.named import deaths
from mombroker.core.named.dedup import Repetition, SeenIds
from mombroker.core.named.meta import HIGHEST, PLAIN, BadOption, Meta, meta_of
from mombroker.core.named.wheel import begins_at
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


def refusal_detail(queue: "NamedQueue", code: str) -> str:
    """What there is to tell about a refusal."""
    if code == QUOTA:
        return f"the owner of {queue.name} has as much in queues as is allowed"
    return f"{queue.name} holds {queue.count} messages of {queue.bytes} bytes, and no more fit"


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


def may_enter(queue: "NamedQueue", message: Message, meta: Meta) -> bool:
    """Whether there is room for a message that nobody can be refused; if not, it is counted as dropped."""
    engine = queue.engine
    cause = "disk-full" if engine.barrier.refusing else ""
    if not cause and refusal(queue, message, meta):
        cause = "overflow"
    if cause:
        queue.numbers.dropped += 1
        engine.dropped(queue.name, message.topic, cause, 1)
    return not cause


def enqueue(queue: "NamedQueue", message: Message, meta: Meta) -> str:
    """Take a message that is not to be refused. Returns its id, empty for a repetition, which is not taken again.

    The caller lets the queue :meth:`~NamedQueue.pump` afterwards.
    """
    engine = queue.engine
    barrier = engine.barrier
    numbers = queue.numbers
    if queue.seen is not None and is_repetition(queue, meta):
        numbers.duplicates += 1
        # Whoever sends it waits for the commit all the same: the first one may not be on disk yet. If it never is,
        # this one takes its place.
        barrier.unit.ops += 1
        first = queue.seen.open.get(meta.id)
        if first is not None and first.number < barrier.number:
            first.again = Again(queue, message, meta)
        return ""
    enter(queue)
    size = message.size()
    overflow = queue.policy.overflow
    full = not has_room(queue, 1, size)
    if full:
        overflow = engine.hooks.overflow(queue.spec, message, overflow)
    if full and overflow is Overflow.DROP_NEWEST:
        numbers.dropped += 1
        engine.dropped(queue.name, message.topic, "overflow", 1)
        return meta.id or "dropped"
    message_id = put(queue, message, meta, 0)
    queue.change(1, size)
    if meta.id and queue.policy.dedup_window:
        if queue.seen is None:
            queue.seen = SeenIds(queue.name)
        queue.seen.remember(barrier, meta.id, engine.now + queue.policy.dedup_window)
    if full:
        trim(queue, overflow)
    return message_id


class Again(Repetition):
    """A message that came again before the first one was on disk."""

    def __init__(self, queue: "NamedQueue", message: Message, meta: Meta) -> None:
        self.queue: NamedQueue = queue
        self.message: Message = message
        self.meta: Meta = meta

    def take(self) -> None:
        """The first one was not kept, so this one is not a repetition."""
        if not self.queue.deleted:
            enqueue(self.queue, self.message, self.meta)


def enter(queue: "NamedQueue") -> None:
    """Count a message that comes in."""
    now = queue.engine.now
    queue.numbers.enqueued += 1
    queue.numbers.enqueue_rate.add(1, now)
    queue.used_at = now


def put(queue: "NamedQueue", message: Message, meta: Meta, after: int) -> str:
    """Append a message to the lane it belongs in, which counts it; returns its id. Nobody gets it before the unit
    ``after`` is on disk."""
    lane = lane_for(queue, meta)
    if message.expires_at != 0.0 or queue.policy.message_ttl:
        look_by(queue, message, meta)
    position = lane.next_position
    ref = lane.append(queue.engine.barrier, message, message.qos, message.retain, meta.encode(), after)
    if ref is not None:
        ref.meta = meta
        lane.push(ref)
    return meta.id or f"{lane.id:x}-{position:x}"


def look_by(queue: "NamedQueue", message: Message, meta: Meta) -> None:
    """See to it that somebody looks when this message expires."""
    queue.expiring = True
    expires_at = expiry_of(queue, message, meta)
    if queue.look_at == 0.0 or expires_at < queue.look_at:
        queue.look_at = expires_at


def expiry_of(queue: "NamedQueue", message: Message, meta: Meta) -> float:
    """When a message has waited too long here, or is worthless; 0.0 for never."""
    ttl = queue.policy.message_ttl
    if ttl == 0.0:
        return message.expires_at
    waited = max(meta.since or message.published_at, meta.deliver_at) + ttl
    return min(waited, message.expires_at) if message.expires_at else waited


def lane_for(queue: "NamedQueue", meta: Meta) -> Queue:
    """The lane of a message: by the time it is due, or else by its priority."""
    now = queue.engine.now
    if meta.deliver_at > now:
        place = queue.wheel.place(meta.deliver_at, now)
        bucket = queue.wheel.find(place)
        if bucket is None:
            bucket = new_lane(queue, f"d{place[0]}.{place[1]}", True)
            queue.wheel.add(place, bucket)
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


def trim(queue: "NamedQueue", overflow: Overflow) -> None:
    """Make room as far as the oldest messages are in memory; reads them if they are not, and goes on then."""
    queue.making_room = None if has_room(queue, 0, 0) else overflow
    if overflow is not Overflow.DEAD_LETTER:
        drop_oldest(queue)
        return
    queue.attach_lanes()
    for _ in range(TRIMMED_AT_ONCE):
        if has_room(queue, 0, 0) or queue.engine.barrier.refusing:
            return
        ref = _oldest(queue, queue.engine.barrier.committed)
        if ref is None:
            return
        deaths.bury(queue, ref, "overflow")


def drop_oldest(queue: "NamedQueue") -> None:
    """Make room by dropping the oldest messages."""
    if has_room(queue, 0, 0):
        return
    queue.attach_lanes()
    for _ in range(TRIMMED_AT_ONCE):
        if has_room(queue, 0, 0):
            return
        ref = _oldest(queue, queue.engine.barrier.number)
        if ref is None:
            return
        if queue.service is not None:
            queue.service.in_vain(ref, "overflow")
        else:
            queue.numbers.dropped += 1
            queue.engine.drop_ref(ref, "overflow")


def _oldest(queue: "NamedQueue", committed: int) -> Ref | None:
    """The oldest message of the lowest priority, taken out of what waits; if there is none but those that wait for a
    time, the next of these. None if it is not in memory, or not on disk as far as ``committed``."""
    for priority in range(HIGHEST + 1):
        lane = queue.lanes[priority]
        if lane is not None and (lane.front() is not None or lane.is_spilled()):
            # Those that stand in line for their key were there before those that are in a lane.
            return queue.keys.take_parked(priority) or _front(queue, lane, committed)
    ref = queue.keys.take_parked(HIGHEST)
    if ref is not None:
        return ref
    if queue.loose.ready:
        return queue.loose.take()
    buckets = queue.wheel.buckets
    later = sorted([place for place in buckets if buckets[place].count], key=_begins)
    for bucket in [*queue.wheel.due.values(), *[buckets[place] for place in later]]:
        bucket.attached = True
        if bucket.front() is not None or bucket.is_spilled():
            return _front(queue, bucket, committed)
    return None


def _begins(place: tuple[int, int]) -> float:
    return begins_at(place[0], place[1])


def _front(queue: "NamedQueue", lane: Queue, committed: int) -> Ref | None:
    ref = lane.front()
    if ref is None:
        if lane.is_spilled():
            queue.load(lane)
        return None
    if ref.after > committed:
        return None
    lane.pop_front()
    return ref
