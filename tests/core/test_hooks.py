"""The core's side of the hooks: who is held up by an answer that is not there yet, and what answers do."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.hooks.events import ClientDisconnected
from mombroker.hooks.requests import AuthContinue, AuthDone
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.mqtt import Ack, Auth, PingResp, SubAck
from mombroker.mqtt.packet_types import PUBACK

from .world import FOREVER, Client, Policies, World


def guarded(**limits: float) -> tuple[World, Policies]:
    """A world whose hooks decide on everything."""
    hooks = Policies()
    hooks.authorizes = True
    return World(Limits(sys_interval=0, **limits), hooks), hooks  # type: ignore[arg-type]


def connected(world: World, name: str, version: int = 5, **fields: Any) -> Client:
    client = world.client(name, version)
    client.connect(**fields)
    return client


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_forbidden_publish_goes_nowhere_and_a_new_client_is_told(qos: int) -> None:
    world, hooks = guarded()
    hooks.denied = {("pub", "publish", "t")}
    reader, publisher = connected(world, "sub"), connected(world, "pub")
    reader.subscribe("#", qos=2)
    packet_id = publisher.publish("t", "no", qos)
    publisher.publish("u", "yes", qos)
    assert reader.payloads() == ["yes"]
    assert publisher.result(packet_id) == (0x87 if qos else None)
    assert not publisher.closed


@pytest.mark.conforms("MQTT3-3.3.5-2")
def test_an_old_client_that_publishes_what_it_may_not_is_closed() -> None:
    world, hooks = guarded()
    hooks.denied = {("pub", "publish", "t")}
    publisher = connected(world, "pub", 4)
    publisher.publish("t", "no", 1)
    assert publisher.closed
    assert publisher.acks(PUBACK) == []


def test_a_forbidden_subscription_is_refused_alone() -> None:
    world, hooks = guarded()
    hooks.denied = {("a", "subscribe", "t"), ("b", "subscribe", "t")}
    assert connected(world, "a").subscribe("t", "u") == [0x87, 0]
    assert connected(world, "b", 4).subscribe("t", "u") == [0x80, 0]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_who_may_not_receive_a_topic_does_not_get_it_live_nor_retained(qos: int) -> None:
    world, hooks = guarded()
    hooks.denied = {("a", "receive", "secret")}
    denied, allowed, publisher = (connected(world, name) for name in ("a", "b", "pub"))
    for client in (denied, allowed):
        client.subscribe("#", qos=2)
    publisher.publish("secret", "s", qos, retain=True)
    publisher.publish("open", "o", qos)
    assert denied.payloads() == ["o"]
    assert allowed.payloads() == ["s", "o"]
    denied.subscribe("#", qos=2)
    assert denied.payloads() == []


@pytest.mark.parametrize("action", ["publish", "receive"])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_publish_waits_for_its_answer_with_all_that_follows_it_and_others_go_on(
    action: str, qos: int, allowed: bool
) -> None:
    world, hooks = guarded()
    reader, publisher, other = (connected(world, name) for name in ("sub", "pub", "other"))
    reader.subscribe("#", qos=2)
    hooks.ask_later = lambda client, asked, topic: asked == action and topic == "slow"
    publisher.publish("slow", "1", qos, run=False)
    publisher.publish("quick", "2", qos, run=False)
    publisher.ping()
    assert reader.payloads() == []
    assert publisher.wire.paused
    other.publish("quick", "other", qos)
    assert reader.payloads() == ["other"]
    hooks.answer_next(allowed)
    world.run()
    assert reader.payloads() == (["1", "2"] if allowed else ["2"])
    assert isinstance(publisher.inbox[-1], (PingResp, Ack))
    assert [packet for packet in publisher.inbox if isinstance(packet, PingResp)]
    assert not publisher.wire.paused
    publisher.publish("slow", "3", qos)
    assert reader.payloads() == (["3"] if allowed else []), "the answer is remembered"


def test_a_subscribe_waits_for_its_answers() -> None:
    world, hooks = guarded()
    client = connected(world, "a")
    hooks.ask_later = lambda client, action, resource: action == "subscribe"
    client.subscribe("one", "two", "three", qos=1)
    assert not [packet for packet in client.inbox if isinstance(packet, SubAck)]
    for allowed in (True, False, True):
        hooks.answer_next(allowed)
        world.run()
    assert [packet.reasons for packet in client.inbox if isinstance(packet, SubAck)] == [[1, 0x87, 1]]


def test_a_subscribe_waits_until_it_is_known_which_retained_messages_may_be_seen() -> None:
    world, hooks = guarded()
    publisher = connected(world, "pub")
    publisher.publish("open", "o", 1, retain=True)
    publisher.publish("secret", "s", 0, retain=True)
    hooks.ask_later = lambda client, action, resource: action == "receive"
    client = connected(world, "a")
    client.subscribe("#", qos=1)
    while hooks.later:
        question = hooks.later[0][0]
        hooks.answer_next(question[2] != "secret")
        world.run()
    assert client.payloads() == ["o"]


def test_answers_are_forgotten_after_their_lifetime() -> None:
    world, hooks = guarded(auth_cache_seconds=10.0)
    client = connected(world, "a")
    client.subscribe("t", qos=1)
    client.publish("t", "x", 1)
    hooks.denied = {("a", "publish", "t")}
    client.publish("t", "x", 1)
    assert client.payloads() == ["x", "x"]
    world.advance(11)
    packet_id = client.publish("t", "x", 1)
    assert client.result(packet_id) == 0x87
    client.publish("t", "x", 0)
    assert client.payloads() == []


def test_the_number_of_remembered_answers_is_bounded() -> None:
    world, _hooks = guarded(auth_cache_size=10)
    client = connected(world, "a")
    for number in range(100):
        client.publish(f"t/{number}", "x", 1)
        client.ping()
    assert client.connection is not None and client.connection.allowed is not None
    assert len(client.connection.allowed) <= 12


def test_an_answer_for_a_client_that_has_gone_is_ignored() -> None:
    world, hooks = guarded()
    client = connected(world, "a")
    hooks.ask_later = lambda client, action, resource: True
    client.publish("t", "x", 1)
    client.cut()
    hooks.answer_next(True)
    world.run()
    assert world.engine.statistics.publishes_received == 1


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publish_hook_may_change_or_refuse_a_message(qos: int, later: bool) -> None:
    hooks = Policies()
    hooks.sees_publish = True
    world = World(hooks=hooks)

    def verdict(message: Message) -> Message | Refusal:
        if message.topic == "no":
            return Refusal(0x99, "not that")
        return Message("changed", message.payload.upper(), message.qos)

    hooks.publish_verdict = (lambda message: None) if later else verdict
    reader, publisher = connected(world, "sub"), connected(world, "pub")
    reader.subscribe("#", qos=2)
    refused = publisher.publish("no", "no", qos, run=False)
    publisher.publish("yes", "yes", qos)
    while hooks.later:
        hooks.answer_next(verdict(hooks.later[0][0]))
        world.run()
    assert [(got.topic, got.payload) for got in reader.got] == [("changed", b"YES")]
    assert publisher.result(refused) == (0x99 if qos else None)


def test_a_message_that_a_hook_gave_another_topic_still_reaches_only_those_who_may_receive_that() -> None:
    world, hooks = guarded()
    hooks.sees_publish = True
    hooks.publish_verdict = lambda message: Message("secret", message.payload, message.qos)
    hooks.denied = {("sub", "receive", "secret")}
    reader, publisher = connected(world, "sub"), connected(world, "pub")
    reader.subscribe("#", qos=2)
    publisher.publish("open", "x", 1)
    assert reader.payloads() == []


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("filter", ["t", "$share/g/t"])
def test_a_delivery_hook_may_change_or_withhold_a_message_for_one_client(qos: int, filter: str) -> None:
    hooks = Policies()
    hooks.sees_deliver = True

    def verdict(message: Message, identity: Identity) -> Message | None:
        if message.payload == b"no":
            return None
        return Message(message.topic, message.payload + identity.client_id.encode(), message.qos)

    hooks.deliver_verdict = verdict
    world = World(hooks=hooks)
    reader, publisher = connected(world, "sub", session_expiry=FOREVER), connected(world, "pub")
    reader.subscribe(filter, qos=2)
    publisher.publish("t", "no", qos)
    publisher.publish("t", "yes ", qos)
    assert reader.payloads() == ["yes sub"]
    assert world.engine.statistics.dropped == {"refused-by-hook": 1}
    assert all(queue.count == 0 for queue in world.engine.queues_by_id.values())


@pytest.mark.parametrize("at_once", [set(), {"r/1", "r/2", "r/3"}])
def test_more_answers_than_are_remembered_keep_a_retained_message_from_nobody_but_who_may_not_receive_it(
    at_once: set[str],
) -> None:
    world, hooks = guarded(auth_cache_size=2)
    publisher, reader = connected(world, "pub"), connected(world, "sub")
    for number in range(1, 6):
        publisher.publish(f"r/{number}", str(number), 1, retain=True)
    hooks.denied = {("sub", "receive", "r/1"), ("sub", "receive", "r/5")}
    asked: list[str] = []

    def waits(client_id: str, action: str, topic: str) -> bool:
        if action == "receive":
            asked.append(topic)
        return action == "receive" and (topic not in at_once or asked.count(topic) > 1)

    hooks.ask_later = waits
    reader.subscribe("r/+", qos=1)
    while hooks.later and len(asked) < 100:
        (_, _, topic), _ = hooks.later[0]
        hooks.answer_next(("sub", "receive", topic) not in hooks.denied)
        world.run()
    assert reader.payloads() == ["2", "3", "4"]


def test_a_delivery_hook_sees_retained_messages_too() -> None:
    hooks = Policies()
    hooks.sees_deliver = True
    hooks.deliver_verdict = lambda message, identity: None
    world = World(hooks=hooks)
    client = connected(world, "a")
    client.publish("t", "x", retain=True)
    client.subscribe("t")
    assert client.payloads() == []


def test_a_defect_behind_a_late_answer_costs_that_client_only() -> None:
    world, hooks = guarded()
    reader, publisher = connected(world, "sub"), connected(world, "pub")
    reader.subscribe("t")
    hooks.ask_later = lambda client, action, resource: action == "publish"
    publisher.publish("t", "x", 1)

    def fail(client: str, action: str, resource: str) -> bool:
        raise RuntimeError("a hook host never does this")

    hooks.ask_later = fail
    hooks.answer_next(True)
    assert len(world.log.errors) == 1
    world.log.errors.clear()
    world.run()
    assert publisher.disconnect_reason == 0x83
    assert not reader.closed


def test_a_defect_costs_the_client_it_meets_only() -> None:
    world, hooks = guarded()
    reader, publisher = connected(world, "sub"), connected(world, "pub")
    reader.subscribe("t")

    def fail(client: str, action: str, resource: str) -> bool:
        raise RuntimeError("a hook host never does this")

    hooks.ask_later = fail
    with pytest.raises(AssertionError, match="internal error"):  # the world does not let one pass
        publisher.publish("t", "x", 1)
    world.log.errors.clear()
    world.run()
    assert publisher.disconnect_reason == 0x83
    assert not reader.closed


# -- enhanced authentication


def challenge(data: bytes | None) -> AuthContinue | AuthDone | Refusal | None:
    """Three steps: hello, then secret."""
    if data == b"hello":
        return AuthContinue(b"who?")
    if data == b"secret":
        return AuthDone(Identity("a", "anna"), b"welcome")
    return None if data == b"slow" else Refusal(0x87, "no")


def exchanging() -> tuple[World, Policies, Client]:
    hooks = Policies()
    hooks.exchanges["m"] = challenge
    world = World(hooks=hooks)
    return world, hooks, world.client("a")


@pytest.mark.conforms("MQTT-4.12.0-2", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
def test_an_enhanced_authentication_goes_back_and_forth_before_the_connack() -> None:
    world, _, client = exchanging()
    assert client.connect(auth_method="m", auth_data=b"hello") is None
    question = client.inbox[-1]
    assert isinstance(question, Auth) and question.reason == 0x18 and question.properties is not None
    assert (question.properties.auth_method, question.properties.auth_data) == ("m", b"who?")
    client.auth(0x18, "m", b"secret")
    connack = client.connack
    assert connack is not None and connack.reason == 0 and connack.properties is not None
    assert (connack.properties.auth_method, connack.properties.auth_data) == ("m", b"welcome")
    assert world.engine.sessions["a"].identity.username == "anna"


@pytest.mark.conforms("MQTT-4.12.0-1", "MQTT-4.12.0-4")
@pytest.mark.parametrize(("method", "data", "reason"), [("other", b"", 0x8C), ("m", b"wrong", 0x87)])
def test_an_enhanced_authentication_may_be_refused(method: str, data: bytes, reason: int) -> None:
    world, _, client = exchanging()
    connack = client.connect(auth_method=method, auth_data=data)
    assert connack is not None and connack.reason == reason
    assert client.closed
    assert world.engine.sessions == {}


@pytest.mark.conforms("MQTT-3.1.2-30")
def test_a_client_in_an_exchange_sends_nothing_but_auth_and_disconnect() -> None:
    _, hooks, client = exchanging()
    client.connect(auth_method="m", auth_data=b"hello")
    client.publish("t", "x")
    assert client.connack is not None and client.connack.reason == 0x82
    assert client.closed
    assert hooks.cancelled == 1


def test_a_client_that_does_not_go_on_with_its_exchange_is_closed() -> None:
    world, _, client = exchanging()
    client.connect(auth_method="m", auth_data=b"hello")
    world.advance(11)
    assert client.closed


@pytest.mark.conforms("MQTT-4.12.1-1", "MQTT-4.12.1-2")
def test_a_client_may_authenticate_again() -> None:
    _world, _, client = exchanging()
    client.connect(auth_method="m", auth_data=b"secret")
    client.auth(0x19, "m", b"hello")
    client.publish("t", "x", 1)
    client.auth(0x18, "m", b"secret")
    answers = [packet for packet in client.inbox if isinstance(packet, Auth)]
    assert [packet.reason for packet in answers] == [0x18, 0]
    assert not client.closed
    client.auth(0x19, "m", b"wrong")
    assert client.disconnect_reason == 0x87


def test_a_second_authentication_waits_for_its_answer_with_all_that_follows() -> None:
    world, hooks, client = exchanging()
    client.connect(auth_method="m", auth_data=b"secret")
    client.auth(0x19, "m", b"slow")
    client.ping()
    assert not [packet for packet in client.inbox if isinstance(packet, PingResp)]
    hooks.answer_next(AuthDone(Identity("a", "berta")))
    world.run()
    assert [packet for packet in client.inbox if isinstance(packet, PingResp)]
    assert world.engine.sessions["a"].identity.username == "berta"


@pytest.mark.conforms("MQTT-4.12.0-6", "MQTT-4.12.0-7")
@pytest.mark.parametrize("method", [None, "other"])
def test_an_auth_with_another_method_is_a_protocol_error(method: str | None) -> None:
    _, _, client = exchanging()
    client.connect(auth_method="m", auth_data=b"secret")
    client.auth(0x19, method, b"hello")
    assert client.disconnect_reason == 0x82
    plain = client.world.client("b")
    plain.connect()
    plain.auth(0x19, "m", b"hello")
    assert plain.disconnect_reason == 0x82


@pytest.mark.conforms("MQTT-3.1.2-24")
def test_a_challenge_too_large_for_the_client_ends_the_exchange() -> None:
    world, hooks, client = exchanging()
    hooks.exchanges["m"] = lambda data: AuthContinue(bytes(100))
    connack = client.connect(auth_method="m", maximum_packet_size=50)
    assert connack is not None and connack.reason == 0x95
    assert client.closed and world.engine.sessions == {}
    hooks.exchanges["m"] = lambda data: AuthDone(Identity("a"))
    client.connect(auth_method="m", maximum_packet_size=50)
    hooks.exchanges["m"] = lambda data: AuthContinue(bytes(100)) if data else AuthDone(Identity("a"), bytes(100))
    client.auth(0x19, "m", b"again")
    assert client.disconnect_reason == 0x95
    client.connect(auth_method="m", auth_data=None, maximum_packet_size=50)
    assert client.closed


# -- logins that expire


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_client_is_disconnected_when_its_login_expires(version: int) -> None:
    hooks = Policies()
    world = World(hooks=hooks)
    hooks.verdict = lambda request: Identity(request.client_id, "anna", expires_at=world.now + 60)
    client = world.client("a", version)
    client.connect()
    world.advance(59)
    assert not client.closed
    world.advance(2)
    assert client.closed
    assert client.disconnect_reason == (0x87 if version == 5 else None)
    assert [event.reason for event in hooks.events if isinstance(event, ClientDisconnected)] == [0x87]


def test_a_login_without_an_end_does_not_expire() -> None:
    hooks = Policies()
    hooks.verdict = lambda request: Identity(request.client_id, "anna")
    world = World(hooks=hooks)
    client = world.client("a")
    client.connect()
    world.advance(600)
    assert not client.closed


def test_a_login_that_has_expired_already_is_refused() -> None:
    hooks = Policies()
    world = World(hooks=hooks)
    hooks.verdict = lambda request: Identity(request.client_id, "anna", expires_at=world.now)
    connack = world.client("a").connect()
    assert connack is not None and connack.reason == 0x87
    assert world.engine.sessions == {}


def test_a_login_that_is_renewed_lives_on_to_its_new_end() -> None:
    world, hooks, client = exchanging()
    hooks.exchanges["m"] = lambda data: AuthDone(Identity("a", "anna", expires_at=world.now + 60))
    client.connect(auth_method="m")
    world.advance(50)
    client.auth(0x19, "m", b"")
    world.advance(50)
    assert not client.closed
    world.advance(11)
    assert client.disconnect_reason == 0x87
    hooks.exchanges["m"] = lambda data: AuthDone(Identity("a", "anna", expires_at=world.now if data else 0.0))
    client.connect(auth_method="m")
    client.auth(0x19, "m", b"old")
    assert client.disconnect_reason == 0x87
