"""What time does to a named queue: delays pass, leases run out, messages expire, pulls end, idle ones leave memory."""

from typing import TYPE_CHECKING, Final

from mombroker.core.named import deaths, intake
from mombroker.core.named.consumers import Pull, StreamConsumer
from mombroker.core.named.moving import CASCADE, Move, move
from mombroker.core.named.records import drop_returns
from mombroker.core.named.wheel import Wheel
from mombroker.core.queue import Queue, Ref
from mombroker.core.timers import NAMED

if TYPE_CHECKING:
    from mombroker.core.named.queue import NamedQueue

IDLE_SECONDS: Final = 60.0
"""How long a queue that nobody takes from keeps messages in memory."""

EXPIRY_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 60.0
"""How often the front of a queue that has messages which expire is looked at: at the most, and at least."""

AGAIN_SECONDS: Final = 1.0
"""How often what has to wait for room on the disk is tried."""


def gather(queue: "NamedQueue") -> None:
    """Make ready what has come due."""
    loose = queue.loose
    engine = queue.engine
    now = engine.now
    ref = loose.take_due(now)
    while ref is not None:
        if queue.let_go(ref):
            queue.put_off -= 1
        queue.make_ready(ref)
        ref = loose.take_due(now)
    if queue.doomed and not engine.barrier.refusing:
        doomed = queue.doomed
        queue.doomed = []
        queue.put_off -= len(doomed)
        for ref, reason in doomed:
            deaths.bury(queue, ref, reason)
    if queue.wheel.is_turning(now):
        _turn(queue)
    if 0.0 < queue.look_at <= now:
        _look_for_expired(queue)
    if queue.making_room is not None:
        intake.trim(queue, queue.making_room)
    elif queue.policy.overflow in intake.TRIMMING and not intake.has_room(queue, 0, 0):
        intake.trim(queue, queue.policy.overflow)


def _turn(queue: "NamedQueue") -> None:
    wheel = queue.wheel
    barrier = queue.engine.barrier
    ended = wheel.ended
    wheel.ended = []
    for bucket in ended:
        _end_bucket(queue, bucket)
    wheel.begin(queue.engine.now)
    if wheel.moving and not barrier.refusing:
        for bucket in list(wheel.moving.values()):
            _empty_into_shorter(queue, bucket)
    for bucket in [bucket for bucket in wheel.due.values() if bucket.count == 0]:
        # What was in it has gone before its time, and nobody may be there who would find that out.
        _end_bucket(queue, bucket)
    if queue.attached:
        hand_out(queue)


def _empty_into_shorter(queue: "NamedQueue", bucket: Queue) -> None:
    """Move the messages of a long bucket to where they belong by now, not more than one unit should have."""
    engine = queue.engine
    barrier = engine.barrier
    bucket.attached = True
    ref = bucket.front()
    while ref is not None and ref.after <= barrier.committed and barrier.pending_bytes() < engine.limits.max_unit_bytes:
        bucket.pop_front()
        meta = queue.meta(ref).copy()
        meta.id = queue.id_of(ref)
        move(queue, ref, queue, ref.message, meta, Move(CASCADE))
        ref = bucket.front()
    if bucket.count == 0:
        _end_bucket(queue, bucket)
    elif ref is not None:
        barrier.pump_later(bucket)
    elif bucket.is_spilled():
        queue.load(bucket)


def hand_out(queue: "NamedQueue") -> None:
    """Take messages out of the buckets that have begun, as many as may be in memory."""
    loose = queue.loose
    wheel = queue.wheel
    barrier = queue.engine.barrier
    now = queue.engine.now
    bucket = wheel.first_due()
    while bucket is not None and loose.has_room():
        bucket.attached = True
        ref = bucket.front()
        if ref is None:
            if bucket.is_spilled():
                queue.load(bucket)
                return
            wheel.handed_out(bucket)
            bucket = wheel.first_due()
            continue
        if ref.after > barrier.committed:
            barrier.pump_later(bucket)
            return
        bucket.pop_front()
        meta = queue.meta(ref)
        if meta.deliver_at <= now:
            loose.add(ref, meta.priority, meta.deliver_at)
        else:
            loose.add_later(ref, meta.deliver_at)


def _end_bucket(queue: "NamedQueue", bucket: Queue) -> None:
    """A bucket has no messages: it goes, as soon as that is on disk. Until then one may come back."""
    if bucket.count:
        return
    if bucket.touched > queue.engine.barrier.committed:
        if bucket not in queue.wheel.ended:
            queue.wheel.ended.append(bucket)
        return
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
        if enough or not (reading and queue.may_be_active(pull)) and (pull.batch or pull.deadline <= engine.now):
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
    if queue.engine.barrier.refusing or queue.leased() >= queue.policy.max_leased or queue.keys.is_full():
        return False
    committed = queue.engine.barrier.committed
    for lane in queue.lanes:
        if lane is not None:
            ref = lane.front()
            if lane.is_spilled() or ref is not None and ref.after > committed:
                return True
    bucket = queue.wheel.first_due()
    return bucket is not None and bucket.is_spilled() and queue.loose.has_room()


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
    earliest = queue.leases.next_deadline()
    earliest = _sooner(earliest, queue.loose.next_moment())
    earliest = _sooner(earliest, queue.wheel.next_at)
    for pull in queue.pulls:
        # One whose time is over waits for a read or a commit, after which the queue is looked at anyway.
        earliest = _sooner(earliest, pull.deadline if pull.deadline > now else now + AGAIN_SECONDS)
    if queue.seen is not None:
        earliest = _sooner(earliest, queue.seen.next_expiry())
    if queue.doomed or queue.wheel.moving or queue.wheel.ended:
        earliest = _sooner(earliest, now + AGAIN_SECONDS)
    looking = 0.0 < queue.look_at <= now
    if looking:
        earliest = _sooner(earliest, now + LOOK_SECONDS)
    else:
        earliest = _sooner(earliest, queue.look_at)
        if _may_be_put_away(queue):
            earliest = _sooner(earliest, queue.used_at + IDLE_SECONDS)
    if policy.expires and not is_in_use(queue):
        earliest = _sooner(earliest, queue.used_at + policy.expires)
    return max(earliest, now + 0.001) if earliest else 0.0


def _sooner(moment: float, other: float) -> float:
    """The earlier one of two moments; 0.0 is never."""
    return other if other and (moment == 0.0 or other < moment) else moment


def is_in_use(queue: "NamedQueue") -> bool:
    """Whether anybody takes messages, or has some. A client that is away still does."""
    return bool(queue.consumers or queue.pulls or queue.held_count)


def _may_be_put_away(queue: "NamedQueue") -> bool:
    """Whether messages are in memory that nobody is there to take."""
    if not queue.attached or queue.service is not None or queue.pulls or queue.held_count:
        return False
    for consumer in queue.consumers:
        if consumer.is_there():
            return False
    return True


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
    idle = now - queue.used_at
    if 0.0 < queue.policy.expires <= idle and not is_in_use(queue):
        engine.named.delete(queue)
        return
    queue.pump(queue.queue)
    looking = 0.0 < queue.look_at <= now
    if idle >= IDLE_SECONDS and not looking and _may_be_put_away(queue):
        put_away(queue)
        schedule(queue)


def look_soon(queue: "NamedQueue") -> None:
    """What is in the queue may expire earlier than was thought, or be the first that does."""
    if queue.count:
        queue.expiring = True
        queue.look_at = queue.engine.now + EXPIRY_SECONDS


def _look_for_expired(queue: "NamedQueue") -> None:
    """Let go of what has expired, even if nobody takes messages: what has, is near the front of its lane. Goes on when
    what must be read for that has been."""
    queue.attach_lanes()
    now = queue.engine.now
    next_look = now + LOOK_SECONDS
    reading = False
    for lane in queue.lanes:
        if lane is None:
            continue
        ref = lane.front()
        while ref is not None and ref.after <= queue.engine.barrier.committed and queue.is_expired(ref):
            lane.pop_front()
            deaths.expire(queue, ref)
            ref = lane.front()
        if ref is not None:
            next_look = _sooner(next_look, queue.expires_at(ref))
        elif lane.is_spilled():
            queue.load(lane)
            reading = True
    if queue.count == 0:
        queue.expiring = False
        queue.look_at = 0.0
    elif not reading:
        queue.look_at = max(next_look, now + EXPIRY_SECONDS) if queue.expiring else 0.0


def put_away(queue: "NamedQueue") -> None:
    """Keep nothing in memory any more; the next consumer reads from the oldest message on. None has any now."""
    barrier = queue.engine.barrier
    queue.attached = False
    queue.loose.clear()
    queue.keys.put_away([])
    queue.wheel.put_away()
    for lane in queue.all_lanes():
        lane.rewind(barrier)
    queue.recount()


def held_refs(queue: "NamedQueue") -> list[Ref]:
    """Every message that is held."""
    return [ref for lane in queue.held.values() for ref in lane.values()]


def purge(queue: "NamedQueue") -> int:
    """Drop every message that no consumer has. Tells how many."""
    before = queue.count
    waiting = {id(ref) for ref in queue.loose.refs()} | {id(entry[0]) for entry in queue.doomed}
    out = [ref for ref in held_refs(queue) if id(ref) not in waiting]
    queue.loose.clear()
    queue.keys.put_away(out)
    for lane in queue.all_lanes():
        if lane is not queue.queue:
            end_lane(queue, lane)
    queue.wheel = Wheel()
    queue.doomed = []
    queue.held = {}
    queue.held_count = 0
    queue.put_off = 0
    returns = queue.returns
    drop_returns(queue)
    _replace_main(queue)
    for ref in sorted(out, key=_place_of):
        if ref.revoked:
            queue.hold(ref)  # its publisher was refused: it is in no lane, and its consumer is let end with it
        else:
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
    if meta.deliver_at:
        # It is due, and has waited since then only.
        meta.since = max(meta.since or ref.message.published_at, meta.deliver_at)
        meta.deliver_at = 0.0
    if deliveries is not None:
        meta.deliveries = deliveries
    lane = intake.priority_lane(queue, meta.priority)
    position = lane.next_position
    lane.append(queue.engine.barrier, ref.message, ref.message.qos, ref.message.retain, meta.encode(), 0)
    ref.queue = lane
    ref.position = position
    ref.meta = meta
    ref.stored = lane.durable
    ref.revoked = False
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
