"""A reader that stalls costs itself, not the broker's memory nor anybody's latency for long."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.hooks.events import MessageDropped

from .world import FOREVER, Client, Policies, World

LIMITS = Limits(sys_interval=0, max_out_buffer=10_000, receive_maximum=65535)


def setting(version: int = 5, qos: int = 2, limits: Limits = LIMITS) -> tuple[World, Client, Client, Client]:
    """A world, a publisher, a reader that has stopped reading, and one that has not."""
    world = World(limits)
    publisher, stuck, quick = world.client("pub"), world.client("stuck", version), world.client("quick")
    publisher.connect()
    fields: dict[str, Any] = {"session_expiry": FOREVER} if version == 5 else {}
    stuck.connect(clean=False, **fields)
    quick.connect()
    for client in (stuck, quick):
        client.subscribe("t/#", qos=qos)
    stuck.congest()
    return world, publisher, stuck, quick


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("plain", [True, False])
def test_qos_0_beyond_the_buffer_is_dropped_and_counted(version: int, plain: bool) -> None:
    world, publisher, stuck, quick = setting(version)
    fields: dict[str, Any] = {} if plain else {"content_type": "t"}
    for number in range(300):
        publisher.publish("t/x", f"{number:100}", run=False, **fields)
        world.advance(0.2)
    dropped = world.engine.statistics.dropped["slow-reader"]
    assert 0 < dropped < 300
    assert len(stuck.wire.unsent) < 12_000
    assert len(quick.got) == 300
    stuck.congest(False)
    assert len(stuck.got) == 300 - dropped
    assert stuck.payloads() == [f"{number:100}" for number in range(300 - dropped)]
    events = [event for event in _hooks(world).events if isinstance(event, MessageDropped)]
    assert sum(event.count for event in events) == dropped


def _hooks(world: World) -> Policies:
    assert isinstance(world.hooks, Policies)
    return world.hooks


def test_a_publisher_is_held_up_for_a_moment_only() -> None:
    world, publisher, _stuck, quick = setting()
    for _ in range(50):
        publisher.publish("t/x", "x" * 100)
    assert publisher.wire.paused
    world.advance(0.2)
    assert not publisher.wire.paused
    for _ in range(100):
        publisher.publish("t/x", "x" * 100)
    assert not publisher.wire.paused, "a stalled reader holds nobody up again"
    assert len(quick.got) == 150


def test_a_publisher_that_is_held_up_goes_on_when_the_reader_catches_up() -> None:
    world, publisher, stuck, quick = setting()
    for _ in range(50):
        publisher.publish("t/x", "x" * 100)
    assert publisher.wire.paused
    stuck.congest(False)
    assert not publisher.wire.paused
    assert len(stuck.got) == len(quick.got) == 50
    assert world.engine.statistics.dropped == {}


def test_a_publisher_that_is_held_up_goes_on_when_the_reader_goes() -> None:
    _world, publisher, stuck, _ = setting()
    for _ in range(50):
        publisher.publish("t/x", "x" * 100)
    assert publisher.wire.paused
    stuck.cut()
    assert not publisher.wire.paused


@pytest.mark.parametrize("qos", [1, 2])
def test_qos_1_and_2_wait_in_the_queue_and_nobody_is_held_up(qos: int) -> None:
    world, publisher, stuck, quick = setting()
    for number in range(500):
        publisher.publish("t/x", f"{number:100}", qos, run=False)
    world.run()
    assert not publisher.wire.paused
    assert len(quick.got) == 500
    assert len(stuck.wire.unsent) == 0
    assert world.engine.statistics.dropped == {}
    stuck.congest(False)
    assert stuck.payloads() == [f"{number:100}" for number in range(500)]


def test_a_stalled_reader_that_is_closed_leaves_its_queue_behind() -> None:
    world, publisher, stuck, _ = setting()
    for number in range(10):
        publisher.publish("t/x", str(number), 1, run=False)
    world.run()
    stuck.cut()
    stuck.connect(clean=False, session_expiry=FOREVER)
    assert stuck.payloads() == [str(number) for number in range(10)]


def test_everything_that_one_turn_sends_a_client_leaves_in_one_write() -> None:
    world = World(LIMITS)
    publisher, reader = world.client("pub"), world.client("sub")
    for client in (publisher, reader):
        client.connect()
    reader.subscribe("t/#", qos=1)
    before = reader.wire.writes
    for number in range(50):
        publisher.publish("t/x", str(number), number % 2, run=False)
    world.run()
    assert reader.wire.writes == before + 1
    assert len(reader.got) == 50


def test_a_client_that_asks_without_reading_the_answers_is_not_read_from() -> None:
    world = World(LIMITS)
    client = world.client("a")
    client.connect()
    client.congest()
    for _ in range(10_000):
        client.send(b"\xc0\x00")
    assert len(client.wire.unsent) < 20_000
    client.congest(False)
    assert len(client.inbox) > 1_000
