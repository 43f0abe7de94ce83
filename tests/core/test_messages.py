"""What a message carries: expiry, aliases, properties, payload format."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.mqtt import Publish

from .world import FOREVER, Client, World, properties


def connected(world: World, name: str, version: int = 5, **fields: Any) -> Client:
    client = world.client(name, version)
    client.connect(clean=False, **fields)
    return client


@pytest.mark.conforms("MQTT-3.3.2-5", "MQTT-3.3.2-6")
@pytest.mark.parametrize("crash", [False, True])
def test_a_message_that_waits_counts_down_and_expires(crash: bool) -> None:
    world = World()
    client = connected(world, "a", session_expiry=FOREVER)
    client.subscribe("t", qos=1)
    client.cut()
    publisher = connected(world, "pub")
    publisher.publish("t", "short", 1, message_expiry=5)
    publisher.publish("t", "long", 1, message_expiry=60)
    publisher.publish("t", "ever", 1)
    world.advance(20)
    if crash:
        world.crash()
    connected_again = client.connect(clean=False, session_expiry=FOREVER)
    assert connected_again is not None
    assert [(got.payload, got.properties.message_expiry) for got in client.got] == [(b"long", 40), (b"ever", None)]
    assert world.engine.statistics.dropped == {"expired": 1}
    assert world.queue_of("a").count == 0


@pytest.mark.conforms("MQTT-4.3.3-7")
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("topic_filter", ["t", "$share/g/t"])
def test_a_qos_2_message_that_was_sent_before_it_expired_is_sent_again(topic_filter: str, crash: bool) -> None:
    world = World()
    client = connected(world, "a", session_expiry=FOREVER)
    client.subscribe(topic_filter, qos=2)
    client.auto = False
    connected(world, "pub").publish("t", "begun", 2, message_expiry=5)
    client.cut()
    connected(world, "pub").publish("t", "not begun", 2, message_expiry=5)
    world.advance(6)
    if crash:
        world.crash()
    client.connect(clean=False, session_expiry=FOREVER)
    assert [(packet.payload(), packet.dup) for packet in client.publishes()] == [(b"begun", True)]


def test_an_expired_message_is_not_sent_to_old_clients_either() -> None:
    world = World()
    client = connected(world, "a", 4)
    client.subscribe("t", qos=1)
    client.cut()
    connected(world, "pub").publish("t", "short", 1, message_expiry=5)
    world.advance(6)
    client.connect(clean=False)
    assert client.payloads() == []


def test_a_message_passed_on_at_once_keeps_its_whole_life() -> None:
    world = World()
    client = connected(world, "a")
    client.subscribe("t", qos=2)
    for qos in (0, 1, 2):
        client.publish("t", "x", qos, message_expiry=7)
    assert [got.properties.message_expiry for got in client.got] == [7, 7, 7]


def test_the_broker_can_cut_the_life_of_every_message() -> None:
    world = World(Limits(sys_interval=0, max_message_age=10))
    client = connected(world, "a", session_expiry=FOREVER)
    client.subscribe("t", qos=1)
    client.publish("t", "x", 1)
    client.publish("t", "x", 1, message_expiry=100)
    client.publish("t", "x", 0)
    client.publish("t", "x", 1, message_expiry=3)
    assert [got.properties.message_expiry for got in client.got] == [10, 10, 10, 3]


@pytest.mark.conforms("MQTT-3.3.2-7", "MQTT-3.3.2-9", "MQTT-3.3.2-12")
def test_a_client_may_send_an_alias_instead_of_the_topic() -> None:
    world = World()
    client = connected(world, "a")
    client.subscribe("#", qos=1)
    client.publish("one", "1", 0, topic_alias=1)
    client.publish("two", "2", 1, topic_alias=2)
    client.publish("", "1 again", 1, topic_alias=1)
    client.publish("", "2 again", 0, topic_alias=2)
    client.publish("three", "3", 0, topic_alias=1)
    client.publish("", "3 again", 0, topic_alias=1)
    assert [(got.topic, got.payload.decode()) for got in client.got] == [
        ("one", "1"),
        ("two", "2"),
        ("one", "1 again"),
        ("two", "2 again"),
        ("three", "3"),
        ("three", "3 again"),
    ]
    assert all(got.properties.topic_alias is None for got in client.got)


@pytest.mark.conforms("MQTT-3.3.2-7")
def test_an_alias_lasts_as_long_as_its_connection() -> None:
    client = World().client("a")
    client.connect(session_expiry=FOREVER)
    client.publish("one", "1", topic_alias=1)
    client.connect(clean=False, session_expiry=FOREVER)
    client.publish("", "1", topic_alias=1)
    assert client.disconnect_reason == 0x82


def test_a_bad_topic_is_not_remembered_under_an_alias() -> None:
    client = World().client("a")
    client.connect()
    client.send(Publish.create("a/#", b"", 1, packet_id=1, properties=properties(topic_alias=1)))
    assert client.disconnect_reason == 0x90


@pytest.mark.conforms("MQTT-3.1.2-26", "MQTT-3.1.2-27", "MQTT-3.3.2-8", "MQTT-3.3.2-11", "MQTT-3.3.2-13")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_broker_uses_aliases_within_what_the_client_allows(qos: int) -> None:
    world = World()
    client = connected(world, "a", topic_alias_maximum=2)
    plain = connected(world, "plain")
    for reader in (client, plain):
        reader.subscribe("t/#", qos=2)
    publisher = connected(world, "pub")
    for topic in ("t/1", "t/2", "t/3", "t/1", "t/2", "t/3"):
        publisher.publish(topic, topic, qos)
    sent = [(packet.topic, packet.properties and packet.properties.topic_alias) for packet in client.publishes()]
    assert sent == [(b"t/1", 1), (b"t/2", 2), (b"t/3", None), (b"", 1), (b"", 2), (b"t/3", None)]
    for reader in (client, plain):
        assert [got.topic for got in reader.got] == [got.payload.decode() for got in reader.got]
    assert all(packet.properties is None for packet in plain.publishes())


@pytest.mark.conforms(
    "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20"
)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_properties_are_passed_on_unchanged_and_in_order(qos: int) -> None:
    world = World()
    client = connected(world, "a", session_expiry=FOREVER)
    client.subscribe("t", qos=2)
    pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", "")]
    fields: dict[str, Any] = {
        "payload_format": 1,
        "content_type": "text/plain",
        "response_topic": "answers",
        "correlation_data": b"\x00\xff",
        "user": pairs,
    }
    publisher = connected(world, "pub")
    publisher.publish("t", "x", qos, **fields)
    if qos:
        client.cut()
        publisher.publish("t", "x", qos, **fields)
        world.crash()
        client.connect(clean=False, session_expiry=FOREVER)
    for got in client.got:
        assert {name: getattr(got.properties, name) for name in fields} == fields
    assert len(client.got) == (2 if qos else 1)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_old_clients_get_the_message_without_properties(qos: int) -> None:
    world = World()
    client = connected(world, "a", 4)
    client.subscribe("t", qos=2)
    connected(world, "pub").publish("t", "x", qos, content_type="text/plain", user=[("a", "b")])
    assert client.payloads() == ["x"]


@pytest.mark.parametrize(("qos", "result"), [(0, None), (1, 0x99), (2, 0x99)])
def test_a_payload_that_is_not_the_text_it_claims_to_be_is_refused(qos: int, result: int | None) -> None:
    world = World()
    client = connected(world, "a")
    client.subscribe("t", qos=2)
    packet_id = client.publish("t", b"\xff", qos, payload_format=1)
    assert client.result(packet_id) == result
    assert client.got == []
    assert not client.closed
    client.publish("t", b"\xff", qos, payload_format=0)
    assert len(client.got) == 1


def test_a_large_message_travels_whole() -> None:
    world = World()
    client = connected(world, "a", session_expiry=FOREVER)
    client.subscribe("t", qos=2)
    text = "x" * 3_000_000
    for qos in (0, 1, 2):
        client.publish("t", text, qos)
    assert client.payloads() == [text] * 3
