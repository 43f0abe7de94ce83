"""QoS 2 exactly once, with the broker killed, or the connections cut, at every single step of the exchange.

The script is run again and again, with the interruption one step later each time; a step is one turn, one commit,
one read, or one chunk of bytes in either direction. Afterwards everybody comes back and the exchange is finished.
"""

from collections.abc import Callable
from typing import Any

import pytest

from mombroker.mqtt.packet_types import PUBREC

from .world import FOREVER, Client, World


def cut_off(*clients: Client) -> None:
    """The network is gone for all of them."""
    for client in clients:
        client.cut_only()


Interruption = Callable[[World, Client, Client], None]
INTERRUPTIONS: dict[str, Interruption] = {
    "crash before the write": lambda world, publisher, subscriber: world.crash(),
    "crash after the write": lambda world, publisher, subscriber: world.crash(after_write=True),
    "publisher cut off": lambda world, publisher, subscriber: publisher.cut_only(),
    "subscriber cut off": lambda world, publisher, subscriber: subscriber.cut_only(),
    "both cut off": lambda world, publisher, subscriber: cut_off(publisher, subscriber),
}


def connected(client: Client) -> None:
    fields: dict[str, Any] = {"session_expiry": FOREVER} if client.version == 5 else {}
    client.connect(clean=False, run=False, **fields)


def exchange(
    steps: int, interruption: Interruption, qos: int, topics: str, versions: tuple[int, int]
) -> tuple[bool, list[str]]:
    """Publish three messages, interrupted after so many steps. (whether there were that many, what arrived)."""
    world = World()
    publisher, subscriber = world.client("pub", versions[0]), world.client("sub", versions[1])
    for client in (publisher, subscriber):
        connected(client)
    world.run()
    subscriber.subscribe(topics, qos=qos)
    for text in "abc":
        publisher.publish("t/x", text, qos, run=False)
    reached = all(world._step() for _ in range(steps))
    interruption(world, publisher, subscriber)
    for client in (subscriber, publisher):
        if client.connection is None:
            connected(client)
            world.run()
    world.run()
    assert not publisher.unacked
    assert world.queue_of("sub").count == 0
    assert [len(session.inflight) for session in world.engine.sessions.values()] == [0, 0]
    assert not world.engine.sessions["pub"].inbound
    return reached, subscriber.payloads()


@pytest.mark.parametrize("name", INTERRUPTIONS)
@pytest.mark.parametrize("topics", ["t/#", "$share/g/t/#"])
@pytest.mark.parametrize("versions", [(5, 5), (4, 3)])
@pytest.mark.conforms("MQTT-4.3.3-2", "MQTT-4.3.3-9", "MQTT-4.3.3-13", "MQTT-4.1.0-1", "MQTT3-4.1.0-1", "MQTT-4.8.2-4")
def test_a_qos_2_message_arrives_exactly_once_wherever_it_is_interrupted(
    name: str, topics: str, versions: tuple[int, int]
) -> None:
    steps = 0
    reached = True
    while reached:
        reached, arrived = exchange(steps, INTERRUPTIONS[name], 2, topics, versions)
        assert sorted(arrived) == ["a", "b", "c"], f"after {steps} steps"
        steps += 1
    assert steps > 15


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_a_qos_1_message_arrives_at_least_once_and_in_order_wherever_it_is_interrupted(name: str) -> None:
    steps = 0
    reached = True
    while reached:
        reached, arrived = exchange(steps, INTERRUPTIONS[name], 1, "t/#", (5, 5))
        assert sorted(set(arrived)) == ["a", "b", "c"], f"after {steps} steps"
        assert list(dict.fromkeys(arrived)) == ["a", "b", "c"], f"after {steps} steps"
        steps += 1
    assert steps > 10


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.conforms("MQTT-4.3.3-10")
def test_a_message_that_is_sent_again_while_the_disk_is_full_is_not_taken_twice(version: int) -> None:
    world = World()
    publisher, other, subscriber, away = (world.client(name, version) for name in ("pub", "other", "sub", "away"))
    for client in (publisher, other, subscriber, away):
        connected(client)
    world.run()
    subscriber.subscribe("t", qos=2)
    away.subscribe("u", qos=1)
    away.cut()
    world.hold_commits = True
    publisher.publish("t", "once", 2)
    publisher.cut()
    while world.unit is not None:
        world.commit_one()
    connected(publisher)
    world.run()
    other.publish("u", "kept", 1)
    world.commit_one()  # the CONNACK, and the publish comes again
    assert publisher.connack is not None and not publisher.acks(PUBREC)
    other.publish("u", "not kept", 1)
    world.commit_one()
    world.full = True
    world.commit_one()
    assert not publisher.acks(PUBREC)
    world.full = False
    world.commit_all()
    world.advance(2)
    publisher.cut()
    connected(publisher)
    world.run()
    assert not publisher.unacked
    assert subscriber.payloads() == ["once"]
