"""What an MQTT consumer says of a message with its PUBACK."""

import pytest

from mombroker.mqtt import Ack
from mombroker.mqtt.packet_types import PUBACK

from ..world import properties
from .native import NativeWorld


def consumer(world: NativeWorld, **policy: object):
    """A connected consumer of the queue ``q`` that acknowledges when it is told to."""
    world.create(**policy)
    client = world.user("c")
    client.auto = False
    client.subscribe("$queue/q", qos=1)
    return client


def nacked(client, reason: int = 0x83, **fields: object) -> None:
    """Turn the latest message down."""
    client.send(Ack(PUBACK, client.got[-1].packet_id, reason, properties(**fields) if fields else None))


def test_a_message_waits_as_long_as_its_consumer_says() -> None:
    world = NativeWorld()
    client = consumer(world, retry_delay=1.0)
    world.put("x")
    nacked(client, user=[("mom-delay", "5")])
    world.advance(4.9)
    assert len(client.got) == 1
    world.advance(0.2)
    assert [message.payload for message in client.got] == [b"x", b"x"]


@pytest.mark.parametrize("fields", [{}, {"user": [("mom-delay", "soon")]}, {"user": [("mom-delay", "-1")]}])
def test_without_a_word_of_the_consumer_the_policy_says_how_long(fields) -> None:
    world = NativeWorld()
    client = consumer(world, retry_delay=1.0)
    world.put("x")
    nacked(client, **fields)
    world.advance(0.9)
    assert len(client.got) == 1
    world.advance(0.2)
    assert len(client.got) == 2


def test_a_reason_string_is_kept_with_a_dead_letter() -> None:
    world = NativeWorld()
    client = consumer(world, dead_letter="dead")
    world.put("x")
    nacked(client, 0x99, reason_string="no JSON")
    dead = world.pulled(1, "dead")
    assert world.queue("dead").meta(dead[0].ref).deaths == [("q", "no JSON", world.now, 1)]
