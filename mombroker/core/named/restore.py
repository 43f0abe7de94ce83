"""Named queues after a restart: definitions, lanes and tallies, read in time that grows with their number only."""

from typing import TYPE_CHECKING, Any

from mombroker.core.barrier import QUEUE_KEY
from mombroker.core.named import intake, records
from mombroker.core.named.dedup import SeenIds
from mombroker.core.named.queue import NAMED_KIND, SERVICE_KIND, NamedQueue
from mombroker.core.named.upkeep import look_soon, schedule
from mombroker.core.records import digest, load
from mombroker.model.queues import QueueSpec
from mombroker.model.store import Store
from mombroker.model.unit import TABLE_DEDUP, TABLE_GRANT, TABLE_NAMED, TABLE_RETURNED

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

DIGEST_BYTES = 16


def restore(
    engine: "Engine", store: Store, specs: dict[bytes, QueueSpec], tallies: dict[bytes, tuple[Any, ...]]
) -> None:
    """Rebuild all named queues and services, and what was granted."""
    named = engine.named
    definitions = [load(value) for _, value in store.items(TABLE_NAMED)]
    for record in definitions:
        durable = record["kind"] == NAMED_KIND
        queue = named.make(
            QueueSpec(record["name"], record["kind"], durable, record["owner"] or None), record["policy"]
        )
        queue.created_at = record["created_at"]
    by_lane = _restore_lanes(engine, specs, tallies)
    for record in definitions:
        queue = named.queues[record["name"]]
        intake.open_main_lane(queue)
        named.open(queue)
        for topic_filter in record["bindings"]:
            named.bind(queue, topic_filter)
        queue.recount()
        # Whether any of its messages expires is found out by looking.
        look_soon(queue)
        if record["kind"] == SERVICE_KIND:
            engine.requests.adopt(queue)
    for _, value in store.items(TABLE_GRANT):
        named.grants.restore(value)
    _restore_returns(engine, store, by_lane)
    _restore_seen(engine, store)
    engine.requests.restore(store)
    for queue in named.queues.values():
        schedule(queue)


def _restore_lanes(
    engine: "Engine", specs: dict[bytes, QueueSpec], tallies: dict[bytes, tuple[Any, ...]]
) -> dict[int, NamedQueue]:
    by_lane: dict[int, NamedQueue] = {}
    for key, spec in specs.items():
        if spec.kind != NAMED_KIND and spec.kind != SERVICE_KIND or not spec.durable:
            continue
        name, _, label = spec.name.partition("#")
        queue = engine.named.queues.get(name)
        if queue is None:
            continue  # it is dropped with the other orphans
        lane = intake.new_lane(queue, label, True, QUEUE_KEY.unpack(key)[0])
        tally = tallies.get(key)
        if tally is not None:
            engine.restore_tally(lane, tally)
        by_lane[lane.id] = queue
        if label[0] == "p":
            queue.lanes[int(label[1:])] = lane
        else:
            level, _, number = label[1:].partition(".")
            place = (int(level), int(number))
            if place in queue.wheel.buckets:
                # The time of one of them has come already, and so there is another one for what came after that.
                begun = queue.wheel.moving if place[0] else queue.wheel.due
                begun[lane.id] = lane
            else:
                queue.wheel.add(place, lane)
    return by_lane


def _restore_returns(engine: "Engine", store: Store, by_lane: dict[int, NamedQueue]) -> None:
    for key, value in store.items(TABLE_RETURNED):
        lane_id, position, deliveries = records.returned_from(key, value)
        queue = by_lane.get(lane_id)
        if queue is None:
            engine.barrier.unit.delete(TABLE_RETURNED, key)
        else:
            queue.returns[(lane_id, position)] = deliveries


def _restore_seen(engine: "Engine", store: Store) -> None:
    by_digest = {digest(queue.name): queue for queue in engine.named.queues.values()}
    for key, value in sorted(store.items(TABLE_DEDUP), key=_by_value):
        queue = by_digest.get(key[:DIGEST_BYTES])
        if queue is None:
            engine.barrier.unit.delete(TABLE_DEDUP, key)
            continue
        if queue.seen is None:
            queue.seen = SeenIds(queue.name)
        queue.seen.restore(key[DIGEST_BYTES:], value)


def _by_value(item: tuple[bytes, bytes]) -> bytes:
    return item[1]
