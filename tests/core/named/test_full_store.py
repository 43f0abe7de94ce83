"""A store without room: what was accepted stays, what was refused is gone, and room is made as consumers settle."""

import pytest

from mombroker.api.streams import give_back
from mombroker.core.named.upkeep import purge
from mombroker.model.unit import TABLE_RETURNED

from .native import NativeWorld, Told, texts


def refuse_next(world: NativeWorld) -> None:
    """Let the store refuse the unit that is about to be, and have room again after that."""
    world.full = True
    world.hold_commits = True


def go_on(world: NativeWorld) -> None:
    """The held unit is refused, then there is room."""
    while world.unit is not None:
        world.commit_one()
    world.full = False
    world.hold_commits = False
    world.advance(3)
    world.check_counts()


def test_what_the_store_refuses_is_gone_and_what_it_had_stays() -> None:
    world = NativeWorld()
    world.create()
    world.put("kept")
    refuse_next(world)
    told = Told()
    world.put("refused", told=told)
    go_on(world)
    assert told.fate == "refused"
    assert world.drain() == ["kept"]


def test_a_message_that_was_nacked_with_a_delay_is_not_lost() -> None:
    world = NativeWorld()
    world.create()
    world.put("0")
    leases = world.pulled(1)
    refuse_next(world)
    world.nack(*leases, delay=5.0)
    go_on(world)
    assert world.queue().count == 1
    world.advance(10)
    leases = world.pulled(1)
    assert texts(leases) == ["0"]
    assert leases[0].deliveries == 2
    world.ack(*leases)
    world.crash()
    assert world.drain() == []
    assert world.queue().count == 0


@pytest.mark.parametrize("crash", [False, True])
def test_a_dead_letter_is_not_lost(crash: bool) -> None:
    world = NativeWorld()
    world.create("dead")
    world.create("q", max_deliveries=1, dead_letter="dead")
    world.put("0")
    leases = world.pulled(1)
    refuse_next(world)
    world.nack(*leases)
    if crash:
        while world.unit is not None:
            world.commit_one()
        world.full = world.hold_commits = False
        world.crash()
        assert texts(world.pulled(1)) == ["0"]
        return
    go_on(world)
    world.advance(3)
    assert world.queue("q").count == 0
    assert world.drain("dead") == ["0"]


def test_a_rejected_message_waits_for_room_among_the_dead() -> None:
    world = NativeWorld()
    world.create("q", dead_letter="dead")
    world.put_many(["0", "1"])
    leases = world.pulled(2)
    world.full = True
    world.put("refused")
    world.reject(*leases)
    world.advance(10)
    assert world.queue("q").count == 2
    world.full = False
    world.advance(3)
    assert sorted(world.drain("dead")) == ["0", "1"]
    assert world.queue("q").count == 0


def test_acks_reach_a_full_disk_although_messages_are_to_be_moved() -> None:
    world = NativeWorld()
    world.create("q", dead_letter="dead")
    world.put_many(["0", "1", "2"])
    leases = world.pulled(3)
    world.full = True
    world.put("refused")
    world.nack(leases[0], delay=1.0)
    world.reject(leases[1])
    world.ack(leases[2])
    world.advance(5)
    assert world.engine.barrier.refusing
    assert not world.engine.barrier.unit.segments, "a unit that settles only must not append"


def test_delayed_messages_on_their_way_to_a_shorter_bucket_are_not_lost() -> None:
    world = NativeWorld()
    queue = world.create()
    for number in range(20):
        world.put(str(number), delay=200 + number)
    assert queue.count == 20
    world.hold_commits = False
    world.full = True
    world.advance(300)
    world.full = False
    world.advance(10)
    assert world.drain() == [str(number) for number in range(20)]
    assert queue.count == 0


def test_a_move_of_a_message_with_a_shared_body_is_undone() -> None:
    world = NativeWorld()
    world.create("q", "ann", "t")
    world.create("p", "ann", "t")
    client = world.user("c")
    client.publish("t", "x" * 1000, qos=1)
    assert client.results == {1: 0}
    leases = world.pulled(1)
    refuse_next(world)
    world.nack(*leases, delay=2.0)
    go_on(world)
    world.advance(10)
    assert world.drain("q") == ["x" * 1000]
    assert world.drain("p") == ["x" * 1000]
    assert not world.store._bodies


def test_a_held_message_that_was_refused_is_not_counted_after_a_crash() -> None:
    world = NativeWorld()
    world.create()
    assert world.pulled(1) == []
    refuse_next(world)
    world.put("0")
    leases = world.pulled(1)
    assert texts(leases) == ["0"]
    go_on(world)
    world.put("1")
    world.crash()
    assert world.queue().count == 1
    assert world.drain() == ["1"]
    assert world.queue().count == 0


def test_a_refused_message_that_a_consumer_has_is_not_delivered_again() -> None:
    world = NativeWorld()
    world.create()
    assert world.pulled(1) == []
    refuse_next(world)
    world.put("0")
    leases = world.pulled(1)
    go_on(world)
    world.nack(*leases)
    assert world.drain() == []
    assert world.queue().count == 0


def test_an_id_is_forgotten_with_its_message() -> None:
    world = NativeWorld()
    world.create(dedup_window=100.0)
    refuse_next(world)
    world.put("0", id="a")
    go_on(world)
    assert world.put("1", id="a") == "a"
    assert world.drain() == ["1"]


def test_a_repetition_is_not_promised_before_the_first_one_is_on_disk() -> None:
    world = NativeWorld()
    world.create(dedup_window=100.0)
    world.hold_commits = True
    first, second = Told(), Told()
    world.put("0", id="a", told=first)
    world.put("0", id="a", told=second)
    world.full = True
    world.commit_one()
    world.full = False
    assert first.fate == "refused"
    world.commit_all()
    world.advance(3)
    assert second.fate == "kept"
    world.crash()
    assert world.drain() == ["0"], "what was promised is not there"


@pytest.mark.parametrize("version", [4, 5])
def test_a_publisher_is_refused_while_the_disk_is_full(version: int) -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c", version)
    world.full = True
    first = client.publish("$queue/q", "0", qos=1)
    second = client.publish("$queue/q", "1", qos=1)
    assert [client.result(first), client.result(second)] == ([0x97, 0x97] if version == 5 else [None, None])
    client.publish("$queue/q", "2", qos=0)
    assert world.queue().count == 0
    world.full = False
    world.advance(3)
    assert world.drain() == []


def test_a_queue_made_on_a_full_disk_is_there_when_there_is_room() -> None:
    world = NativeWorld()
    world.full = True
    world.create("q")
    world.full = False
    world.advance(3)
    world.crash()
    assert "q" in world.engine.named.queues


def test_a_rejected_message_that_its_publisher_was_refused_is_no_dead_letter() -> None:
    world = NativeWorld()
    world.create(dead_letter="dead")
    stream = world.stream(1)
    refuse_next(world)
    told = Told()
    world.put("refused", told=told)
    assert texts(stream.leases) == ["refused"]
    world.commit_one()
    assert told.fate == "refused"
    go_on(world)
    world.reject(stream.leases[0])
    assert world.queue("dead").count == 0 and world.queue().held_count == 0


def test_a_purge_does_not_bring_back_what_a_publisher_was_refused() -> None:
    world = NativeWorld()
    queue = world.create()
    stream = world.stream(1)
    refuse_next(world)
    world.put("refused")
    world.commit_one()
    go_on(world)
    world.enter()
    assert purge(queue) == 0
    world.leave()
    assert queue.count == 0
    world.nack(stream.leases[0])
    assert (queue.count, queue.held_count) == (0, 0)
    assert len(stream.leases) == 1


def test_what_was_purged_does_not_come_back_when_the_disk_is_full() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put("0")
    leases = world.pulled()
    refuse_next(world)
    world.nack(*leases, delay=5.0)
    world.enter()
    assert purge(queue) == 1
    world.leave()
    go_on(world)
    world.advance(10)
    assert queue.count == 0 and world.drain() == []


def test_a_message_that_could_not_be_buried_is_not_delivered_too_often_after_a_crash() -> None:
    world = NativeWorld()
    world.create(dead_letter="dead", max_deliveries=2)
    world.put("0")
    world.nack(*world.pulled())
    refuse_next(world)
    world.nack(*world.pulled())
    world.commit_one()
    world.full = False
    world.advance(1.1)
    world.commit_one()
    world.crash()
    assert [lease.deliveries for lease in world.pulled()] == [2]


def test_nothing_is_remembered_of_a_message_that_the_store_has_refused() -> None:
    world = NativeWorld()
    queue = world.create()
    stream = world.stream(1)
    refuse_next(world)
    world.put("refused")
    world.nack(*stream.leases)
    world.end_stream(stream)
    world.commit_one()
    go_on(world)
    assert queue.count == 0 and queue.returns == {}
    assert list(world.store.items(TABLE_RETURNED)) == []


def test_a_message_that_its_publisher_was_refused_does_not_come_again() -> None:
    world = NativeWorld()
    queue = world.create()
    stream = world.stream(1)
    refuse_next(world)
    world.put("refused")
    world.commit_one()
    go_on(world)
    world.enter()
    give_back(stream.leases)
    world.leave()
    assert len(stream.leases) == 1 and (queue.count, queue.held_count) == (0, 0)
