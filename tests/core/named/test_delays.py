"""Delayed messages: each at its moment, however far away, whatever happens before."""

import pytest

from mombroker.core.named.upkeep import IDLE_SECONDS
from mombroker.core.named.wheel import SPAN, WIDTHS, Wheel

from .native import NativeWorld, texts

FAR = [0.5, 1.0, 30.0, 63.9, 64.0, 70.0, 500.0, 4000.0, 4096.0, 5000.0, 260_000.0, 300_000.0, 2_000_000.0]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("delay", FAR)
def test_a_message_comes_at_its_moment_and_not_before(delay: float, crash: bool) -> None:
    world = NativeWorld()
    world.create()
    world.put("x", delay=delay)
    for share in (0.3, 0.6, 0.099):
        world.advance(delay * share)
        if crash:
            world.crash()
        assert world.pulled(1) == []
    world.advance(delay * 0.002 + 0.01)
    leases = world.pulled(1)
    assert texts(leases) == ["x"]
    world.ack(*leases)
    world.advance(10)
    queue = world.queue()
    assert queue.count == 0 and queue.wheel.all() == [], "an empty bucket is left behind"
    world.crash()
    assert world.queue().wheel.all() == []


def test_delayed_messages_come_in_the_order_of_their_moments() -> None:
    world = NativeWorld()
    world.create()
    stream = world.stream(100)
    for number in (5, 3, 8, 1, 9, 2):
        world.put(str(number), delay=number * 0.3)
    world.advance(0.95)
    assert texts(stream.leases) == ["1", "2", "3"]
    world.advance(5)
    assert texts(stream.leases) == ["1", "2", "3", "5", "8", "9"]


def test_priorities_count_among_what_is_due() -> None:
    world = NativeWorld()
    world.create()
    world.put("late and low", delay=1.0)
    world.put("late and high", delay=1.2, priority=9)
    world.put("plain")
    world.advance(2)
    assert world.drain() == ["late and high", "late and low", "plain"]


def test_what_was_due_while_the_broker_was_down_comes_at_once() -> None:
    world = NativeWorld()
    world.create()
    for delay in (5.0, 100.0, 5000.0, 300_000.0):
        world.put(str(delay), delay=delay)
    world.now += 400_000
    world.crash()
    world.advance(5)
    assert sorted(world.drain()) == ["100.0", "300000.0", "5.0", "5000.0"]


def test_a_queue_without_a_consumer_keeps_none_of_them_in_memory() -> None:
    world = NativeWorld()
    queue = world.create()
    for number in range(200):
        world.put(str(number), delay=1 + number % 50)
    world.advance(100 + IDLE_SECONDS)
    assert world.refs_in_memory() == 0 and queue.loose.refs() == []
    assert sorted(map(int, world.drain())) == list(range(200))


def test_short_delays_share_a_bucket_also_when_its_second_has_begun() -> None:
    world = NativeWorld()
    world.create()
    world.pulled(1)
    world.now = float(int(world.now) + 10)
    for number in range(50):
        world.put(str(number), delay=0.2 + number / 100)
    assert len(world.queue().wheel.all()) == 1
    world.advance(1)
    assert world.drain() == [str(number) for number in range(50)]


def test_there_are_few_buckets_however_far_away_messages_are() -> None:
    wheel = Wheel()
    now = 1_700_000_000.0
    places = {wheel.place(now + seconds, now) for seconds in range(1, 1_000_000_000, 99_991)}
    assert len(places) <= SPAN + 66
    assert all(level < len(WIDTHS) for level, _ in places)


def test_a_hundred_thousand_delayed_messages_are_not_in_memory() -> None:
    world = NativeWorld()
    queue = world.create()
    for _ in range(100):
        world.put_many(["x"] * 1000, deliver_at=world.now + 100)
    assert queue.count == 100_000 and world.refs_in_memory() == 0
    assert len(queue.wheel.all()) == 1
    stream = world.stream(10)
    world.advance(101)
    assert len(stream.leases) == 10
    assert world.refs_in_memory() + len(queue.loose.refs()) <= 15_000
    taken = 0
    while leases := world.pulled(5000):
        taken += len(leases)
        world.ack(*leases)
    assert taken == 100_000 - 10


def test_a_delay_longer_than_the_expiry_is_in_vain() -> None:
    world = NativeWorld()
    world.create("q", dead_letter="dead")
    world.put("x", delay=10, ttl=5)
    world.advance(11)
    assert world.drain() == []
    world.advance(1)
    assert world.drain("dead") == ["x"]


def test_a_bucket_that_is_empty_when_its_queue_leaves_memory_goes_as_well() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put("0", delay=2.0)
    world.advance(3.0)
    leases = world.pulled()
    world.hold_commits = True
    world.ack(*leases)
    world.advance(IDLE_SECONDS + 5)
    world.commit_all()
    world.advance(5)
    assert queue.wheel.all() == []
