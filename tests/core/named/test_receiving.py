"""Pull, push, leases: who gets a message, for how long, and who gets it next."""

import pytest

from mombroker.core.queue import WINDOW_REFS

from .native import NativeWorld, Stream, texts


def test_a_pull_that_does_not_wait_is_answered_at_once_with_what_there_is() -> None:
    world = NativeWorld()
    world.create()
    assert world.pulled(5) == []
    world.put_many(["0", "1", "2"])
    assert texts(world.pulled(2)) == ["0", "1"]
    assert texts(world.pulled(2)) == ["2"]


def test_a_pull_reads_a_queue_that_nobody_took_from() -> None:
    world = NativeWorld()
    world.create()
    world.put_many([str(number) for number in range(10)])
    world.crash()
    assert texts(world.pulled(3)) == ["0", "1", "2"]


def test_a_pull_that_does_not_wait_waits_for_what_is_being_read() -> None:
    world = NativeWorld()
    world.create()
    world.put("0")
    world.crash()
    world.hold_reads = True
    taken = world.pull(1)
    assert taken.leases is None
    world.read_all()
    assert texts(taken.leases) == ["0"]


def test_a_pull_that_waits_gets_what_comes() -> None:
    world = NativeWorld()
    world.create()
    taken = world.pull(5, wait=30)
    assert taken.leases is None
    world.put("0")
    assert texts(taken.leases) == ["0"]


def test_a_pull_that_waits_in_vain_is_answered_at_its_deadline() -> None:
    world = NativeWorld()
    world.create()
    taken = world.pull(5, wait=30)
    world.advance(29)
    assert taken.leases is None
    world.advance(1.1)
    assert taken.leases == []


def test_many_pulls_get_one_message_each_in_the_order_they_came() -> None:
    world = NativeWorld()
    world.create()
    pulls = [world.pull(1, wait=60, key=f"pull:{number}") for number in range(50)]
    world.put_many([str(number) for number in range(50)])
    assert [texts(taken.leases) for taken in pulls] == [[str(number)] for number in range(50)]


def test_a_pull_gets_through_a_backlog_in_order() -> None:
    world = NativeWorld()
    world.create()
    count = 2 * WINDOW_REFS + 500
    world.put_many([str(number) for number in range(count)])
    world.crash()
    assert world.drain() == [str(number) for number in range(count)]
    assert world.queue().count == 0


def test_a_lease_that_runs_out_gives_the_message_to_the_next_in_its_place() -> None:
    world = NativeWorld()
    world.create(lease=10.0)
    world.put_many(["0", "1", "2"])
    world.pulled(2)
    world.advance(9.9)
    assert texts(world.pulled(5)) == ["2"]
    world.advance(0.2)
    leases = world.pulled(5)
    assert texts(leases) == ["0", "1"]
    assert [lease.deliveries for lease in leases] == [2, 2]


def test_a_lease_can_be_extended() -> None:
    world = NativeWorld()
    queue = world.create(lease=10.0)
    world.put("0")
    lease = world.pulled(1)[0]
    world.advance(9)
    world.enter()
    queue.leases.extend(lease, world.now + 10)
    world.leave()
    world.advance(9)
    assert not lease.ended
    world.advance(1.1)
    assert lease.ended
    assert texts(world.pulled(1)) == ["0"]


def test_a_lease_can_be_made_shorter() -> None:
    from mombroker.core.named.upkeep import schedule

    world = NativeWorld()
    queue = world.create(lease=1000.0)
    world.put("0")
    lease = world.pulled(1)[0]
    world.enter()
    queue.leases.extend(lease, world.now + 1)
    schedule(queue)
    world.leave()
    world.advance(1.1)
    assert lease.ended


def test_what_is_acked_is_gone_and_what_is_nacked_comes_again() -> None:
    world = NativeWorld()
    world.create()
    world.put_many(["0", "1", "2"])
    leases = world.pulled(3)
    world.ack(leases[1])
    world.nack(leases[0], leases[2])
    again = world.pulled(3)
    assert texts(again) == ["0", "2"]
    assert [lease.deliveries for lease in again] == [2, 2]


def test_deliveries_are_counted_across_a_crash() -> None:
    world = NativeWorld()
    world.create()
    world.put("0")
    for _ in range(3):
        world.nack(*world.pulled(1))
    world.crash()
    assert world.pulled(1)[0].deliveries == 4


def test_a_nack_with_a_delay_comes_back_after_it_with_its_deliveries() -> None:
    world = NativeWorld()
    world.create()
    world.put_many(["0", "1"])
    world.nack(*world.pulled(1), delay=5.0)
    assert texts(world.pulled(5)) == ["1"]
    world.advance(4.9)
    assert world.pulled(5) == []
    world.advance(0.2)
    leases = world.pulled(5)
    assert texts(leases) == ["0"]
    assert leases[0].deliveries == 2


def test_no_record_of_deliveries_is_left_behind() -> None:
    from mombroker.model.unit import TABLE_RETURNED

    world = NativeWorld()
    queue = world.create()
    world.put_many(["0", "1"])
    world.nack(*world.pulled(1))
    world.nack(*world.pulled(1), delay=2.0)
    world.advance(3)
    assert sorted(world.drain()) == ["0", "1"]
    assert list(world.store.items(TABLE_RETURNED)) == []
    assert queue.returns == {}


def test_a_stream_never_has_more_than_its_credit() -> None:
    world = NativeWorld()
    world.create()
    stream = world.stream(3)
    world.put_many([str(number) for number in range(10)])
    assert texts(stream.leases) == ["0", "1", "2"]
    world.ack(stream.leases[0])
    assert texts(stream.leases) == ["0", "1", "2", "3"]
    world.nack(stream.leases[1])
    assert texts(stream.leases) == ["0", "1", "2", "3", "1"]


def test_a_stream_that_ends_gives_its_messages_to_another() -> None:
    world = NativeWorld()
    world.create()
    first = world.stream(3, key="stream:1")
    world.put_many(["0", "1", "2", "3"])
    second = world.stream(10, key="stream:2")
    assert texts(second.leases) == ["3"]
    world.end_stream(first)
    assert texts(second.leases) == ["3", "0", "1", "2"]
    assert [lease.deliveries for lease in second.leases] == [1, 2, 2, 2]


def test_no_more_than_the_policy_allows_is_out_at_a_time() -> None:
    world = NativeWorld()
    world.create(max_leased=2)
    world.put_many(["0", "1", "2"])
    leases = world.pulled(10)
    assert texts(leases) == ["0", "1"]
    taken = world.pull(1, wait=10)
    world.ack(leases[0])
    assert texts(taken.leases) == ["2"]


def test_only_the_active_consumer_gets_messages_and_a_standby_takes_over() -> None:
    world = NativeWorld()
    world.create(single_active=True)
    first = world.stream(2, key="stream:1")
    second = world.stream(10, key="stream:2")
    world.put_many([str(number) for number in range(4)])
    active, standby = (first, second) if first.leases else (second, first)
    assert standby.leases == []
    world.end_stream(active)
    assert texts(standby.leases)[:2] == ["0", "1"]


def test_a_pull_of_a_standby_is_answered_although_there_is_something_on_disk() -> None:
    world = NativeWorld()
    world.create(single_active=True)
    stream = world.stream(1)
    world.put_many([str(number) for number in range(3 * WINDOW_REFS)])
    assert texts(stream.leases) == ["0"]
    assert world.pulled(1) == []


def test_a_standby_client_takes_over_when_the_active_one_loses_its_connection() -> None:
    world = NativeWorld()
    world.create(single_active=True)
    one = world.user("one", session_expiry=1000)
    two = world.user("two", session_expiry=1000)
    for client in (one, two):
        client.auto = False
        client.subscribe("$queue/q", qos=1)
    world.put_many(["0", "1"])
    active, standby = (one, two) if one.got else (two, one)
    assert active.payloads() == ["0", "1"] and standby.payloads() == []
    active.cut()
    assert standby.payloads() == ["0", "1"]


class Eager(Stream):
    """A stream that settles what it gets at once, from within the queue's own turn."""

    def arrived(self, leases):  # type: ignore[no-untyped-def]
        super().arrived(leases)
        for lease in leases:
            lease.queue.end_lease(lease)
            lease.queue.ack(lease.ref)
            lease.queue.pump(lease.queue.queue)


def test_a_stream_may_settle_what_it_gets_at_once() -> None:
    world = NativeWorld()
    world.create()
    world.put_many([str(number) for number in range(10)])
    world.enter()
    stream = Eager("stream:1", "ann", 2, 0.0)
    world.queue().add(stream)
    world.leave()
    assert texts(stream.leases) == [str(number) for number in range(10)]
    assert world.queue().count == 0


@pytest.mark.parametrize("waiting", [0, 1, WINDOW_REFS + 5])
def test_higher_priorities_come_first_also_from_disk(waiting: int) -> None:
    world = NativeWorld()
    world.create()
    for priority in (0, 5, 9):
        world.put_many([f"{priority}-{number}" for number in range(waiting)], priority=priority)
    world.crash()
    got = world.drain()
    assert got == [f"{priority}-{number}" for priority in (9, 5, 0) for number in range(waiting)]


def test_a_message_of_a_higher_priority_overtakes_those_in_memory() -> None:
    world = NativeWorld()
    world.create()
    world.put_many(["a", "b"])
    assert texts(world.pulled(1)) == ["a"]
    world.put("c", priority=1)
    assert texts(world.pulled(5)) == ["c", "b"]


def test_leases_that_have_ended_do_not_fill_the_memory() -> None:
    world = NativeWorld()
    queue = world.create(lease=1000.0)
    world.put("stays", priority=9)
    world.pulled(1)
    for _ in range(30):
        world.put_many(["x"] * 200)
        world.drain()
    assert len(queue.leases._line) + len(queue.leases._deadlines) < 4000


def test_leases_run_out_by_their_deadlines_whatever_the_order_they_began_in() -> None:
    world = NativeWorld()
    world.create(lease=30.0)
    world.put_many(["a", "b", "c"])
    for seconds in (20.0, 5.0, 10.0):
        world.pulled(1, lease=seconds)
    for wait, back in ((6.0, "b"), (5.0, "c"), (10.0, "a")):
        world.advance(wait)
        assert texts(world.pulled(5)) == [back]


def test_put_back_is_quick_for_thousands_of_messages_at_once() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put_many([str(number) for number in range(8000)])
    first = world.stream(8000)
    assert len(first.leases) == 8000
    world.end_stream(first)
    assert queue.held_count == 0
    assert world.drain() == [str(number) for number in range(8000)]
