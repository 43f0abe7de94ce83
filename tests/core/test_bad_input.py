"""Bad input: each kind ends that one connection, with the reason code in MQTT 5, and touches nothing else."""

import random

import pytest

from mombroker.core import Limits

from .world import FOREVER, Client, World

LIMITS = Limits(sys_interval=0, max_packet_size=1000, topic_alias_maximum=3, maximum_qos=1, retain_available=False)

# What an accepted client must not send, and what MQTT 5 calls it. None: the packet means something else there.
AFTER_CONNECT: dict[str, tuple[bytes, int | None]] = {
    "a length over four bytes": (b"\x30\xff\xff\xff\xff\x01", 0x81),
    "a reserved packet type": (b"\x00\x00", 0x81),
    "reserved flags of a SUBSCRIBE": (b"\x80\x06\x00\x01\x00\x00\x01a\x00", 0x81),
    "reserved flags of a PINGREQ": (b"\xc1\x00", 0x81),
    "reserved flags of a PUBREL": (b"\x60\x02\x00\x01", 0x81),
    "QoS 3": (b"\x36\x06\x00\x01a\x00\x01\x00", 0x81),
    "packet id 0": (b"\x32\x06\x00\x01a\x00\x00\x00", 0x82),
    "ill-formed UTF-8 in a topic": (b"\x30\x04\x00\x01\xff\x00", 0x81),
    "NUL in a topic": (b"\x30\x04\x00\x01\x00\x00", 0x81),
    "a wildcard in a topic name": (b"\x30\x04\x00\x01#\x00", 0x90),
    "an empty topic": (b"\x30\x03\x00\x00\x00", 0x82),
    "a second CONNECT": (b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", 0x82),
    "a packet only servers send": (b"\xd0\x00", 0x82),
    "a packet that is too large": (b"\x30\xd0\x0f", 0x95),
    "a PUBLISH shorter than its topic": (b"\x30\x03\x00\x09a", 0x81),
    "a duplicate at QoS 0": (b"\x38\x04\x00\x01a\x00", 0x81),
    "a QoS above the maximum": (b"\x34\x06\x00\x01a\x00\x01\x00", 0x9B),
    "a retained message where there are none": (b"\x31\x04\x00\x01a\x00", 0x9A),
    "a SUBSCRIBE without filters": (b"\x82\x03\x00\x01\x00", 0x82),
    "an UNSUBSCRIBE without filters": (b"\xa2\x03\x00\x01\x00", 0x82),
    "QoS 3 in a SUBSCRIBE": (b"\x82\x07\x00\x01\x00\x00\x01a\x03", 0x82),
}
ONLY_5: dict[str, tuple[bytes, int]] = {
    "a property twice": (b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", 0x82),
    "a property of another packet": (b"\x30\x07\x00\x01a\x03\x21\x00\x01", 0x81),
    "an unknown property": (b"\x30\x06\x00\x01a\x02\x7f\x00", 0x81),
    "a topic alias of 0": (b"\x30\x07\x00\x01a\x03\x23\x00\x00", 0x94),
    "a topic alias above the maximum": (b"\x30\x07\x00\x01a\x03\x23\x00\x04", 0x94),
    "a topic alias nobody defined": (b"\x30\x06\x00\x00\x03\x23\x00\x02", 0x82),
    "a subscription identifier in a PUBLISH": (b"\x30\x06\x00\x01a\x02\x0b\x01", 0x82),
    "a payload format of 2": (b"\x30\x06\x00\x01a\x02\x01\x02", 0x82),
    "an AUTH without a method in CONNECT": (b"\xf0\x02\x18\x00", 0x82),
    "a reserved bit in the options": (b"\x82\x07\x00\x01\x00\x00\x01a\x40", 0x81),
    "retain handling 3": (b"\x82\x07\x00\x01\x00\x00\x01a\x30", 0x82),
    "a subscription identifier of 0": (b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00", 0x82),
}


def bystanders(world: World) -> tuple[Client, Client]:
    subscriber, publisher = world.client("watching"), world.client("speaking", 4)
    subscriber.connect()
    publisher.connect()
    subscriber.subscribe("#", qos=1)
    return subscriber, publisher


def check_others(others: tuple[Client, Client]) -> None:
    subscriber, publisher = others
    assert subscriber.payloads() == []
    publisher.publish("still", "here", 1)
    assert subscriber.payloads() == ["here"]


@pytest.mark.parametrize("name", list(AFTER_CONNECT) + list(ONLY_5))
@pytest.mark.conforms("MQTT-4.13.1-1", "MQTT-3.1.0-2", "MQTT-3.2.2-11")
def test_a_new_client_is_told_what_it_did_wrong(name: str) -> None:
    data, reason = {**AFTER_CONNECT, **ONLY_5}[name]
    world = World(LIMITS)
    others = bystanders(world)
    client = world.client("bad")
    client.connect(session_expiry=FOREVER)
    client.send(data + b"\x30\x04\x00\x01z\x00")
    assert client.closed
    assert client.disconnect_reason == reason
    check_others(others)
    assert [fields["client_id"] for _, event, fields in world.log.entries if event == "protocol error"] == ["bad"]
    assert "bad" in world.engine.sessions, "its session is not to blame"


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",
        b"\x00\x00",
        b"\xf0\x00",
        b"\x36\x05\x00\x01a\x00\x01",
        b"\x32\x05\x00\x01a\x00\x00",
        b"\x30\x03\x00\x01\xff",
        b"\x30\x03\x00\x01\x00",
        b"\x30\x03\x00\x01+",
        b"\x30\x02\x00\x00",
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
        b"\xd0\x00",
        b"\x30\xd0\x0f",
        b"\x82\x02\x00\x01",
        b"\x82\x06\x00\x01\x00\x01a\x03",
        b"\xa2\x02\x00\x01",
        b"\x34\x05\x00\x01a\x00\x01",
        b"\x31\x03\x00\x01a",
    ],
)
@pytest.mark.conforms("MQTT3-4.8.0-1", "MQTT3-3.1.0-2")
def test_an_old_client_is_just_closed(version: int, data: bytes) -> None:
    world = World(LIMITS)
    others = bystanders(world)
    client = world.client("bad", version)
    client.connect()
    before = len(client.inbox)
    client.send(data)
    assert client.closed
    assert len(client.inbox) == before
    check_others(others)


@pytest.mark.conforms("MQTT-3.1.0-1", "MQTT3-3.1.0-1", "MQTT-3.1.4-1")
@pytest.mark.parametrize(
    "data",
    [b"\x30\x03\x00\x01a", b"\xc0\x00", b"\xe0\x00", b"\xf0\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"],
)
def test_anything_before_a_connect_is_closed_without_a_word(data: bytes) -> None:
    world = World()
    others = bystanders(world)
    client = world.client("bad")
    client.open()
    client.send(data)
    assert client.closed
    assert client.inbox == []
    check_others(others)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x00\x00\x00\x00", 0x84),
        (b"\x10\x0d\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x00", 0x81),
        (b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x00\x02\x01\x00\x00\x00", 0x81),
        (b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01\xff", 0x81),
    ],
)
@pytest.mark.conforms("MQTT-3.1.2-2", "MQTT-3.1.4-2")
def test_a_bad_connect_is_refused_in_the_clients_own_version(data: bytes, reason: int) -> None:
    client = World().client("bad")
    client.open()
    client.send(data)
    assert client.connack is not None and client.connack.reason == reason
    assert client.closed


@pytest.mark.parametrize(
    "head", [b"\x00\x04MQTT\x03", b"\x00\x06MQIsdp\x04", b"\x00\x06MQIsdp\x83", b"\x00\x04MQTT\x84"]
)
@pytest.mark.conforms("MQTT3-3.1.2-2")
def test_an_old_client_of_an_unknown_version_is_told_so_in_a_form_that_it_reads(head: bytes) -> None:
    client = World().client("bad", 4)
    client.open()
    body = head + b"\x02\x00\x00\x00\x01c"
    client.send(bytes((0x10, len(body))) + body)
    assert client.connack is not None and client.connack.reason == 1
    assert client.closed


def test_what_came_before_the_mistake_counts() -> None:
    world = World()
    watching, _ = bystanders(world)
    client = world.client("bad")
    client.connect()
    client.publish("t", "good", run=False)
    client.publish("t", "good", 1, run=False)
    client.send(b"\x00\x00")
    assert watching.payloads() == ["good", "good"]


def test_bytes_after_the_close_are_ignored() -> None:
    world = World()
    watching, _ = bystanders(world)
    client = world.client("bad")
    client.connect()
    connection = client.connection
    assert connection is not None
    client.send(b"\x00\x00")
    world.engine.feed(connection, b"\x30\x04\x00\x01z\x00")
    world.run()
    assert watching.payloads() == []


def test_random_bytes_never_raise_and_never_hurt_others() -> None:
    world = World()
    others = bystanders(world)
    chance = random.Random(7)
    for version in (3, 4, 5):
        for _ in range(300):
            client = world.client("bad", version)
            client.connect()
            kind = chance.choice(
                [0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0, 0xF0, chance.randrange(256)]
            )
            body = chance.randbytes(chance.randrange(20))
            client.auto = False
            client.send(bytes((kind, len(body))) + body)
            client.cut()
            world.clients.remove(client)
    others[0].got.clear()
    check_others(others)
