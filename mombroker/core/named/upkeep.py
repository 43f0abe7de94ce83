"""What time does to a named queue: delays pass, leases run out, messages expire, pulls end, idle ones leave memory."""

from typing import TYPE_CHECKING, Final

from mombroker.core.named import deaths, intake
from mombroker.core.named.consumers import Pull, StreamConsumer
from mombroker.core.named.meta import PLAIN
from mombroker.core.named.wheel import Wheel
from mombroker.core.queue import WINDOW_REFS, Queue, Ref
from mombroker.core.timers import NAMED

if TYPE_CHECKING:
    from mombroker.core.named.queue import NamedQueue

IDLE_SECONDS: Final = 60.0
"""How long a queue that nobody takes from keeps messages in memory."""

EXPIRY_SECONDS: Final = 1.0
"""How often the front of a queue is looked at for messages that have expired."""

MOVED_AT_ONCE: Final = 4096


def gather(queue: "NamedQueue") -> None:
    """Make ready what has come due."""
    loose = queue.loose
    now = queue.engine.now
    ref = loose.take_due(now)
    while ref is not None:
        queue.let_go(ref)
        queue.make_ready(ref)
        ref = loose.take_due(now)
    wheel = queue.wheel
    if wheel.buckets or wheel.due or wheel.moving:
        wheel.begin(now)
        for bucket in list(wheel.moving):
            _empty_into_shorter(queue, bucket)
        if queue.attached:
            for bucket in list(wheel.due):
                _hand_out(queue, bucket)
    if queue.policy.overflow in intake.TRIMMING and not intake.has_room(queue, 0, 0):
        intake.trim(queue)


def _empty_into_shorter(queue: "NamedQueue", bucket: Queue) -> None:
    """Move the messages of a long bucket to where they belong by now."""
    bucket.attached = True
    for _ in range(MOVED_AT_ONCE):
        ref = bucket.front()
        if ref is None:
            break
        bucket.pop_front()
        meta = queue.meta(ref)
        if meta is PLAIN or not meta.id:
            meta = meta.copy()
            meta.id = queue.id_of(ref)
        intake.move(queue, ref, meta)
    if bucket.count == 0:
        _end_bucket(queue, bucket)
    elif bucket.front() is not None:
        queue.engine.barrier.pump_later(bucket)
    elif bucket.is_spilled():
        queue.load(bucket)


def _hand_out(queue: "NamedQueue", bucket: Queue) -> None:
    """Take messages out of a bucket that has begun, as many as may be in memory."""
    loose = queue.loose
    now = queue.engine.now
    bucket.attached = True
    while loose.size() < WINDOW_REFS:
        ref = bucket.front()
        if ref is None:
            break
        bucket.pop_front()
        meta = queue.meta(ref)
        if meta.deliver_at <= now:
            loose.add(ref, meta.priority, meta.deliver_at)
        else:
            loose.add_later(ref, meta.deliver_at)
    if bucket.count == 0:
        _end_bucket(queue, bucket)
    elif loose.size() < WINDOW_REFS and bucket.is_spilled():
        queue.load(bucket)


def _end_bucket(queue: "NamedQueue", bucket: Queue) -> None:
    queue.wheel.forget(bucket)
    end_lane(queue, bucket)


def end_lane(queue: "NamedQueue", lane: Queue) -> None:
    """A lane goes, with whatever is in it."""
    engine = queue.engine
    lane.deleted = True
    engine.queues_by_id.pop(lane.id, None)
    if lane.registered:
        engine.drop_records(lane.id)


def answer_pulls(queue: "NamedQueue") -> None:
    """Answer those who have got something, whose time is over, or for whom nothing is to be expected."""
    engine = queue.engine
    reading = _is_reading(queue)
    waiting: list[Pull] = []
    answered: list[Pull] = []
    for pull in queue.pulls:
        if pull.ended:
            continue
        enough = bool(pull.batch) and not pull.has_credit()
        if enough or not reading and (pull.batch or pull.deadline <= engine.now):
            answered.append(pull)
        else:
            waiting.append(pull)
    queue.pulls = waiting
    for pull in answered:
        pull.ended = True
        batch = pull.batch
        pull.batch = []
        pull.arrived(batch)
        if queue.policy.single_active:
            queue.check_active(pull.key)


def _is_reading(queue: "NamedQueue") -> bool:
    """Whether messages that may be delivered are still on their way from the disk, or to it."""
    if queue.engine.barrier.refusing or queue.held_count >= queue.policy.max_leased or queue.keys.parked >= WINDOW_REFS:
        return False
    for lane in queue.lanes:
        if lane is not None and lane.is_spilled():
            return True
    for bucket in queue.wheel.due:
        if bucket.is_spilled():
            return True
    return False


def schedule(queue: "NamedQueue") -> None:
    """See to it that the queue is looked at when something is next to happen in it."""
    deadline = _next_moment(queue)
    if deadline and not queue.deleted and (queue.timer_at == 0.0 or deadline < queue.timer_at):
        queue.timer_at = deadline
        queue.engine.timers.add(deadline, NAMED, queue.name)
        queue.engine.schedule_tick()


def _next_moment(queue: "NamedQueue") -> float:
    now = queue.engine.now
    policy = queue.policy
    moments = [queue.leases.next_deadline(), queue.loose.next_moment(), queue.wheel.next_beginning()]
    if queue.pulls:
        moments.append(min([pull.deadline for pull in queue.pulls]))
    if queue.count and (policy.message_ttl or queue.expiring):
        moments.append(now + EXPIRY_SECONDS)
    if queue.seen is not None:
        moments.append(queue.seen.next_expiry())
    in_use = is_in_use(queue)
    if queue.attached and not in_use and queue.service is None:
        moments.append(queue.used_at + IDLE_SECONDS)
    if policy.expires and not in_use:
        moments.append(queue.used_at + policy.expires)
    earliest = 0.0
    for moment in moments:
        if moment and (earliest == 0.0 or moment < earliest):
            earliest = moment
    return max(earliest, now + 0.001) if earliest else 0.0


def is_in_use(queue: "NamedQueue") -> bool:
    """Whether anybody takes messages, or has some."""
    return bool(queue.consumers or queue.pulls or queue.held_count)


def tick(queue: "NamedQueue") -> None:
    """Do what has come due."""
    engine = queue.engine
    now = engine.now
    queue.timer_at = 0.0
    lease = queue.leases.take_run_out(now)
    while lease is not None:
        queue.end_lease(lease)
        queue.returned(lease.ref)
        lease = queue.leases.take_run_out(now)
    if queue.seen is not None:
        queue.seen.purge(engine.barrier, now)
    policy = queue.policy
    if queue.count and (policy.message_ttl or queue.expiring):
        _expire_front(queue)
    idle = now - queue.used_at
    in_use = is_in_use(queue)
    if policy.expires and not in_use and idle >= policy.expires:
        engine.named.delete(queue)
        return
    if queue.attached and not in_use and queue.service is None and idle >= IDLE_SECONDS:
        put_away(queue)
    queue.pump(queue.queue)


def _expire_front(queue: "NamedQueue") -> None:
    """Let go of what has expired, even if nobody takes messages: what has, is near the front of its lane."""
    queue.attach_lanes()
    for lane in queue.lanes:
        if lane is None:
            continue
        ref = lane.front()
        while ref is not None and queue.is_expired(ref):
            lane.pop_front()
            deaths.expire(queue, ref)
            ref = lane.front()
        if ref is None and lane.is_spilled():
            queue.load(lane)
    if queue.count == 0:
        queue.expiring = False


def put_away(queue: "NamedQueue") -> None:
    """Keep nothing in memory any more but what consumers have; the next one reads from the oldest message on."""
    barrier = queue.engine.barrier
    queue.attached = False
    waiting = [ref for ref in queue.loose.refs() if queue.holds(ref.queue, ref.position) is not None]
    queue.loose.clear()
    for ref in waiting:
        queue.let_go(ref)
    queue.keys.put_away(held_refs(queue))
    for lane in queue.all_lanes():
        lane.rewind(barrier)
    queue.recount()


def held_refs(queue: "NamedQueue") -> list[Ref]:
    """Every message that is held."""
    return [ref for lane in queue.held.values() for ref in lane.values()]


def purge(queue: "NamedQueue") -> int:
    """Drop every message that no consumer has. Tells how many."""
    before = queue.count
    waiting = {id(ref) for ref in queue.loose.refs()}
    out = [ref for ref in held_refs(queue) if id(ref) not in waiting]
    queue.loose.clear()
    queue.keys.put_away(out)
    for lane in queue.all_lanes():
        if lane is not queue.queue:
            end_lane(queue, lane)
    queue.wheel = Wheel()
    queue.held = {}
    queue.held_count = 0
    returns = queue.returns
    queue.returns = {}
    _replace_main(queue)
    for ref in sorted(out, key=_place_of):
        _hold_again(queue, ref, returns)
    queue.recount()
    gone = before - queue.count
    queue.numbers.dropped += gone
    return gone


def _place_of(ref: Ref) -> tuple[int, int]:
    return ref.queue.id, ref.position


def _replace_main(queue: "NamedQueue") -> None:
    """Another main lane: forgetting a lane is one step, however many messages it has."""
    old = queue.queue
    queue.lanes = [None] * len(queue.lanes)
    end_lane(queue, old)
    intake.open_main_lane(queue)
    for binding in queue.bindings:
        binding.queue = queue.queue
    queue.engine.router.forget()


def _hold_again(queue: "NamedQueue", ref: Ref, returns: dict[tuple[int, int], int]) -> None:
    """A message that a consumer has survives a purge: it gets a new place."""
    deliveries = returns.get((ref.queue.id, ref.position))
    meta = queue.meta(ref).copy()
    meta.id = queue.id_of(ref)
    meta.deliver_at = 0.0
    if deliveries is not None:
        meta.deliveries = deliveries
    lane = intake.priority_lane(queue, meta.priority)
    position = lane.next_position
    lane.append(queue.engine.barrier, ref.message, ref.message.qos, ref.message.retain, meta.encode(), 0)
    ref.queue = lane
    ref.position = position
    ref.meta = meta
    ref.stored = True
    queue.hold(ref)


def end_consumers(queue: "NamedQueue") -> None:
    """The queue is deleted: nobody gets anything from it any more."""
    for lease in list(queue.leases.by_token.values()):
        queue.end_lease(lease)
    for consumer in queue.consumers:
        if isinstance(consumer, StreamConsumer):
            consumer.ended = True
            consumer.queue_deleted()
    for pull in queue.pulls:
        pull.ended = True
        pull.queue_deleted()
    queue.consumers = []
    queue.pulls = []
