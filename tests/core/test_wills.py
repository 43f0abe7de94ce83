"""Wills: what ends a connection in such a way that its will is published, and when."""

from collections.abc import Callable

import pytest

from mombroker.mqtt import Disconnect, Will

from .world import FOREVER, Client, Got, Policies, World, properties

HOWS: dict[str, Callable[[World, Client], None]] = {
    "the connection breaks": lambda world, client: client.cut(),
    "the keep-alive passes": lambda world, client: world.advance(16),
    "the protocol is broken": lambda world, client: client.send(b"\xf0\x00" if client.version < 5 else b"\x00\x00"),
    "the session is taken over": lambda world, client: (world.client("dying", client.version).connect(), None)[1],
    "the broker drains": lambda world, client: world.engine.shut_down(),
}


def watcher_of(world: World) -> Client:
    watcher = world.client("watcher")
    watcher.connect()
    watcher.subscribe("will/#", qos=2, retain_as_published=True)
    return watcher


@pytest.mark.parametrize("how", [name for name in HOWS if name != "the broker drains"])
@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.conforms("MQTT-3.1.2-8", "MQTT-3.1.2-14", "MQTT-3.1.2-7", "MQTT3-3.1.2-8")
def test_a_will_is_published_when(how: str, version: int) -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying", version)
    client.connect(keep_alive=10, will=Will("will/x", b"gone", 1))
    HOWS[how](world, client)
    world.run()
    assert watcher.payloads() == ["gone"]


@pytest.mark.conforms("MQTT-3.14.4-3", "MQTT-3.1.2-10", "MQTT3-3.14.4-3")
@pytest.mark.parametrize("version", [4, 5])
def test_an_orderly_disconnect_forgets_the_will(version: int) -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying", version)
    client.connect(will=Will("will/x", b"gone"))
    client.disconnect()
    assert watcher.payloads() == []


def test_a_disconnect_may_ask_for_the_will() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone"))
    client.send(Disconnect(4))
    assert watcher.payloads() == ["gone"]


def test_any_disconnect_but_the_orderly_one_publishes_the_will() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone"))
    client.send(Disconnect(0x83))
    assert watcher.payloads() == ["gone"]


@pytest.mark.conforms("MQTT-3.1.3-9")
def test_a_delayed_will_is_published_after_its_delay() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", properties=properties(will_delay=10)), session_expiry=60)
    client.cut()
    world.advance(9.9)
    assert watcher.payloads() == []
    world.advance(0.2)
    assert watcher.payloads() == ["gone"]
    world.advance(100)
    assert watcher.payloads() == []


@pytest.mark.conforms("MQTT-3.1.3-9")
def test_a_client_that_is_back_before_the_delay_keeps_its_will_to_itself() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    will = Will("will/x", b"gone", properties=properties(will_delay=10))
    client.connect(will=will, session_expiry=60)
    client.cut()
    world.advance(9)
    client.connect(clean=False, session_expiry=60)
    world.advance(100)
    assert watcher.payloads() == []
    client.cut()
    world.advance(100)
    assert watcher.payloads() == []


def test_a_takeover_counts_as_being_back_before_the_delay() -> None:
    world = World()
    watcher = watcher_of(world)
    will = Will("will/x", b"gone", properties=properties(will_delay=10))
    world.client("dying").connect(will=will, session_expiry=60)
    world.client("dying").connect(clean=False, session_expiry=60)
    world.advance(100)
    assert watcher.payloads() == []


def test_the_session_may_end_before_the_delay_and_then_the_will_is_published() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", properties=properties(will_delay=100)), session_expiry=10)
    client.cut()
    world.advance(9)
    assert watcher.payloads() == []
    world.advance(1)
    assert watcher.payloads() == ["gone"]
    world.advance(200)
    assert watcher.payloads() == []


def test_a_clean_start_ends_the_session_and_so_publishes_a_delayed_will() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", properties=properties(will_delay=100)), session_expiry=FOREVER)
    client.cut()
    assert watcher.payloads() == []
    client.connect(clean=True)
    assert watcher.payloads() == ["gone"]


def test_a_delay_without_a_session_to_wait_in_is_none() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", properties=properties(will_delay=100)))
    client.cut()
    assert watcher.payloads() == ["gone"]


@pytest.mark.conforms("MQTT-3.1.2-15")
def test_a_retained_will_is_retained() -> None:
    world = World()
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", 1, True))
    client.cut()
    assert [(got.payload, got.retain) for got in _late(world)] == [(b"gone", True)]


@pytest.mark.conforms("MQTT-3.1.2-14")
def test_a_will_that_is_not_retained_is_not() -> None:
    world = World()
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", 1, False))
    client.cut()
    assert _late(world) == []


def _late(world: World) -> list[Got]:
    watcher = watcher_of(world)
    return list(watcher.got)


@pytest.mark.conforms("MQTT-3.1.3-10")
def test_the_properties_of_a_will_arrive_with_it() -> None:
    world = World()
    watcher = watcher_of(world)
    client = world.client("dying")
    given = properties(
        message_expiry=50,
        payload_format=1,
        content_type="t",
        response_topic="r",
        correlation_data=b"c",
        user=[("a", "b")],
    )
    given.will_delay = 10
    client.connect(will=Will("will/x", b"gone", 1, properties=given), session_expiry=100)
    client.cut()
    world.advance(10)
    arrived = watcher.got[0].properties
    assert arrived.message_expiry == 50, "the expiry counts from the publication"
    assert (arrived.payload_format, arrived.content_type, arrived.response_topic) == (1, "t", "r")
    assert (arrived.correlation_data, arrived.user) == (b"c", [("a", "b")])


def test_a_will_and_its_delay_survive_a_crash_after_the_disconnect() -> None:
    world = World()
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", 1, properties=properties(will_delay=10)), session_expiry=100)
    client.cut()
    world.advance(4)
    world.crash()
    watcher = watcher_of(world)
    world.advance(5.9)
    assert watcher.payloads() == []
    world.advance(0.2)
    assert watcher.payloads() == ["gone"]


@pytest.mark.parametrize("session_expiry", [100, FOREVER])
def test_the_will_of_a_client_that_a_crash_cut_off_is_published(session_expiry: int) -> None:
    world = World()
    watcher = world.client("watcher")
    watcher.connect(clean=False, session_expiry=FOREVER)
    watcher.subscribe("will/#", qos=1)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", 1, properties=properties(will_delay=10)), session_expiry=session_expiry)
    world.crash()
    watcher.connect(clean=False, session_expiry=FOREVER)
    world.advance(10.1)
    assert watcher.payloads() == ["gone"]
    world.crash()
    watcher.connect(clean=False, session_expiry=FOREVER)
    world.advance(200)
    assert watcher.payloads() == []


def test_a_will_to_a_forbidden_topic_is_dropped() -> None:
    hooks = Policies()
    hooks.authorizes = True
    hooks.denied = {("dying", "publish", "will/x")}
    world = World(hooks=hooks)
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone"))
    client.cut()
    assert watcher.payloads() == []


def test_a_will_does_not_reach_those_who_may_not_receive_its_topic() -> None:
    hooks = Policies()
    hooks.authorizes = True
    hooks.denied = {("watcher", "receive", "will/x")}
    world = World(hooks=hooks)
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", 1))
    client.cut()
    assert watcher.payloads() == []


def test_a_will_waits_until_it_is_known_who_may_receive_it() -> None:
    hooks = Policies()
    hooks.authorizes = True
    world = World(hooks=hooks)
    watcher = watcher_of(world)
    hooks.ask_later = lambda client, action, resource: action == "receive"
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", 1))
    client.cut()
    assert watcher.payloads() == []
    hooks.answer_next(True)
    world.run()
    assert watcher.payloads() == ["gone"]


def test_a_will_waits_for_the_answer_whether_it_may_be_published() -> None:
    hooks = Policies()
    hooks.authorizes = True
    hooks.ask_later = lambda client, action, resource: action == "publish"
    world = World(hooks=hooks)
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone"))
    client.cut()
    assert watcher.payloads() == []
    hooks.answer_next(True)
    world.run()
    assert watcher.payloads() == ["gone"]


def test_a_will_to_a_topic_of_the_broker_is_dropped() -> None:
    world = World()
    client = world.client("dying")
    client.connect(will=Will("$SYS/broker/version", b"mine", 0, True))
    client.cut()
    assert world.engine.retained.get("$SYS/broker/version") is None


def test_a_will_cannot_outlive_the_longest_life_of_messages() -> None:
    from mombroker.core import Limits

    world = World(Limits(sys_interval=0, max_message_age=20))
    watcher = watcher_of(world)
    client = world.client("dying")
    client.connect(will=Will("will/x", b"gone", 1))
    client.cut()
    assert watcher.got[0].properties.message_expiry == 20
