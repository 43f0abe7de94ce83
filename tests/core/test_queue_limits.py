"""Queues: their limits, what happens beyond them, and how little memory a backlog takes."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.core.queue import PAGE_RECORDS, WINDOW_REFS
from mombroker.hooks.events import Event, MessageDropped, PublishRefused
from mombroker.model.queues import Overflow, QueuePolicy
from mombroker.model.unit import TABLE_QUEUE, TABLE_TALLY
from mombroker.mqtt.packet_types import PUBACK

from .world import FOREVER, Client, Policies, World

BUSY = Limits(sys_interval=0, receive_maximum=65535)


def world_with(limits: Limits = BUSY, **policies: QueuePolicy) -> World:
    hooks = Policies()
    hooks.policies = {f"client:{name}": policy for name, policy in policies.items()}
    return World(limits, hooks)


def subscriber(world: World, name: str, version: int = 5, expiry: int = FOREVER, **fields: Any) -> Client:
    client = world.client(name, version)
    if version == 5:
        fields["session_expiry"] = expiry
    client.connect(clean=False, **fields)
    client.subscribe("t/#", qos=2)
    return client


def events_of(world: World) -> list[Event]:
    assert isinstance(world.hooks, Policies)
    return world.hooks.events


def back(client: Client, **fields: Any) -> None:
    client.connect(clean=False, session_expiry=FOREVER, **fields)


def publisher_of(world: World, version: int = 5) -> Client:
    client = world.client("pub", version)
    client.connect()
    return client


def publish_numbers(world: World, client: Client, count: int, first: int = 0, qos: int = 1) -> None:
    for number in range(first, first + count):
        client.publish("t/x", str(number), qos, run=False)
    world.run()


def numbers(first: int, end: int) -> list[str]:
    return [str(number) for number in range(first, end)]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_full_queue_that_rejects_refuses_the_publish_everywhere(qos: int) -> None:
    world = world_with(full=QueuePolicy(max_messages=2, overflow=Overflow.REJECT))
    full, other = subscriber(world, "full"), subscriber(world, "other")
    full.cut()
    publisher = publisher_of(world)
    results = [publisher.result(publisher.publish("t/x", str(number), qos)) for number in range(4)]
    assert results == [0, 0, 0x97, 0x97]
    assert not publisher.closed
    assert other.payloads() == ["0", "1"], "all or nothing"
    assert [event.reason for event in events_of(world) if isinstance(event, PublishRefused)] == [0x97] * 2
    back(full)
    assert full.payloads() == ["0", "1"]
    assert publisher.result(publisher.publish("t/x", "after", qos)) == 0


def test_an_old_publisher_is_not_acknowledged_when_a_queue_rejects() -> None:
    world = world_with(full=QueuePolicy(max_messages=1, overflow=Overflow.REJECT))
    subscriber(world, "full").cut()
    publisher = publisher_of(world, 4)
    publisher.publish("t/x", "0", 1)
    publisher.publish("t/x", "1", 1)
    assert publisher.acks(PUBACK) == [1]
    assert not publisher.closed


@pytest.mark.parametrize("online", [False, True])
def test_drop_oldest_keeps_the_newest(online: bool) -> None:
    world = world_with(full=QueuePolicy(max_messages=5, overflow=Overflow.DROP_OLDEST))
    client = subscriber(world, "full")
    if online:
        client.congest()
    else:
        client.cut()
    publish_numbers(world, publisher_of(world), 50)
    if online:
        client.congest(False)
    else:
        back(client)
    assert client.payloads() == numbers(45, 50)
    assert world.engine.statistics.dropped == {"overflow": 45}
    drops = [event for event in events_of(world) if isinstance(event, MessageDropped)]
    assert sum(event.count for event in drops) == 45
    assert {(event.target, event.cause) for event in drops} == {("client:full", "overflow")}


@pytest.mark.parametrize("crash", [False, True])
def test_drop_oldest_keeps_exactly_the_newest_of_a_backlog_that_only_the_store_holds(crash: bool) -> None:
    world = world_with(full=QueuePolicy(max_messages=3000, overflow=Overflow.DROP_OLDEST))
    client = subscriber(world, "full")
    client.cut()
    publisher = publisher_of(world)
    for batch in range(8):
        publish_numbers(world, publisher, 1000, batch * 1000)
    if crash:
        world.crash()
    back(client)
    assert client.payloads() == numbers(5000, 8000)
    assert world.queue_of("full").count == 0


def test_drop_newest_keeps_the_oldest_and_acknowledges() -> None:
    world = world_with(full=QueuePolicy(max_messages=3, overflow=Overflow.DROP_NEWEST))
    client = subscriber(world, "full")
    client.cut()
    publisher = publisher_of(world)
    publish_numbers(world, publisher, 10)
    assert len(publisher.acks(PUBACK)) == 10
    back(client)
    assert client.payloads() == numbers(0, 3)
    assert world.engine.statistics.dropped == {"overflow": 7}


def test_bytes_are_limited_too() -> None:
    world = world_with(full=QueuePolicy(max_bytes=1000, overflow=Overflow.DROP_OLDEST))
    client = subscriber(world, "full")
    client.cut()
    publisher = publisher_of(world)
    for text in "abcde":
        publisher.publish("t/x", text * 297, 1)
    back(client)
    assert [text[0] for text in client.payloads()] == ["c", "d", "e"]


def test_messages_in_flight_count_against_the_limit() -> None:
    world = world_with(full=QueuePolicy(max_messages=2, overflow=Overflow.REJECT))
    client = subscriber(world, "full")
    client.auto = False
    publisher = publisher_of(world)
    results = [publisher.result(publisher.publish("t/x", "x", 1)) for _ in range(3)]
    assert results == [0, 0, 0x97]


def test_a_policy_limits_how_long_messages_wait() -> None:
    world = world_with(full=QueuePolicy(message_ttl=10.0, overflow=Overflow.DROP_OLDEST))
    client = subscriber(world, "full")
    client.cut()
    publisher = publisher_of(world)
    publisher.publish("t/x", "old", 1)
    world.advance(8)
    publisher.publish("t/x", "new", 1)
    world.advance(3)
    back(client)
    assert client.payloads() == ["new"]


def test_a_backlog_takes_no_memory_and_arrives_in_order_while_publishers_go_on() -> None:
    world = world_with()
    client = subscriber(world, "full")
    client.cut()
    publisher = publisher_of(world)
    most = 0
    for batch in range(50):
        publish_numbers(world, publisher, 1000, batch * 1000)
        most = max(most, world.refs_in_memory())
    assert most == 0, "nobody reads: nothing is in memory"
    client.connect(clean=False, session_expiry=FOREVER, run=False, receive_maximum=100)
    sent = 50_000
    while len(client.got) < sent:
        for _ in range(200):
            world._step()
        most = max(most, world.refs_in_memory())
        if sent < 53_000:
            publish_numbers_held(publisher, 100, sent)
            sent += 100
    world.run()
    assert client.payloads() == numbers(0, sent)
    assert most <= 2 * WINDOW_REFS + PAGE_RECORDS
    assert world.queue_of("full").count == 0
    assert world.refs_in_memory() == 0


def publish_numbers_held(client: Client, count: int, first: int) -> None:
    for number in range(first, first + count):
        client.publish("t/x", str(number), 1, run=False)


@pytest.mark.parametrize("qos", [1, 2])
def test_a_slow_connected_reader_keeps_a_bounded_number_in_memory(qos: int) -> None:
    world = world_with()
    client = subscriber(world, "full")
    client.congest()
    publisher = publisher_of(world)
    for batch in range(20):
        publish_numbers(world, publisher, 1000, batch * 1000, qos)
        assert world.refs_in_memory() <= 2 * WINDOW_REFS + PAGE_RECORDS
    client.congest(False)
    assert client.payloads() == numbers(0, 20_000)


def test_a_fleeting_session_spills_too_and_leaves_no_records_behind() -> None:
    world = world_with()
    client = subscriber(world, "full", expiry=0)
    client.congest()
    publisher = publisher_of(world)
    publish_numbers(world, publisher, 15_000)
    assert world.refs_in_memory() <= 2 * WINDOW_REFS
    assert world.committed_units > 0, "it has spilled"
    client.congest(False)
    assert client.payloads() == numbers(0, 15_000)
    client.congest()
    publish_numbers(world, publisher, 15_000)
    world.crash()
    world.run()
    assert world.engine.sessions == {}
    assert not world.store._queues
    assert not list(world.store.items(TABLE_QUEUE))
    assert not list(world.store.items(TABLE_TALLY))


def test_a_fleeting_session_that_ends_takes_its_spilled_records_with_it() -> None:
    world = world_with()
    client = subscriber(world, "full", expiry=0)
    client.congest()
    publish_numbers(world, publisher_of(world), 15_000)
    client.cut()
    assert not world.store._queues
    assert not list(world.store.items(TABLE_TALLY))


def test_a_backlog_of_large_messages_with_shared_bodies_is_freed_with_the_last_reader() -> None:
    world = world_with()
    readers = [subscriber(world, name) for name in ("one", "two")]
    for reader in readers:
        reader.cut()
    publisher = publisher_of(world)
    for number in range(300):
        publisher.publish("t/x", str(number) + "x" * 1000, 1, run=False)
    world.run()
    assert len(world.store._bodies) == 300
    back(readers[0])
    assert len(world.store._bodies) == 300
    world.crash()
    back(readers[1])
    assert world.store._bodies == {}
    assert [len(reader.got) for reader in readers] == [300, 300]


def test_qos_0_waits_for_an_absent_client_where_that_is_switched_on() -> None:
    world = world_with(Limits(sys_interval=0, queue_qos0=True))
    client = subscriber(world, "full")
    client.cut()
    publisher = publisher_of(world)
    for number in range(5):
        publisher.publish("t/x", str(number))
    world.crash()
    back(client)
    assert [(got.payload.decode(), got.qos) for got in client.got] == [(str(number), 0) for number in range(5)]
    assert world.queue_of("full").count == 0


def test_qos_0_keeps_its_order_behind_what_waits() -> None:
    world = world_with(Limits(sys_interval=0, queue_qos0=True))
    client = subscriber(world, "full")
    client.cut()
    publisher = publisher_of(world)
    for number in range(2000):
        publisher.publish("t/x", str(number), run=False)
    world.run()
    world.hold_reads = True
    back(client)
    for number in range(2000, 2010):
        publisher.publish("t/x", str(number))
    world.read_all()
    assert client.payloads() == numbers(0, 2010)
