"""Deadlines: what comes due when, and that none is kept for longer than it is wanted."""

from mombroker.core import Limits
from mombroker.core.timers import RETAINED_EXPIRY, SESSION_EXPIRY, WILL, Timers
from mombroker.mqtt import Will

from .world import World, properties


def due(timers: Timers, now: float) -> list[tuple[int, str]]:
    """Everything that has come due."""
    found = []
    entry = timers.take_due(now)
    while entry is not None:
        found.append(entry)
        entry = timers.take_due(now)
    return found


def test_what_is_due_comes_in_the_order_of_its_deadlines() -> None:
    timers = Timers()
    timers.add(30.0, WILL, "c")
    timers.add(10.0, WILL, "a")
    timers.add(20.0, SESSION_EXPIRY, "b")
    timers.add(20.0, WILL, "b")
    assert timers.next_deadline() == 10.0
    assert due(timers, 25.0) == [(WILL, "a"), (SESSION_EXPIRY, "b"), (WILL, "b")]
    assert timers.next_deadline() == 30.0
    assert due(timers, 30.0) == [(WILL, "c")]
    assert timers.next_deadline() == 0.0


def test_a_later_deadline_takes_the_place_of_an_earlier_one_and_the_other_way_round() -> None:
    timers = Timers()
    timers.add(10.0, WILL, "a")
    timers.add(20.0, WILL, "a")
    assert due(timers, 15.0) == []
    timers.add(16.0, WILL, "a")
    assert due(timers, 17.0) == [(WILL, "a")]
    assert due(timers, 100.0) == []


def test_a_deadline_that_is_not_wanted_any_more_never_comes_due() -> None:
    timers = Timers()
    timers.add(10.0, WILL, "a")
    timers.forget(WILL, "a")
    timers.forget(WILL, "a")
    assert due(timers, 100.0) == []
    assert timers.next_deadline() == 0.0


def test_a_deadline_that_is_moved_again_and_again_takes_no_more_room() -> None:
    timers = Timers()
    for number in range(10_000):
        timers.add(1000.0 + number, RETAINED_EXPIRY, "t")
        timers.add(1000.0, RETAINED_EXPIRY, f"t/{number}")
        timers.forget(RETAINED_EXPIRY, f"t/{number}")
        assert timers.size() < 200
    assert due(timers, 20_000.0) == [(RETAINED_EXPIRY, "t")]


def test_a_client_that_comes_and_goes_leaves_one_deadline_of_each_kind() -> None:
    world = World()
    client = world.client("a")
    for _ in range(500):
        client.connect(
            clean=False, session_expiry=100_000, will=Will("w", b"", 0, False, properties(will_delay=50_000))
        )
        client.cut()
    assert world.engine.timers.size() < 200


def test_a_retained_message_that_is_replaced_or_cleared_leaves_no_deadline_behind() -> None:
    world = World(Limits(sys_interval=0, max_message_age=100_000))
    client = world.client("a")
    client.connect()
    for number in range(500):
        client.publish("same", "x", retain=True)
        client.publish(f"t/{number}", "x", retain=True)
        client.publish(f"t/{number}", "", retain=True)
    assert world.engine.timers.size() < 200


def test_a_retained_message_that_a_full_disk_brings_back_expires_when_it_should() -> None:
    world = World()
    client = world.client("a")
    client.connect()
    client.publish("t", "old", retain=True, message_expiry=100)
    world.full = True
    client.publish("t", "new", qos=1, retain=True, message_expiry=10)
    world.full = False
    world.advance(50)
    assert world.engine.retained.count == 1
    world.advance(50)
    assert world.engine.retained.count == 0


def test_statistics_that_are_switched_off_and_on_again_come_no_more_often_than_before() -> None:
    world = World(Limits(sys_interval=10))
    client = world.client("a")
    client.connect()
    client.subscribe("$SYS/broker/uptime")
    world.engine.change_limits(Limits(sys_interval=0))
    world.engine.change_limits(Limits(sys_interval=10))
    world.run()
    client.got.clear()
    world.advance(100)
    assert len(client.got) <= 11
