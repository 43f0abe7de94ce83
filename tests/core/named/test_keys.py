"""Ordering keys: one message of a key at a time, in order, whatever becomes of the others."""

import pytest

from mombroker.core.queue import WINDOW_REFS

from .native import NativeWorld, texts


def test_one_message_of_a_key_is_out_at_a_time_and_others_go_on() -> None:
    world = NativeWorld()
    world.create()
    for key in ("a", "b"):
        world.put_many([f"{key}{number}" for number in range(3)], key=key)
    first = world.pulled(10)
    assert texts(first) == ["a0", "b0"]
    assert world.pulled(10) == []
    world.ack(first[0])
    second = world.pulled(10)
    assert texts(second) == ["a1"]
    world.ack(first[1], second[0])
    assert world.drain() == ["a2", "b1", "b2"] or world.queue().count == 0


def test_a_nacked_message_keeps_its_place_at_the_head_of_its_key() -> None:
    world = NativeWorld()
    world.create()
    world.put_many(["0", "1", "2"], key="k")
    world.nack(*world.pulled(10))
    assert world.drain() == ["0", "1", "2"]


def test_a_message_that_waits_for_its_retry_keeps_its_place_too() -> None:
    world = NativeWorld()
    world.create()
    world.put_many(["0", "1", "2"], key="k")
    world.put("other")
    world.nack(*world.pulled(1), delay=5.0)
    assert world.drain() == ["other"]
    world.advance(4.9)
    assert world.drain() == []
    world.advance(0.2)
    assert world.drain() == ["0", "1", "2"]


def test_a_key_with_a_full_line_goes_on_after_a_nack() -> None:
    world = NativeWorld()
    world.create()
    world.put_many([str(number) for number in range(WINDOW_REFS + 100)], key="k")
    leases = world.pulled(10)
    assert texts(leases) == ["0"]
    world.nack(*leases)
    leases = world.pulled(10)
    assert texts(leases) == ["0"]
    world.ack(*leases)
    assert texts(world.pulled(10)) == ["1"]


def test_lines_keep_a_bounded_number_of_messages_in_memory() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put_many([str(number) for number in range(4 * WINDOW_REFS)], key="k")
    world.pulled(1)
    assert queue.keys.parked <= WINDOW_REFS
    assert world.refs_in_memory() <= 3 * WINDOW_REFS


def test_big_messages_in_lines_are_bounded_by_their_bytes() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put_many(["x" * 100_000] * 100, key="k")
    world.pulled(1)
    assert queue.keys.parked <= 50
    for _ in range(100):
        leases = world.queue().leases.by_token.values() or world.pulled(1)
        world.ack(*list(leases))
    assert queue.count == 0


@pytest.mark.parametrize("after_write", [False, True])
def test_keys_are_kept_in_order_across_a_crash(after_write: bool) -> None:
    world = NativeWorld()
    world.create()
    world.put_many(["0", "1", "2"], key="k")
    world.ack(*world.pulled(1))
    world.pulled(1)
    world.crash(after_write)
    assert world.drain() == ["1", "2"]


def test_an_expired_head_of_a_line_lets_the_next_one_go() -> None:
    world = NativeWorld()
    world.create()
    world.put("0", key="k", ttl=10)
    world.put("1", key="k", ttl=5)
    world.put("2", key="k")
    world.nack(*world.pulled(1), delay=20.0)
    world.advance(30)
    assert world.drain() == ["2"]


def test_a_key_goes_on_when_the_store_takes_back_the_message_whose_turn_it_is() -> None:
    world = NativeWorld()
    queue = world.create(max_leased=1)
    world.put("0", key="k")
    lease = world.pulled(1)[0]
    world.hold_commits = True
    world.put("1", key="k")
    world.put("blocker", key="other")
    # "1" stands in line, then it has the turn but waits for room among the leases; then the store refuses it.
    world.pull(1, wait=50)
    world.ack(lease)
    world.full = True
    world.commit_one()
    world.full = False
    world.commit_all()
    world.advance(2)
    for one in list(queue.leases.by_token.values()):
        world.ack(one)
    world.put("2", key="k")
    world.advance(60)
    assert "2" in world.drain() or queue.count == 0


def test_a_line_survives_the_end_of_all_messages_before_it_by_purge() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put_many(["0", "1", "2"], key="k")
    lease = world.pulled(1)[0]
    world.enter()
    from mombroker.core.named import upkeep

    assert upkeep.purge(queue) == 2
    world.leave()
    world.put("3", key="k")
    assert world.drain() == []
    world.ack(lease)
    assert world.drain() == ["3"]


def test_messages_of_a_key_that_were_put_away_come_back_in_order() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put_many(["0", "1", "2", "3"], key="k")
    world.ack(*world.pulled(1))
    world.advance(100)
    assert not queue.attached
    assert world.drain() == ["1", "2", "3"]


def test_a_stream_gets_the_next_of_a_key_when_an_mqtt_client_that_has_unsubscribed_is_done() -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c")
    client.auto = False
    assert client.subscribe("$queue/q", qos=1) == [1]
    world.put_many(["0", "1"], key="k")
    assert client.payloads() == ["0"]
    client.unsubscribe("$queue/q")
    stream = world.stream(5)
    assert stream.leases == []
    from mombroker.mqtt import Ack
    from mombroker.mqtt.packet_types import PUBACK

    client.send(Ack(PUBACK, client.publishes()[0].packet_id))
    assert texts(stream.leases) == ["1"]


def test_a_message_of_a_key_that_waits_for_another_try_is_with_no_consumer() -> None:
    world = NativeWorld()
    queue = world.create(max_leased=1)
    world.put("0", key="k")
    world.put("1")
    world.nack(*world.pulled(), delay=100.0)
    assert queue.leased() == 0
    (lease,) = world.pulled()
    assert texts([lease]) == ["1"] and queue.leased() == 1
    world.ack(lease)
    world.advance(101)
    assert world.drain() == ["0"]
    assert (queue.leased(), queue.put_off) == (0, 0)
