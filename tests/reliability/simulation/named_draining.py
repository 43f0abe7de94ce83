"""The end of a run with named queues: everything that is to be had is taken out, and nothing may be left behind."""

from typing import TYPE_CHECKING

from mombroker.core.barrier import QUEUE_KEY
from mombroker.core.named.queue import NamedQueue
from mombroker.core.records import digest
from mombroker.model.unit import TABLE_DEDUP, TABLE_NAMED, TABLE_QUEUE, TABLE_RETURNED, TABLE_TALLY

from .found import Found

if TYPE_CHECKING:
    from .named_actors import Queues

ROUNDS = 2000
DIGEST_BYTES = 16


def drain(queues: "Queues") -> None:
    """Pull and acknowledge until every queue is empty; time passes as long as nothing comes."""
    world = queues.world
    for _ in range(ROUNDS):
        engine = queues.enter()
        for token in list(queues.out):
            queues.settle_one(engine, token, "ack")
        world.rest()
        engine = queues.enter()
        left = {name: queue.count for name, queue in engine.named.queues.items() if queue.service is None}
        if not any(left.values()) and not queues.out:
            break
        queues.pull_everything(engine)
        world.rest()
        if not queues.out:
            world.advance(50.0)
            world.rest()
    else:
        raise Found(f"the queues do not get empty: {left}")
    queues.oracle.check_empty()
    for seconds in (1000.0, 3.0, 3.0):
        world.advance(seconds)
        world.rest()
    queues.enter()
    for queue in world.engine.named.queues.values():
        if queue.service is None:
            _check_rest(queue)
    _check_disk(queues)


def _check_rest(queue: NamedQueue) -> None:
    queue.recount()
    if queue.count or queue.bytes or queue.held_count or queue.leases.by_token:
        raise Found(f"{queue.name} is empty, and counts {queue.count}, {queue.bytes} bytes, {queue.held_count} held")
    if queue.returns or queue.doomed or queue.keys.lines or queue.loose.refs():
        raise Found(
            f"{queue.name} is empty, and remembers {queue.returns}, {queue.doomed}, {queue.keys.lines}, "
            f"{queue.loose.refs()}"
        )
    if queue.wheel.all():
        raise Found(f"{queue.name} is empty, and has buckets: {[lane.spec.name for lane in queue.wheel.all()]}")


def _check_disk(queues: "Queues") -> None:
    """The store holds nothing of queues that were deleted, and no message of those that are empty."""
    engine = queues.world.engine
    store = queues.world.disk.store
    lanes = {lane.id for queue in engine.named.queues.values() for lane in queue.all_lanes()}
    known = set(engine.queues_by_id)
    for table, what in ((TABLE_QUEUE, "a definition"), (TABLE_TALLY, "a tally")):
        for key, _ in store.items(table):
            if QUEUE_KEY.unpack(key)[0] not in known:
                raise Found(f"the disk has {what} of a lane that is not there: {key.hex()}")
    names = {digest(name) for name in engine.named.queues}
    for key, _ in store.items(TABLE_NAMED):
        if key not in names:
            raise Found(f"the disk has a definition of a queue that is not there: {key.hex()}")
    for key, _ in store.items(TABLE_DEDUP):
        if key[:DIGEST_BYTES] not in names:
            raise Found(f"the disk has ids of a queue that is not there: {key.hex()}")
    for key, _ in store.items(TABLE_RETURNED):
        raise Found(f"the disk says how often a message came back that is not there: {key.hex()}")
    for lane in lanes:
        if not queues.world.disk.page(lane, 0, 1, 1).at_end or queues.world.disk.page(lane, 0, 1, 1).records:
            raise Found(f"the disk has messages of lane {lane}, which is empty")
