"""Retained messages: set, replaced, cleared, expired, looked up, restored."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mombroker.core import Limits
from mombroker.core.retained import RetainedMessages
from mombroker.model.message import Message
from mombroker.model.unit import TABLE_RETAINED
from mombroker.mqtt import SubAck
from mombroker.mqtt.topics import matches

from .world import FOREVER, Client, World


def connected(world: World, name: str, version: int = 5, **fields: Any) -> Client:
    client = world.client(name, version)
    client.connect(**fields)
    return client


def late(world: World, filter: str = "#", version: int = 5, qos: int = 2) -> list[tuple[str, str, int, bool]]:
    """(topic, payload, qos, retain flag) of what a new subscriber gets."""
    client = connected(world, "late", version)
    client.subscribe(filter, qos=qos)
    found = [(got.topic, got.payload.decode(), got.qos, got.retain) for got in client.got]
    client.disconnect()
    return sorted(found)


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.conforms("MQTT-3.3.1-5", "MQTT-3.3.1-8", "MQTT3-3.3.1-6", "MQTT3-3.3.1-8", "MQTT-3.8.4-4")
def test_a_new_subscriber_gets_the_last_retained_message(version: int, qos: int) -> None:
    world = World()
    publisher = connected(world, "pub", version)
    publisher.publish("t", "old", qos, retain=True)
    publisher.publish("t", "new", qos, retain=True)
    publisher.publish("t", "passing", qos)
    assert late(world, version=version) == [("t", "new", qos, True)]
    assert late(world, version=version, qos=0) == [("t", "new", 0, True)]


@pytest.mark.conforms("MQTT-3.3.1-6", "MQTT-3.3.1-7", "MQTT3-3.3.1-10", "MQTT3-3.3.1-11")
def test_an_empty_payload_clears_and_is_not_retained_itself() -> None:
    world = World()
    publisher = connected(world, "pub")
    subscriber = connected(world, "sub")
    subscriber.subscribe("t")
    publisher.publish("t", "x", 1, retain=True)
    publisher.publish("t", "", 1, retain=True)
    assert subscriber.payloads() == ["x", ""]
    assert late(world) == []
    assert world.engine.retained.count == 0
    assert list(world.store.items(TABLE_RETAINED)) == []


@pytest.mark.conforms("MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11")
def test_retain_handling_decides_what_a_subscription_brings() -> None:
    world = World()
    connected(world, "pub").publish("t", "x", retain=True)
    client = connected(world, "a")
    for handling, first, second in ((0, ["x"], ["x"]), (1, ["x"], []), (2, [], [])):
        client.subscribe("t", retain_handling=handling)
        assert client.payloads() == first
        client.subscribe("t", retain_handling=handling)
        assert client.payloads() == second
        client.unsubscribe("t")


@pytest.mark.conforms("MQTT3-3.8.4-3")
def test_an_old_client_gets_retained_messages_again_with_each_subscription() -> None:
    world = World()
    connected(world, "pub").publish("t", "x", 1, retain=True)
    client = connected(world, "a", 4)
    client.subscribe("t", qos=1)
    client.subscribe("t", qos=1)
    assert client.payloads() == ["x", "x"]


def test_retained_messages_come_after_the_answer_and_with_the_identifier() -> None:
    world = World()
    connected(world, "pub").publish("t", "x", retain=True)
    client = connected(world, "a", session_expiry=FOREVER)
    client.subscribe("t", id=3)
    assert isinstance(client.inbox[1], SubAck)
    assert client.got[0].properties.subscription_ids == [3]


def test_wildcards_find_retained_messages() -> None:
    world = World()
    publisher = connected(world, "pub")
    for topic in ("a", "a/b", "a/b/c", "b/b", "/b"):
        publisher.publish(topic, topic, retain=True)
    assert [found[0] for found in late(world, "a/#")] == ["a", "a/b", "a/b/c"]
    assert [found[0] for found in late(world, "+/b")] == ["/b", "a/b", "b/b"]
    assert [found[0] for found in late(world, "a/+/c")] == ["a/b/c"]


@pytest.mark.conforms("MQTT-3.3.2-6")
def test_a_retained_message_expires_and_counts_down() -> None:
    world = World()
    connected(world, "pub").publish("t", "x", 1, retain=True, message_expiry=10)
    world.advance(4)
    client = connected(world, "a")
    client.subscribe("t")
    assert client.got[0].properties.message_expiry == 6
    world.advance(6)
    assert late(world) == []
    world.advance(10)
    assert world.engine.retained.count == 0
    assert list(world.store.items(TABLE_RETAINED)) == []


def test_a_message_that_replaced_an_expiring_one_stays() -> None:
    world = World()
    publisher = connected(world, "pub")
    publisher.publish("t", "x", 1, retain=True, message_expiry=10)
    publisher.publish("t", "y", 1, retain=True)
    world.advance(100)
    assert [found[1] for found in late(world)] == ["y"]


def test_retained_messages_survive_a_crash() -> None:
    world = World()
    publisher = connected(world, "pub")
    publisher.publish("a", "a", 2, retain=True)
    publisher.publish("b", "b", 0, retain=True)
    publisher.publish("c", "c", 1, retain=True)
    publisher.publish("c", "", 1, retain=True)
    publisher.publish("d", "d", 1, retain=True, message_expiry=10)
    world.crash()
    assert late(world) == [("a", "a", 2, True), ("b", "b", 0, True), ("d", "d", 1, True)]
    world.now += 11
    world.crash()
    assert late(world) == [("a", "a", 2, True), ("b", "b", 0, True)]
    world.run()
    assert len(list(world.store.items(TABLE_RETAINED))) == 2, "what expired while the broker was down goes too"


def test_a_retained_message_that_was_replaced_meanwhile_does_not_come_after_its_successor() -> None:
    world = World()
    publisher = connected(world, "pub")
    publisher.publish("t", "old", retain=True)
    client = connected(world, "a", session_expiry=FOREVER)
    world.hold_commits = True
    client.subscribe("t")
    publisher.publish("t", "new", retain=True)
    world.commit_all()
    assert client.payloads()[-1] == "new"


def test_all_retained_messages_come_however_many_there_are() -> None:
    world = World(Limits(sys_interval=0, max_out_buffer=20_000))
    publisher = connected(world, "pub")
    for number in range(2000):
        publisher.publish(f"t/{number}", "x" * 100, retain=True, run=False)
    world.run()
    client = connected(world, "a")
    client.subscribe("t/#")
    assert len(client.got) == 2000


TOPICS = st.lists(st.sampled_from(["a", "b", "", "$x"]), min_size=1, max_size=3).map("/".join).filter(bool)
FILTERS = st.one_of(
    st.lists(st.sampled_from(["a", "b", "", "+", "$x"]), min_size=1, max_size=3).map("/".join).filter(bool),
    st.lists(st.sampled_from(["a", "b", "", "+", "$x"]), max_size=2).map(lambda levels: "/".join([*levels, "#"])),
)


@given(st.lists(st.tuples(TOPICS, st.booleans())), st.lists(FILTERS, max_size=4))
def test_retained_messages_agree_with_a_naive_model(changes: list[tuple[str, bool]], filters: list[str]) -> None:
    retained = RetainedMessages()
    model: dict[str, Message] = {}
    for topic, keep in changes:
        if keep:
            model[topic] = Message(topic, b"x" * len(model))
            retained.set(model[topic])
        else:
            assert retained.remove(topic) == (model.pop(topic, None) is not None)
    assert retained.count == len(model)
    assert retained.bytes == sum(message.size() for message in model.values())
    for filter in filters:
        found = sorted(message.topic for message in retained.matching(filter))
        assert found == sorted(topic for topic in model if matches(filter, topic))
    for topic in list(model):
        assert retained.get(topic) is model[topic]
        retained.remove(topic)
    assert retained._root.children is None


@pytest.mark.conforms("MQTT-3.10.4-2")
def test_what_is_retained_and_still_on_its_way_does_not_follow_the_end_of_the_subscription() -> None:
    world = World()
    publisher, subscriber = world.client("pub"), world.client("sub")
    publisher.connect()
    publisher.publish("t", "old", retain=True)
    subscriber.connect()
    subscriber.congest()
    subscriber.subscribe("t", qos=0)
    subscriber.unsubscribe("t")
    subscriber.congest(False)
    assert subscriber.payloads() == []
    subscriber.subscribe("t", qos=0)
    assert subscriber.payloads() == ["old"]


def test_a_topic_that_two_clear_at_once_is_acknowledged_to_neither_before_it_is_on_disk() -> None:
    world = World()
    first, second, reader = world.client("a"), world.client("b"), world.client("c")
    for client in (first, second):
        client.connect()
    first.publish("t", "old", 1, retain=True)
    world.hold_commits = True
    first.publish("t", "", 1, retain=True)
    cleared = second.publish("t", "", 1, retain=True)
    assert second.result(cleared) is None
    world.commit_one()
    world.commit_one()
    assert second.result(cleared) is not None
    world.crash()
    world.commit_all()
    reader.connect()
    reader.subscribe("t")
    assert reader.payloads() == []
