"""Messages between clients: which QoS, in which order, how many at a time, what comes again after a reconnect."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.model.queues import Overflow, QueuePolicy
from mombroker.mqtt import Ack, Publish
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL

from .world import FOREVER, Client, Policies, World


def pair(world: World, version: int = 5, qos: int = 2, **fields: Any) -> tuple[Client, Client]:
    """A publisher, and a subscriber to t/# whose session lasts."""
    publisher = world.client("pub")
    publisher.connect()
    subscriber = world.client("sub", version)
    if version == 5:
        fields.setdefault("session_expiry", FOREVER)
    subscriber.connect(clean=False, **fields)
    subscriber.subscribe("t/#", qos=qos)
    return publisher, subscriber


def again(subscriber: Client, **fields: Any) -> None:
    if subscriber.version == 5:
        fields.setdefault("session_expiry", FOREVER)
    subscriber.connect(clean=False, **fields)


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("sent", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.conforms("MQTT-3.8.4-8", "MQTT-4.3.1-1", "MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT3-3.8.4-6")
def test_a_message_arrives_at_the_lower_of_the_two_qos(version: int, sent: int, granted: int) -> None:
    publisher, subscriber = pair(World(), version, granted)
    packet_id = publisher.publish("t/x", "hello", sent)
    assert [(got.topic, got.payload, got.qos) for got in subscriber.got] == [("t/x", b"hello", min(sent, granted))]
    assert publisher.result(packet_id) == (0 if sent else None)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.conforms("MQTT-4.3.2-4", "MQTT-3.4.2-1", "MQTT3-4.3.2-2")
def test_a_qos_1_publish_is_answered_with_its_packet_id(version: int) -> None:
    client = World().client("a", version)
    client.connect()
    for expected in (1, 2, 3):
        assert client.publish("t", "x", 1) == expected
    assert client.acks(PUBACK) == [1, 2, 3]


@pytest.mark.conforms("MQTT-4.3.3-8", "MQTT-4.3.3-11", "MQTT-3.5.2-1", "MQTT-3.7.2-1")
def test_a_qos_2_publish_is_answered_step_by_step() -> None:
    client = World().client("a")
    client.auto = False
    client.connect()
    packet_id = client.publish("t", "x", 2)
    assert client.acks(PUBREC) == [packet_id]
    client.send(Ack(PUBREL, packet_id))
    assert client.acks(PUBCOMP) == [packet_id]


@pytest.mark.conforms("MQTT-4.3.3-10", "MQTT3-4.3.3-2")
def test_a_qos_2_publish_that_comes_again_before_its_release_is_not_routed_again() -> None:
    world = World()
    publisher, subscriber = pair(world)
    publisher.auto = False
    publisher.publish("t/x", "once", 2)
    publisher.send(Publish.create("t/x", b"once", 2, dup=True, packet_id=1))
    assert publisher.acks(PUBREC) == [1, 1]
    assert subscriber.payloads() == ["once"]
    publisher.send(Ack(PUBREL, 1))
    publisher.send(Publish.create("t/x", b"new", 2, packet_id=1))
    assert subscriber.payloads() == ["new"]


@pytest.mark.conforms("MQTT-4.3.3-12")
def test_a_release_of_an_unknown_packet_id_is_answered() -> None:
    client = World().client("a")
    client.connect()
    client.send(Ack(PUBREL, 77))
    answer = client.inbox[-1]
    assert isinstance(answer, Ack) and (answer.type, answer.packet_id, answer.reason) == (PUBCOMP, 77, 0x92)
    old = World().client("a", 4)
    old.connect()
    old.send(Ack(PUBREL, 77))
    assert old.acks(PUBCOMP) == [77]


def test_a_publish_nobody_wants_says_so_to_a_new_client_only() -> None:
    world = World()
    new, old = world.client("new"), world.client("old", 4)
    new.connect()
    old.connect()
    assert new.result(new.publish("t", "x", 1)) == 0x10
    assert old.result(old.publish("t", "x", 1)) == 0


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.conforms("MQTT-4.6.0-6", "MQTT-4.6.0-5", "MQTT3-4.6.0-6")
def test_messages_arrive_in_the_order_they_were_published(qos: int) -> None:
    world = World()
    publisher, subscriber = pair(world, receive_maximum=3)
    for number in range(100):
        publisher.publish("t/x", str(number), qos, run=False)
    world.run()
    assert subscriber.payloads() == [str(number) for number in range(100)]


@pytest.mark.conforms("MQTT-4.4.0-1", "MQTT-4.6.0-1", "MQTT-3.3.1-1", "MQTT3-4.4.0-1", "MQTT3-4.6.0-1")
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("version", [3, 4, 5])
def test_what_was_not_acknowledged_comes_again_in_order_with_its_packet_id(version: int, crash: bool) -> None:
    world = World()
    publisher, subscriber = pair(world, version)
    subscriber.auto = False
    for number in range(6):
        publisher.publish("t/x", str(number), 1 + number % 2)
    first = subscriber.publishes()
    assert [packet.dup for packet in first] == [False] * 6
    subscriber.send(Ack(PUBACK, first[2].packet_id))
    if crash:
        world.crash()
    else:
        subscriber.cut()
    again(subscriber)
    second = subscriber.publishes()
    left = [packet for packet in first if packet is not first[2]]
    assert [(packet.packet_id, packet.payload(), packet.qos) for packet in second] == [
        (packet.packet_id, packet.payload(), packet.qos) for packet in left
    ]
    assert all(packet.dup for packet in second)


@pytest.mark.conforms("MQTT-3.3.1-1", "MQTT-3.3.1-3")
def test_what_is_sent_for_the_first_time_after_a_reconnect_is_no_duplicate() -> None:
    world = World()
    publisher, subscriber = pair(world)
    subscriber.cut()
    publisher.publish("t/x", "x", 1)
    again(subscriber)
    assert [got.dup for got in subscriber.got] == [False]


def test_the_dup_flag_of_the_publisher_is_not_passed_on() -> None:
    world = World()
    publisher, subscriber = pair(world)
    publisher.send(Publish.create("t/x", b"x", 1, dup=True, packet_id=9))
    assert [got.dup for got in subscriber.got] == [False]


@pytest.mark.conforms("MQTT-4.6.0-4", "MQTT-4.3.3-4", "MQTT-4.3.3-6", "MQTT-4.3.3-7")
@pytest.mark.parametrize("crash", [False, True])
def test_what_was_received_is_released_again_and_not_published_again(crash: bool) -> None:
    world = World()
    publisher, subscriber = pair(world)
    subscriber.auto = False
    for text in "abc":
        publisher.publish("t/x", text, 2)
    first = subscriber.publishes()
    for index in (1, 0):
        subscriber.send(Ack(PUBREC, first[index].packet_id))
    assert subscriber.acks(PUBREL) == [first[1].packet_id, first[0].packet_id]
    if crash:
        world.crash()
    else:
        subscriber.cut()
    again(subscriber)
    assert subscriber.acks(PUBREL) == [first[1].packet_id, first[0].packet_id]
    assert [packet.payload() for packet in subscriber.publishes()] == [b"c"]
    subscriber.send(Ack(PUBCOMP, first[0].packet_id))
    subscriber.cut()
    again(subscriber)
    assert subscriber.acks(PUBREL) == [first[1].packet_id]


@pytest.mark.conforms("MQTT-3.3.4-9", "MQTT-3.2.2-18")
@pytest.mark.parametrize("qos", [1, 2])
def test_no_more_than_the_receive_maximum_of_the_client_is_in_flight(qos: int) -> None:
    world = World()
    publisher, subscriber = pair(world, receive_maximum=2)
    subscriber.auto = False
    for number in range(5):
        publisher.publish("t/x", str(number), qos)
    assert len(subscriber.publishes()) == 2
    first = subscriber.publishes()[0].packet_id
    if qos == 2:
        subscriber.send(Ack(PUBREC, first))
        assert len(subscriber.publishes()) == 2
        subscriber.send(Ack(PUBCOMP, first))
    else:
        subscriber.send(Ack(PUBACK, first))
    assert len(subscriber.publishes()) == 3


def test_a_pubrec_with_an_error_ends_the_exchange_and_gives_the_credit_back() -> None:
    world = World()
    publisher, subscriber = pair(world, receive_maximum=1)
    subscriber.auto = False
    publisher.publish("t/x", "a", 2)
    publisher.publish("t/x", "b", 2)
    subscriber.send(Ack(PUBREC, subscriber.publishes()[0].packet_id, 0x83))
    assert [packet.payload() for packet in subscriber.publishes()] == [b"a", b"b"]
    assert subscriber.acks(PUBREL) == []
    subscriber.cut()
    again(subscriber)
    assert [packet.payload() for packet in subscriber.publishes()] == [b"b"]


def test_the_broker_keeps_its_own_bound_for_clients_that_name_none() -> None:
    world = World(Limits(sys_interval=0, max_inflight=3))
    publisher, subscriber = pair(world, 4)
    subscriber.auto = False
    for number in range(5):
        publisher.publish("t/x", str(number), 1)
    assert len(subscriber.publishes()) == 3


def test_qos_0_needs_no_credit() -> None:
    world = World()
    publisher, subscriber = pair(world, receive_maximum=1)
    subscriber.auto = False
    publisher.publish("t/x", "a", 1)
    publisher.publish("t/x", "b", 1)
    publisher.publish("t/x", "c", 0)
    assert [packet.payload() for packet in subscriber.publishes()] == [b"a", b"c"]


@pytest.mark.conforms("MQTT-3.3.4-7", "MQTT-3.3.4-8")
def test_a_client_that_exceeds_the_receive_maximum_of_the_broker_is_closed() -> None:
    world = World(Limits(sys_interval=0, receive_maximum=2))
    client = world.client("a")
    client.auto = False
    client.connect(session_expiry=10)
    client.publish("t", "1", 2)
    client.publish("t", "2", 2)
    assert not client.closed
    client.publish("t", "3", 0)
    assert not client.closed
    client.publish("t", "3", 2)
    assert client.disconnect_reason == 0x93


def test_credit_towards_the_broker_comes_back() -> None:
    world = World(Limits(sys_interval=0, receive_maximum=2))
    client = world.client("a")
    client.connect(session_expiry=10)
    for number in range(10):
        client.publish("t", str(number), 1 + number % 2)
    assert not client.closed
    assert client.unacked == {}


def test_a_packet_too_large_for_the_client_is_dropped_for_it_alone() -> None:
    world = World()
    publisher, subscriber = pair(world, maximum_packet_size=50)
    other = world.client("other")
    other.connect()
    other.subscribe("t/#", qos=2)
    for qos in (0, 1, 2):
        publisher.publish("t/x", "x" * 100, qos)
        publisher.publish("t/x", "small", qos)
    assert subscriber.payloads() == ["small"] * 3
    assert other.payloads() == ["x" * 100, "small"] * 3
    assert world.engine.statistics.dropped == {"too-large": 3}
    assert world.queue_of("sub").count == 0


@pytest.mark.conforms("MQTT-3.1.2-25")
def test_a_message_that_is_too_large_counts_as_delivered() -> None:
    world = World()
    publisher, subscriber = pair(world, maximum_packet_size=50)
    publisher.publish("t/x", "x" * 100, 1)
    subscriber.cut()
    again(subscriber)
    assert subscriber.payloads() == []


def test_a_puback_for_a_qos_2_message_is_a_protocol_error() -> None:
    world = World()
    publisher, subscriber = pair(world)
    subscriber.auto = False
    publisher.publish("t/x", "x", 2)
    subscriber.send(Ack(PUBACK, subscriber.publishes()[0].packet_id))
    assert subscriber.disconnect_reason == 0x82


@pytest.mark.parametrize("kind", [PUBACK, PUBCOMP])
def test_an_acknowledgement_of_nothing_is_ignored(kind: int) -> None:
    client = World().client("a")
    client.connect()
    client.send(Ack(kind, 5))
    assert not client.closed


def test_a_pubrec_of_nothing_is_released() -> None:
    client = World().client("a")
    client.connect()
    client.send(Ack(PUBREC, 5))
    answer = client.inbox[-1]
    assert isinstance(answer, Ack) and (answer.type, answer.packet_id, answer.reason) == (PUBREL, 5, 0x92)


def test_an_alias_that_a_dropped_packet_would_have_defined_is_not_used() -> None:
    world = World()
    publisher, subscriber = pair(world, maximum_packet_size=50, topic_alias_maximum=5)
    for qos in (0, 1):
        publisher.publish(f"t/{qos}", "x" * 100, qos)
        publisher.publish(f"t/{qos}", "small", qos)
    assert [got.topic for got in subscriber.got] == ["t/0", "t/1"]


def test_a_page_read_for_one_connection_is_not_taken_for_the_next() -> None:
    world = World()
    publisher, subscriber = pair(world)
    subscriber.cut()
    for number in range(3000):
        publisher.publish("t/x", str(number), 1, run=False)
    world.run()
    world.hold_reads = True
    subscriber.auto = False
    again(subscriber, receive_maximum=1500)
    while world.reads and len(subscriber.publishes()) < 1000:
        world.reads.pop(0)()
        world.run()
    assert subscriber.publishes() and world.reads
    subscriber.cut()
    subscriber.auto = True
    subscriber.got.clear()
    again(subscriber)
    world.read_all()
    assert subscriber.payloads() == [str(number) for number in range(3000)]


def test_a_read_that_ends_after_its_client_has_gone_leaves_nothing_in_memory() -> None:
    world = World()
    publisher, subscriber = pair(world)
    subscriber.cut()
    for number in range(3):
        publisher.publish("t/x", str(number), 1)
    world.hold_reads = True
    again(subscriber)
    subscriber.cut()
    world.read_all()
    assert world.refs_in_memory() == 0
    again(subscriber)
    assert subscriber.payloads() == ["0", "1", "2"]


def test_qos_0_that_takes_the_place_of_what_waited_takes_no_credit() -> None:
    hooks = Policies()
    hooks.policies["client:sub"] = QueuePolicy(max_messages=1, overflow=Overflow.DROP_OLDEST)
    world = World(Limits(sys_interval=0, queue_qos0=True), hooks)
    publisher, subscriber = pair(world, receive_maximum=1)
    world.hold_commits = True
    publisher.publish("t/x", "dropped", 2)
    publisher.publish("t/x", "plain", 0)
    world.commit_all()
    publisher.publish("t/x", "next", 1)
    assert subscriber.payloads() == ["plain", "next"]
