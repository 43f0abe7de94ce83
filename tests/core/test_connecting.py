"""CONNECT: which session a client gets, what the CONNACK says, who is turned away, who is closed for silence."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.hooks.events import ClientConnected, ClientDisconnected, ClientRefused, SessionTakenOver
from mombroker.hooks.requests import ConnectRequest
from mombroker.model.identity import Identity, Refusal
from mombroker.mqtt import Connect, PingReq, PingResp, Will, encode

from .world import FOREVER, Policies, World, properties

VERSIONS = (3, 4, 5)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.conforms("MQTT-3.2.0-1", "MQTT-3.1.4-5", "MQTT-3.1.4-4", "MQTT-3.2.2-2", "MQTT3-3.1.4-4")
def test_a_first_connect_is_accepted_without_a_session(version: int) -> None:
    connack = World().client("a", version).connect()
    assert connack is not None
    assert (connack.session_present, connack.reason) == (False, 0)


@pytest.mark.conforms("MQTT-3.1.2-4", "MQTT-3.1.2-5", "MQTT-3.2.2-3")
def test_a_session_with_an_expiry_is_there_again() -> None:
    client = World().client("a")
    client.connect(session_expiry=60)
    client.cut()
    connack = client.connect(clean=False, session_expiry=60)
    assert connack is not None and connack.session_present


@pytest.mark.conforms("MQTT-3.1.2-4")
def test_a_clean_start_gets_a_new_session_and_drops_the_old_one() -> None:
    world = World()
    client = world.client("a")
    client.connect(session_expiry=60)
    client.subscribe("t", qos=1)
    client.cut()
    connack = client.connect(clean=True, session_expiry=60)
    assert connack is not None and not connack.session_present
    client.publish("t", "x", qos=1)
    assert client.payloads() == []


@pytest.mark.conforms("MQTT-3.1.2-6", "MQTT3-3.1.2-6")
def test_a_session_without_expiry_ends_with_its_connection() -> None:
    client = World().client("a")
    client.connect()
    client.cut()
    connack = client.connect(clean=False)
    assert connack is not None and not connack.session_present


@pytest.mark.conforms("MQTT-3.1.2-23")
def test_a_session_lives_until_its_expiry_has_passed() -> None:
    world = World()
    client = world.client("a")
    client.connect(session_expiry=60)
    client.cut()
    world.advance(59)
    assert "a" in world.engine.sessions
    world.advance(1)
    assert "a" not in world.engine.sessions
    assert world.engine.statistics.sessions_expired == 1


def test_a_session_that_never_expires_stays() -> None:
    world = World()
    client = world.client("a")
    client.connect(session_expiry=FOREVER)
    client.cut()
    world.advance(1_000_000_000)
    connack = client.connect(clean=False, session_expiry=FOREVER)
    assert connack is not None and connack.session_present


def test_a_session_that_was_resumed_expires_from_its_last_disconnect() -> None:
    world = World()
    client = world.client("a")
    client.connect(session_expiry=60)
    client.cut()
    world.advance(50)
    client.connect(clean=False, session_expiry=60)
    world.advance(50)
    client.cut()
    world.advance(59)
    assert "a" in world.engine.sessions
    world.advance(1)
    assert "a" not in world.engine.sessions


def test_the_expiry_may_be_changed_at_disconnect() -> None:
    world = World()
    client = world.client("a")
    client.connect(session_expiry=60)
    client.disconnect(session_expiry=10)
    world.advance(10)
    assert "a" not in world.engine.sessions


def test_the_expiry_may_be_set_to_zero_at_disconnect() -> None:
    world = World()
    client = world.client("a")
    client.connect(session_expiry=60)
    client.disconnect(session_expiry=0)
    assert "a" not in world.engine.sessions


@pytest.mark.conforms("MQTT-3.14.2-2")
def test_an_expiry_of_zero_cannot_be_changed_at_disconnect() -> None:
    client = World().client("a")
    client.connect()
    client.disconnect(session_expiry=10)
    assert client.disconnect_reason == 0x82


def test_a_long_expiry_is_cut_and_the_client_is_told() -> None:
    client = World(Limits(sys_interval=0, max_session_expiry=100)).client("a")
    connack = client.connect(session_expiry=1000)
    assert connack is not None and connack.properties is not None
    assert connack.properties.session_expiry == 100


@pytest.mark.conforms("MQTT-3.1.2-5", "MQTT3-3.2.2-3", "MQTT3-3.1.2-4")
@pytest.mark.parametrize("version", [3, 4])
def test_an_old_client_keeps_its_session_unless_it_asks_for_a_clean_one(version: int) -> None:
    world = World()
    client = world.client("a", version)
    client.connect(clean=False)
    client.cut()
    connack = client.connect(clean=False)
    assert connack is not None
    assert connack.session_present == (version == 4)
    assert len(world.engine.sessions) == 1
    client.connect(clean=True)
    client.cut()
    assert world.engine.sessions == {}


@pytest.mark.conforms("MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.2.2-16")
def test_a_client_without_an_identifier_is_given_one_and_told() -> None:
    world = World()
    first, second = world.client(""), world.client("")
    names = []
    for client in (first, second):
        connack = client.connect(session_expiry=5)
        assert connack is not None and connack.properties is not None
        names.append(connack.properties.assigned_client_id)
    assert None not in names
    assert len(set(names)) == 2
    assert set(names) == set(world.engine.sessions)


@pytest.mark.conforms("MQTT3-3.1.3-6", "MQTT3-3.1.3-7")
def test_an_old_client_without_an_identifier_needs_a_clean_session() -> None:
    world = World()
    connack = world.client("", 4).connect(clean=True)
    assert connack is not None and connack.reason == 0
    refused = world.client("", 4)
    connack = refused.connect(clean=False)
    assert connack is not None and connack.reason == 2
    assert refused.closed


def test_a_client_of_mqtt_3_1_needs_an_identifier() -> None:
    client = World().client("", 3)
    connack = client.connect()
    assert connack is not None and connack.reason == 2
    assert client.closed


@pytest.mark.conforms("MQTT-3.1.3-8")
def test_empty_identifiers_can_be_switched_off() -> None:
    client = World(Limits(sys_interval=0, allow_empty_client_id=False)).client("")
    connack = client.connect()
    assert connack is not None and connack.reason == 0x85
    assert client.closed


def test_an_identifier_that_was_assigned_is_not_given_again_after_a_crash() -> None:
    world = World()
    client = world.client("")
    client.connect(session_expiry=100)
    before = set(world.engine.sessions)
    world.crash()
    client.connect(session_expiry=100)
    assert len(set(world.engine.sessions) | before) == 2


@pytest.mark.conforms("MQTT-3.1.4-3")
def test_a_second_connection_takes_the_session_over() -> None:
    world = World()
    hooks = world.hooks
    assert isinstance(hooks, Policies)
    old, new = world.client("a"), world.client("a")
    old.connect(session_expiry=60)
    old.subscribe("t", qos=1)
    connack = new.connect(clean=False, session_expiry=60)
    assert connack is not None and connack.session_present
    assert old.disconnect_reason == 0x8E
    assert old.closed and not new.closed
    assert [event for event in hooks.events if isinstance(event, SessionTakenOver)]
    new.publish("t", "x", qos=1)
    assert new.payloads() == ["x"]


@pytest.mark.conforms("MQTT3-3.1.4-2")
def test_an_old_client_that_is_taken_over_is_closed() -> None:
    world = World()
    old, new = world.client("a", 4), world.client("a", 4)
    old.connect(clean=False)
    connack = new.connect(clean=False)
    assert connack is not None and connack.session_present
    assert old.closed and old.disconnect_reason is None


def test_a_session_can_be_taken_over_again_and_again_before_anything_is_on_disk() -> None:
    world = World()
    world.hold_commits = True
    clients = [world.client("a") for _ in range(4)]
    for client in clients:
        client.connect(clean=False, session_expiry=60)
    world.commit_all()
    assert [client.closed for client in clients] == [True, True, True, False]
    assert clients[-1].connack is not None


@pytest.mark.conforms("MQTT-3.1.2-22", "MQTT3-3.1.2-24")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_silent_for_one_and_a_half_keep_alives_is_closed(version: int) -> None:
    world = World()
    client = world.client("a", version)
    client.connect(keep_alive=10)
    world.advance(14.9)
    assert not client.closed
    world.advance(0.6)
    assert client.closed
    assert client.disconnect_reason == (0x8D if version == 5 else None)


@pytest.mark.conforms("MQTT-3.12.4-1", "MQTT3-3.12.4-1")
def test_a_ping_is_answered_and_keeps_the_connection() -> None:
    world = World()
    client = world.client("a")
    client.connect(keep_alive=10)
    for _ in range(5):
        world.advance(14)
        client.ping()
    assert not client.closed
    assert len([packet for packet in client.inbox if isinstance(packet, PingResp)]) == 5


def test_a_keep_alive_of_zero_is_never_enforced() -> None:
    world = World()
    client = world.client("a")
    client.connect()
    world.advance(300)
    assert not client.closed


@pytest.mark.conforms("MQTT-3.1.2-21", "MQTT-3.2.2-21")
@pytest.mark.parametrize("asked", [0, 100])
def test_a_server_keep_alive_is_announced_and_enforced(asked: int) -> None:
    world = World(Limits(sys_interval=0, max_keep_alive=10))
    client = world.client("a")
    connack = client.connect(keep_alive=asked)
    assert connack is not None and connack.properties is not None
    assert connack.properties.server_keep_alive == 10
    world.advance(15.5)
    assert client.disconnect_reason == 0x8D


@pytest.mark.conforms("MQTT-3.2.2-22")
def test_a_keep_alive_that_is_granted_is_not_announced() -> None:
    client = World().client("a")
    connack = client.connect(keep_alive=10)
    assert connack is not None and connack.properties is not None
    assert connack.properties.server_keep_alive is None


def test_a_connection_without_connect_is_closed_after_the_deadline() -> None:
    world = World(Limits(sys_interval=0, connect_timeout=3))
    client = world.client("a")
    client.open()
    world.advance(2.9)
    assert not client.closed
    world.advance(0.6)
    assert client.closed


def test_half_a_connect_does_not_stop_the_deadline() -> None:
    world = World(Limits(sys_interval=0, connect_timeout=3))
    client = world.client("a")
    client.open()
    client.send(b"\x10")
    world.advance(3.5)
    assert client.closed


@pytest.mark.conforms("MQTT-3.2.2-6", "MQTT-3.2.2-7", "MQTT-3.1.4-2")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_client_is_told_and_closed_and_leaves_nothing(version: int) -> None:
    hooks = Policies()
    hooks.verdict = lambda request: Refusal(0x86, "wrong")
    world = World(hooks=hooks)
    client = world.client("a", version)
    connack = client.connect(clean=False, username="u", password=b"secret")
    assert connack is not None and not connack.session_present
    assert connack.reason == (0x86 if version == 5 else 4)
    assert client.closed
    assert world.engine.sessions == {}
    assert [event.reason for event in hooks.events if isinstance(event, ClientRefused)] == [0x86]
    assert "secret" not in repr(world.log.entries)


def test_a_refused_client_does_not_disturb_the_session_it_asked_for() -> None:
    hooks = Policies()
    world = World(hooks=hooks)
    owner = world.client("a")
    owner.connect(session_expiry=60)
    hooks.verdict = lambda request: Refusal(0x87)
    world.client("a").connect(clean=True)
    assert not owner.closed
    assert "a" in world.engine.sessions


def test_others_go_on_while_an_authentication_is_pending() -> None:
    hooks = Policies()
    hooks.verdict = lambda request: None if request.client_id == "slow" else Identity(request.client_id)
    world = World(hooks=hooks)
    slow, quick = world.client("slow"), world.client("quick")
    slow.connect(run=False)
    slow.send(PingReq())
    assert slow.connack is None
    assert quick.connect() is not None
    hooks.answer_next(Identity("slow"))
    world.run()
    assert slow.connack is not None
    assert isinstance(slow.inbox[-1], PingResp)


def test_an_answer_for_a_client_that_has_gone_is_ignored() -> None:
    hooks = Policies()
    hooks.verdict = lambda request: None
    world = World(hooks=hooks)
    client = world.client("a")
    client.connect()
    client.cut()
    hooks.answer_next(Identity("a"))
    world.run()
    assert world.engine.sessions == {}


@pytest.mark.conforms("MQTT-3.1.2-2", "MQTT3-3.1.2-2")
def test_a_version_that_is_switched_off_is_refused() -> None:
    world = World(Limits(sys_interval=0, versions=(5,)))
    client = world.client("a", 4)
    connack = client.connect()
    assert connack is not None and connack.reason == 1
    assert client.closed


def test_one_connection_too_many_is_refused() -> None:
    world = World(Limits(sys_interval=0, max_connections=1))
    world.client("a").connect()
    client = world.client("b")
    connack = client.connect()
    assert connack is not None and connack.reason == 0x89
    assert client.closed


@pytest.mark.conforms("MQTT-3.2.2-12")
def test_a_will_above_the_maximum_qos_is_refused() -> None:
    client = World(Limits(sys_interval=0, maximum_qos=1)).client("a")
    connack = client.connect(will=Will("w", b"", 2))
    assert connack is not None and connack.reason == 0x9B


@pytest.mark.conforms("MQTT-3.2.2-13")
def test_a_retained_will_is_refused_where_retaining_is_off() -> None:
    client = World(Limits(sys_interval=0, retain_available=False)).client("a")
    connack = client.connect(will=Will("w", b"", 0, True))
    assert connack is not None and connack.reason == 0x9A


@pytest.mark.conforms("MQTT-3.2.2-9")
def test_a_will_that_is_not_the_text_it_claims_to_be_is_refused() -> None:
    client = World().client("a")
    connack = client.connect(will=Will("t", b"\xff", 0, False, properties(payload_format=1)))
    assert connack is not None and connack.reason == 0x99
    connack = client.connect(will=Will("t", "ä".encode(), 0, False, properties(payload_format=1)))
    assert connack is not None and connack.reason == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_will_to_a_topic_with_too_many_levels_is_refused(version: int) -> None:
    client = World(Limits(sys_interval=0, max_topic_levels=3)).client("a", version)
    connack = client.connect(will=Will("a/b/c/d", b"", 0, False))
    assert connack is not None and connack.reason == (0x90 if version == 5 else 3)
    connack = client.connect(will=Will("a/b/c", b"", 0, False))
    assert connack is not None and connack.reason == 0


def test_what_is_switched_off_is_announced() -> None:
    limits = Limits(
        sys_interval=0,
        maximum_qos=1,
        retain_available=False,
        wildcard_available=False,
        shared_available=False,
        subscription_ids_available=False,
        topic_alias_maximum=7,
        receive_maximum=9,
        max_packet_size=1000,
    )
    connack = World(limits).client("a").connect()
    assert connack is not None and connack.properties is not None
    given = connack.properties
    assert (given.maximum_qos, given.retain_available, given.wildcard_available) == (1, 0, 0)
    assert (given.shared_available, given.subscription_ids_available) == (0, 0)
    assert (given.topic_alias_maximum, given.receive_maximum, given.maximum_packet_size) == (7, 9, 1000)


@pytest.mark.conforms("MQTT-3.1.0-2")
def test_a_second_connect_ends_the_connection() -> None:
    world = World()
    client = world.client("a")
    client.connect(session_expiry=10)
    client.send(encode(Connect("a", 5), 5))
    assert client.disconnect_reason == 0x82
    assert "a" in world.engine.sessions


def test_packets_that_come_with_the_connect_are_handled_after_it() -> None:
    client = World().client("a")
    client.connect(run=False, session_expiry=100)
    client.subscribe("t")
    client.publish("t", "x")
    assert client.payloads() == ["x"]


def test_the_event_says_whether_the_session_was_there_before() -> None:
    hooks = Policies()
    client = World(hooks=hooks).client("a")
    for _ in range(2):
        client.connect(clean=False, session_expiry=10)
        client.disconnect()
    assert [event.session_present for event in hooks.events if isinstance(event, ClientConnected)] == [False, True]
    assert [event.reason for event in hooks.events if isinstance(event, ClientDisconnected)] == [0, 0]


@pytest.mark.conforms("MQTT-3.14.4-2", "MQTT3-3.14.4-2")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_disconnect_closes_the_connection(version: int) -> None:
    client = World().client("a", version)
    client.connect()
    client.send(b"\xe0\x00")
    assert client.closed
    assert client.disconnect_reason is None


@pytest.mark.conforms("MQTT-3.2.2-19")
def test_a_reason_string_is_left_out_when_it_makes_the_connack_too_large() -> None:
    hooks = Policies()
    hooks.verdict = lambda request: Refusal(0x87, "no " * 100)
    client = World(hooks=hooks).client("a")
    connack = client.connect(maximum_packet_size=50)
    assert connack is not None
    assert connack.properties is None or connack.properties.reason_string is None


@pytest.mark.conforms("MQTT-3.14.2-3")
def test_a_reason_string_is_left_out_when_it_makes_the_disconnect_too_large() -> None:
    client = World().client("a")
    client.connect(maximum_packet_size=60)
    client.send(b"\x00\x00")
    assert client.disconnect_reason == 0x81
    client.connect(maximum_packet_size=40)
    client.send(b"\x00\x00")
    assert client.disconnect_reason == 0x81


@pytest.mark.conforms("MQTT-3.1.2-24")
def test_a_client_whose_maximum_packet_size_the_connack_exceeds_is_closed() -> None:
    client = World().client("a")
    connack = client.connect(maximum_packet_size=5)
    assert connack is None
    assert client.closed


@pytest.mark.conforms("MQTT-3.1.2-24")
def test_a_refusal_that_no_packet_the_client_takes_could_carry_is_not_sent() -> None:
    client = World(Limits(sys_interval=0, versions=(4,))).client("a")
    assert client.connect(maximum_packet_size=4) is None
    assert client.closed


@pytest.mark.conforms("MQTT-3.1.2-24")
def test_a_client_that_asks_for_more_than_the_answer_may_say_is_closed() -> None:
    filters = [f"t/{number}" for number in range(60)]
    client = World().client("a")
    client.connect(maximum_packet_size=60)
    assert client.subscribe(*filters[:50]) == [0] * 50
    assert client.subscribe(*filters) == []
    assert client.disconnect_reason == 0x95
    client.connect(maximum_packet_size=60)
    client.unsubscribe(*filters)
    assert client.disconnect_reason == 0x95


def test_a_client_with_properties_of_its_own_is_seen_by_the_hooks() -> None:
    hooks = Policies()
    seen: list[tuple[tuple[str, str], ...]] = []

    def note(request: ConnectRequest) -> Identity:
        seen.append(request.user_properties)
        return Identity("a")

    hooks.verdict = note
    World(hooks=hooks).client("a").connect(user=[("k", "1"), ("k", "2")])
    assert seen == [(("k", "1"), ("k", "2"))]


@pytest.mark.conforms("MQTT-3.1.2-4")
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("full", [False, True])
def test_a_session_that_was_discarded_by_an_earlier_connect_does_not_come_back(version: int, full: bool) -> None:
    world = World()
    client = world.client("a", version)
    lasting: dict[str, Any] = {"session_expiry": FOREVER} if version == 5 else {}
    client.connect(clean=False, **lasting)
    client.subscribe("t", qos=1)
    client.cut()
    world.hold_commits = True
    assert client.connect(clean=True) is None
    client.cut()
    assert client.connect(clean=True) is None
    if full:
        world.full = True
        world.commit_one()
        assert client.connack is None
        world.full = False
        world.advance(2)
    world.commit_one()
    assert client.connack is not None
    world.crash()
    world.commit_all()
    connack = client.connect(clean=False, **lasting)
    assert connack is not None and not connack.session_present
