"""SUBSCRIBE and UNSUBSCRIBE: options, identifiers, overlapping filters, reason codes."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.hooks.events import Subscribed, Unsubscribed
from mombroker.mqtt import SubAck, SubscribeFilter, UnsubAck

from .world import FOREVER, Client, Policies, World


def connected(world: World, name: str = "a", version: int = 5, **fields: Any) -> Client:
    client = world.client(name, version)
    client.connect(**fields)
    return client


@pytest.mark.conforms("MQTT-3.8.4-6", "MQTT-3.9.3-1", "MQTT-3.8.4-5", "MQTT-3.8.4-7", "MQTT3-3.8.4-5")
@pytest.mark.parametrize("version", [3, 4, 5])
def test_each_filter_gets_its_own_answer_in_order(version: int) -> None:
    client = connected(World(), version=version)
    filters = [SubscribeFilter("a", 0), SubscribeFilter("b", 2), SubscribeFilter("c", 1)]
    assert client.subscribe(*filters) == [0, 2, 1]


def test_the_maximum_qos_of_the_broker_is_granted_at_most() -> None:
    world = World(Limits(sys_interval=0, maximum_qos=1))
    assert connected(world).subscribe("a", qos=2) == [1]


@pytest.mark.conforms("MQTT-3.8.4-3")
def test_a_second_subscription_to_the_same_filter_replaces_the_first() -> None:
    world = World()
    client = connected(world)
    client.subscribe("t", qos=2, id=1)
    client.subscribe("t", qos=1, id=2)
    client.publish("t", "x", 2)
    assert [(got.qos, got.properties.subscription_ids) for got in client.got] == [(1, [2])]
    assert client.unsubscribe("t") == [0]
    client.publish("t", "y")
    assert client.payloads() == ["x"]


@pytest.mark.conforms("MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.11.3-1", "MQTT-3.11.3-2", "MQTT-3.10.4-6")
def test_unsubscribing_answers_for_each_filter_whether_there_was_one() -> None:
    client = connected(World())
    client.subscribe("a", "b/#")
    assert client.unsubscribe("b/#", "b/+", "a", "a") == [0, 0x11, 0, 0x11]
    client.publish("a", "x")
    client.publish("b/c", "x")
    assert client.payloads() == []


@pytest.mark.conforms("MQTT3-3.10.4-5", "MQTT3-3.10.4-4")
def test_an_old_client_is_answered_even_when_nothing_was_unsubscribed() -> None:
    client = connected(World(), version=4)
    assert client.unsubscribe("never") == []
    answer = client.inbox[-1]
    assert isinstance(answer, UnsubAck) and answer.packet_id == 1


def test_what_waits_for_the_client_still_comes_after_unsubscribing() -> None:
    world = World()
    client = connected(world, receive_maximum=1)
    client.subscribe("t", qos=1)
    client.auto = False
    other = connected(world, "other")
    other.publish("t", "a", 1)
    other.publish("t", "b", 1)
    client.unsubscribe("t")
    client.send(b"\x40\x02\x00\x01")
    assert client.payloads() == ["a", "b"]


@pytest.mark.conforms("MQTT-3.3.4-2", "MQTT-3.3.4-4", "MQTT-3.3.4-3")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_overlapping_filters_deliver_once_at_the_highest_qos_with_all_identifiers(qos: int) -> None:
    client = connected(World())
    client.subscribe("t/#", qos=0, id=7)
    client.subscribe("t/+", qos=2, id=300)
    client.subscribe("t/x", qos=1)
    client.subscribe("other", qos=2, id=9)
    client.publish("t/x", "x", qos)
    assert [(got.payload, got.qos, sorted(got.properties.subscription_ids)) for got in client.got] == [
        (b"x", qos, [7, 300])
    ]


@pytest.mark.conforms("MQTT3-3.3.5-1")
def test_an_old_client_gets_a_message_once_too() -> None:
    client = connected(World(), version=4)
    client.subscribe("t/#", qos=1)
    client.subscribe("t/x", qos=2)
    client.publish("t/x", "x", 2)
    assert [got.qos for got in client.got] == [2]


@pytest.mark.conforms("MQTT-3.8.3-3")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_no_local_keeps_the_own_messages_away_and_nobody_elses(qos: int) -> None:
    world = World()
    client, other = connected(world), connected(world, "other")
    client.subscribe("t", qos=2, no_local=True)
    client.publish("t", "mine", qos)
    other.publish("t", "yours", qos)
    assert client.payloads() == ["yours"]


@pytest.mark.conforms("MQTT-3.8.3-3")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_no_local_keeps_the_own_retained_messages_away(qos: int) -> None:
    world = World()
    client, other = connected(world), connected(world, "other")
    client.publish("t/1", "mine", qos, retain=True)
    other.publish("t/2", "yours", qos, retain=True)
    client.subscribe("t/+", qos=2, no_local=True)
    assert client.payloads() == ["yours"]


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("first_is_local", [False, True])
def test_no_local_on_one_of_two_overlapping_filters_does_not_count_for_the_other(
    qos: int, first_is_local: bool
) -> None:
    client = connected(World())
    client.subscribe("t/+", qos=2, no_local=not first_is_local, id=1)
    client.subscribe("t/#", qos=2, no_local=first_is_local, id=2)
    client.publish("t/x", "x", qos)
    assert [(got.payload, got.properties.subscription_ids) for got in client.got] == [
        (b"x", [1 if first_is_local else 2])
    ]


@pytest.mark.conforms("MQTT-3.3.1-12", "MQTT-3.3.1-13", "MQTT3-3.3.1-9")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_retain_flag_of_a_live_message_is_kept_only_where_it_was_asked_for(qos: int) -> None:
    world = World()
    plain, keeping, old = connected(world, "plain"), connected(world, "keeping"), connected(world, "old", 4)
    plain.subscribe("t", qos=2)
    keeping.subscribe("t", qos=2, retain_as_published=True)
    old.subscribe("t", qos=2)
    plain.publish("t", "x", qos, retain=True)
    plain.publish("t", "y", qos)
    assert [got.retain for got in plain.got] == [False, False]
    assert [got.retain for got in keeping.got] == [True, False]
    assert [got.retain for got in old.got] == [False, False]


@pytest.mark.conforms("MQTT-4.7.2-1", "MQTT3-4.7.2-1")
def test_wildcards_do_not_see_topics_of_the_broker() -> None:
    world = World(Limits(sys_interval=10))
    client = connected(world)
    client.subscribe("#", "+/broker/version", "+/#")
    world.advance(30)
    assert client.got == []
    client.subscribe("$SYS/broker/version", "$SYS/+/uptime")
    assert {got.topic for got in client.got} == {"$SYS/broker/version", "$SYS/broker/uptime"}


@pytest.mark.conforms("MQTT-4.7.3-4", "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.1-3")
def test_filters_match_level_by_level() -> None:
    world = World()
    client = connected(world)
    table = {
        "a/#": {"a", "a/b", "a/b/c"},
        "a/+": {"a/b"},
        "+/+": {"a/b", "/x"},
        "+": {"a", "A"},
        "/+": {"/x"},
        "A": {"A"},
        "a/+/c": {"a/b/c"},
    }
    for filter, expected in table.items():
        client.subscribe(filter)
        for topic in ("a", "a/b", "a/b/c", "A", "/x"):
            client.publish(topic, topic)
        assert set(client.payloads()) == expected, filter
        client.unsubscribe(filter)


@pytest.mark.parametrize("bad", ["a/#/b", "a#", "+a", "a/b+", "$share/g", "$share//a", "$share/g+/a", "$share/g/"])
def test_a_malformed_filter_ends_the_connection(bad: str) -> None:
    world = World()
    for version in (4, 5):
        client = connected(world, f"a{version}", version)
        bystander = connected(world, "bystander")
        client.subscribe("fine", bad)
        assert client.closed
        assert client.disconnect_reason == (0x8F if version == 5 else None)
        assert not bystander.closed
        assert world.engine.router.count == 0


def test_a_malformed_filter_cannot_be_unsubscribed() -> None:
    client = connected(World())
    client.subscribe("fine")
    client.unsubscribe("a/#/b")
    assert client.disconnect_reason == 0x8F


def test_a_filter_with_too_many_levels_is_refused_alone() -> None:
    client = connected(World(Limits(sys_interval=0, max_topic_levels=3)))
    assert client.subscribe("a/b/c/d", "a/b/c") == [0x8F, 0]


@pytest.mark.conforms("MQTT-3.2.2-14")
def test_shared_subscriptions_can_be_switched_off() -> None:
    world = World(Limits(sys_interval=0, shared_available=False))
    client = connected(world)
    assert client.subscribe("t", "$share/g/t") == []
    assert client.disconnect_reason == 0x9E
    assert world.engine.statistics.subscriptions == 0
    assert connected(world, version=4).subscribe("$share/g/t", "t") == [0x80, 0], "an old client was not told"


def test_wildcards_can_be_switched_off() -> None:
    world = World(Limits(sys_interval=0, wildcard_available=False))
    client = connected(world)
    assert client.subscribe("a/b", "a/#") == []
    assert client.disconnect_reason == 0xA2
    assert connected(world, version=4).subscribe("a/#", "a/b") == [0x80, 0]


def test_subscription_identifiers_can_be_switched_off() -> None:
    client = connected(World(Limits(sys_interval=0, subscription_ids_available=False)))
    client.subscribe("a", id=4)
    assert client.disconnect_reason == 0xA1


def test_one_subscription_too_many_is_refused() -> None:
    client = connected(World(Limits(sys_interval=0, max_subscriptions=2)))
    assert client.subscribe("a", "b", "c") == [0, 0, 0x97]
    assert client.subscribe("a", qos=1) == [1], "a replacement takes no room"
    assert connected(World(Limits(sys_interval=0, max_subscriptions=1)), version=4).subscribe("a", "b") == [0, 0x80]


@pytest.mark.conforms("MQTT-3.8.3-4")
def test_no_local_on_a_shared_subscription_is_a_protocol_error() -> None:
    client = connected(World())
    client.subscribe("$share/g/t", no_local=True)
    assert client.disconnect_reason == 0x82


@pytest.mark.conforms("MQTT-3.1.2-4")
def test_subscriptions_with_all_their_options_survive_a_crash() -> None:
    world = World()
    client = connected(world, session_expiry=FOREVER)
    client.subscribe("t/#", qos=2, id=5, no_local=True, retain_as_published=True)
    client.subscribe("gone")
    client.subscribe("u", qos=1)
    client.unsubscribe("gone")
    world.crash()
    client.connect(clean=False, session_expiry=FOREVER)
    other = connected(world, "other")
    client.publish("t/x", "mine", 1)
    other.publish("t/x", "yours", 2, retain=True)
    other.publish("gone", "x", 1)
    other.publish("u", "u", 2)
    assert [(got.payload, got.qos, got.retain, got.properties.subscription_ids) for got in client.got] == [
        (b"yours", 2, True, [5]),
        (b"u", 1, False, []),
    ]


def test_observers_are_told_of_subscriptions() -> None:
    hooks = Policies()
    client = connected(World(hooks=hooks))
    client.subscribe("a", qos=1)
    client.unsubscribe("a", "b")
    seen = [event for event in hooks.events if isinstance(event, (Subscribed, Unsubscribed))]
    assert [(type(event).__name__, event.filter) for event in seen] == [("Subscribed", "a"), ("Unsubscribed", "a")]


def test_counters_of_subscriptions_come_back_to_zero() -> None:
    world = World()
    client = connected(world)
    client.subscribe("a", "b", "$share/g/c")
    statistics = world.engine.statistics
    assert (statistics.subscriptions, statistics.shared_subscriptions) == (3, 1)
    client.cut()
    assert (statistics.subscriptions, statistics.shared_subscriptions, world.engine.router.count) == (0, 0, 0)


def test_the_answer_comes_before_the_messages_that_waited_for_it() -> None:
    world = World()
    client = connected(world, session_expiry=FOREVER)
    other = connected(world, "other")
    world.hold_commits = True
    client.subscribe("t", qos=1)
    other.publish("t", "x", 1)
    world.commit_all()
    assert isinstance(client.inbox[1], SubAck)
    assert client.payloads() == ["x"]
