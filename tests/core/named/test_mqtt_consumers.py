"""MQTT clients as consumers of queues: competing, acknowledging, refusing, going and coming back."""

import pytest

from mombroker.core import Limits
from mombroker.mqtt import Ack
from mombroker.mqtt.packet_types import PUBACK

from .native import NativeWorld


def test_clients_compete_and_each_message_goes_to_one() -> None:
    world = NativeWorld()
    world.create()
    clients = [world.user(name, version) for name, version in (("a", 5), ("b", 4), ("c", 3))]
    for client in clients:
        assert client.subscribe("$queue/q", qos=2) == [1]
    world.put_many([str(number) for number in range(9)])
    got = [client.payloads() for client in clients]
    assert sorted(text for texts in got for text in texts) == [str(number) for number in range(9)]
    assert all(len(texts) == 3 for texts in got)
    assert world.queue().count == 0
    world.crash()
    assert world.queue().count == 0


def test_a_client_has_no_more_than_its_receive_maximum() -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c", receive_maximum=2)
    client.auto = False
    client.subscribe("$queue/q", qos=1)
    world.put_many(["0", "1", "2", "3"])
    assert client.payloads() == ["0", "1"]
    client.send(Ack(PUBACK, client.publishes()[1].packet_id))
    assert client.payloads() == ["2"]


def test_what_is_sent_with_qos_0_is_done_with() -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c")
    assert client.subscribe("$queue/q", qos=0) == [0]
    world.put_many(["0", "1"])
    assert client.payloads() == ["0", "1"]
    world.crash()
    assert world.drain() == []


def test_the_broker_says_what_a_message_is() -> None:
    world = NativeWorld()
    world.create("q", "ann", "t")
    client = world.user("c")
    client.auto = False
    client.subscribe("$queue/q", qos=1, id=7)
    client.publish("t", "0", qos=1, user=[("mom-id", "mine"), ("x", "y")])
    client.publish("$queue/q", "1", qos=1)
    first, second = client.got
    assert (first.topic, second.topic) == ("t", "$queue/q")
    assert sorted(first.properties.user) == [("mom-id", "mine"), ("mom-queue", "q"), ("x", "y")]
    assert first.properties.subscription_ids == [7]
    assert dict(second.properties.user)["mom-id"]
    client.send(Ack(PUBACK, second.packet_id, 0x83))
    assert dict(client.got[-1].properties.user)["mom-deliveries"] == "2"
    assert not client.got[-1].dup


@pytest.mark.parametrize("reason", [0x80, 0x83, 0x97])
def test_a_failure_in_the_acknowledgement_gives_the_message_back_after_the_retry_delay(reason: int) -> None:
    world = NativeWorld()
    world.create("q", retry_delay=5.0, max_deliveries=2, dead_letter="dead")
    client = world.user("c")
    client.auto = False
    client.subscribe("$queue/q", qos=1)
    world.put("x")
    client.send(Ack(PUBACK, client.got[-1].packet_id, reason))
    assert client.payloads() == ["x"]
    world.advance(5.1)
    assert client.payloads() == ["x"]
    client.send(Ack(PUBACK, client.publishes()[-1].packet_id, reason))
    assert world.drain("dead") == ["x"]


def test_a_payload_that_cannot_be_read_is_a_dead_letter_at_once() -> None:
    world = NativeWorld()
    world.create("q", dead_letter="dead")
    client = world.user("c")
    client.auto = False
    client.subscribe("$queue/q", qos=1)
    world.put("x")
    client.send(Ack(PUBACK, client.got[-1].packet_id, 0x99))
    dead = world.pulled(1, "dead")
    assert world.queue("dead").meta(dead[0].ref).deaths[0][1:4:2] == ("Payload format invalid", 1)


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("crash", [False, True])
def test_a_client_that_goes_gives_back_what_it_has_in_its_place(lasting: bool, crash: bool) -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c", session_expiry=1000 if lasting else 0)
    client.auto = False
    client.subscribe("$queue/q", qos=1)
    world.put_many(["0", "1", "2"])
    client.send(Ack(PUBACK, client.got[1].packet_id))
    if crash:
        world.crash()
    else:
        client.cut()
    leases = world.pulled(5)
    assert [lease.ref.message.payload for lease in leases] == [b"0", b"2"]
    assert [lease.deliveries for lease in leases] == ([1, 1] if crash else [2, 2])


def test_a_lasting_subscription_is_there_again_after_a_restart() -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c", session_expiry=1000)
    client.subscribe("$queue/q", qos=1)
    world.restart()
    world.put_many(["0", "1"])
    client.connect(username="ann", clean=False, session_expiry=1000)
    assert client.payloads() == ["0", "1"]
    assert world.queue().count == 0
    client.unsubscribe("$queue/q")
    world.put("2")
    assert client.payloads() == []
    client.cut()
    world.crash()
    assert world.queue().consumers == []
    assert world.drain() == ["2"]


def test_a_message_that_no_client_can_take_does_not_stop_the_queue() -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c", maximum_packet_size=200)
    client.subscribe("$queue/q", qos=1)
    world.put("x" * 1000)
    world.put("y")
    assert client.payloads() == ["y"]


def test_a_slow_client_gets_the_rest_when_it_reads_again() -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c")
    client.subscribe("$queue/q", qos=1)
    client.congest()
    world.put_many(["0", "1"])
    assert client.payloads() == []
    client.congest(False)
    assert client.payloads() == ["0", "1"]


def test_subscribing_again_changes_the_qos_and_doubles_nothing() -> None:
    world = NativeWorld()
    queue = world.create()
    client = world.user("c")
    client.auto = False
    client.subscribe("$queue/q", qos=1)
    world.put("0")
    client.subscribe("$queue/q", qos=0)
    assert len(queue.consumers) == 1
    world.put("1")
    assert [got.qos for got in client.got] == [1, 0]
    client.send(Ack(PUBACK, client.got[0].packet_id))
    assert queue.count == 0


def test_a_client_that_does_not_read_loses_nothing_of_a_queue_with_qos_0() -> None:
    world = NativeWorld(Limits(sys_interval=0, max_out_buffer=4096))
    world.create()
    client = world.user("c")
    assert client.subscribe("$queue/q", qos=0) == [0]
    texts = [f"{number:03}" + "x" * 500 for number in range(40)]
    world.put_many(texts)
    assert client.payloads() == texts
    assert world.engine.statistics.dropped == {}


def test_a_single_active_client_that_unsubscribes_stays_active_until_it_has_nothing_any_more() -> None:
    world = NativeWorld()
    world.create(single_active=True)
    first, second = world.user("a", receive_maximum=1), world.user("b", receive_maximum=1)
    for client in (first, second):
        client.auto = False
        client.subscribe("$queue/q", qos=1)
    world.put_many(["0", "1"])
    active, standby = (first, second) if first.got else (second, first)
    assert active.payloads() == ["0"]
    active.unsubscribe("$queue/q")
    assert standby.payloads() == []
    active.send(Ack(PUBACK, active.publishes()[0].packet_id))
    assert standby.payloads() == ["1"]


def test_a_single_active_client_that_unsubscribes_and_goes_lets_another_one_go_on() -> None:
    world = NativeWorld()
    world.create(single_active=True)
    first, second = world.user("a", session_expiry=100), world.user("b", session_expiry=100)
    for client in (first, second):
        client.auto = False
        client.subscribe("$queue/q", qos=1)
    world.put("0")
    active, standby = (first, second) if first.got else (second, first)
    active.unsubscribe("$queue/q")
    active.cut()
    assert standby.payloads() == ["0"]
