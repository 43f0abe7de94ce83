"""Publishing into queues over MQTT: every version and QoS, what is refused and how, what is bound."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.core.queue import NO_MESSAGE
from mombroker.model.queues import Overflow
from mombroker.mqtt import Ack, Publish
from mombroker.mqtt.packet_types import PUBACK, PUBREC

from ..world import Client
from .native import NativeWorld, texts


def why(client: Client, packet_id: int) -> tuple[int, str]:
    """(reason code, reason string) of a refusal."""
    for packet in client.inbox:
        if isinstance(packet, Ack) and packet.packet_id == packet_id:
            given = packet.properties
            return packet.reason, (given.reason_string or "") if given is not None else ""
    raise AssertionError("no answer")


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publish_of_any_version_and_qos_is_enqueued_and_survives(version: int, qos: int) -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c", version)
    packet_id = client.publish("$queue/q", "hello", qos=qos, retain=True)
    if qos:
        assert client.result(packet_id) == 0
    world.crash()
    leases = world.pulled(2)
    assert texts(leases) == ["hello"]
    message = leases[0].ref.message
    assert message.topic == "$queue/q" and not message.retain and message is not NO_MESSAGE
    assert world.engine.retained.count == 0


@pytest.mark.parametrize("qos", [1, 2])
def test_a_publish_is_acknowledged_when_it_is_on_disk(qos: int) -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c")
    world.hold_commits = True
    packet_id = client.publish("$queue/q", "hello", qos=qos)
    assert client.acks(PUBACK if qos == 1 else PUBREC) == []
    world.commit_all()
    assert client.result(packet_id) == 0


def test_options_are_user_properties() -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c")
    client.publish("$queue/q", "late", qos=1, user=[("mom-delay", "5"), ("mom-id", "one")])
    client.publish("$queue/q", "low", qos=1)
    client.publish("$queue/q", "high", qos=1, user=[("mom-priority", "9")], content_type="text/plain")
    at = world.now + 7
    client.publish("$queue/q", "last", qos=1, user=[("mom-deliver-at", str(at))])
    client.publish("$queue/q", "gone", qos=1, message_expiry=1)
    world.advance(2)
    assert world.drain() == ["high", "low"]
    world.advance(3.5)
    leases = world.pulled(5)
    assert texts(leases) == ["late"]
    assert world.queue().id_of(leases[0].ref) == "one"
    world.ack(*leases)
    world.advance(2)
    assert world.drain() == ["last"]


@pytest.mark.parametrize(
    "option",
    [
        ("mom-priority", "10"),
        ("mom-priority", "high"),
        ("mom-delay", "-1"),
        ("mom-delay", "nan"),
        ("mom-deliver-at", "soon"),
        ("mom-id", ""),
        ("mom-id", "x" * 129),
        ("mom-key", ""),
    ],
)
def test_a_bad_option_is_refused(option: tuple[str, str]) -> None:
    world = NativeWorld()
    world.create()
    client = world.user("c")
    packet_id = client.publish("$queue/q", "x", qos=1, user=[option])
    reason, text = why(client, packet_id)
    assert reason == 0x99 and text.startswith("bad-request: ") and option[0] in text
    assert not client.closed and world.queue().count == 0


def test_a_bad_option_of_a_bound_message_counts_as_not_said() -> None:
    world = NativeWorld()
    world.create("q", "ann", "t")
    client = world.user("c")
    packet_id = client.publish("t", "x", qos=1, user=[("mom-priority", "high")])
    assert client.result(packet_id) == 0
    assert world.drain() == ["x"]


def test_a_queue_that_is_not_there_is_refused_with_a_reason() -> None:
    world = NativeWorld()
    client = world.user("c")
    packet_id = client.publish("$queue/nosuch", "x", qos=1)
    reason, text = why(client, packet_id)
    assert reason == 0x90 and text.startswith("no-such-queue: ") and "nosuch" in text
    packet_id = client.publish("$queue/a/b", "x", qos=2)
    assert why(client, packet_id)[0] == 0x90
    assert not client.closed


def test_a_queue_of_a_service_is_no_queue() -> None:
    world = NativeWorld()
    world.serve("s")
    client = world.user("c")
    packet_id = client.publish("$queue/svc:s", "x", qos=1)
    assert why(client, packet_id)[0] == 0x90
    assert client.subscribe("$queue/svc:s", qos=1) == [0x87]


def test_a_client_of_mqtt_3_loses_its_connection_over_a_queue_that_is_not_there() -> None:
    world = NativeWorld()
    client = world.user("c", 4)
    client.publish("$queue/nosuch", "x", qos=0)
    assert not client.closed
    client.publish("$queue/nosuch", "x", qos=1)
    assert client.closed


def test_another_user_is_refused_unless_it_was_granted() -> None:
    world = NativeWorld()
    world.create("q", "ann")
    bob = world.user("b", username="bob")
    packet_id = bob.publish("$queue/q", "x", qos=1)
    reason, text = why(bob, packet_id)
    assert reason == 0x87 and text.startswith("forbidden: ")
    assert bob.subscribe("$queue/q", qos=1) == [0x87]
    world.enter()
    world.engine.named.grants.put("ann", "bob", "q*", ["write"])
    world.leave()
    packet_id = bob.publish("$queue/q", "x", qos=1)
    assert bob.result(packet_id) == 0
    assert bob.subscribe("$queue/q", qos=1) == [0x87]
    world.crash()
    bob.connect(username="bob")
    packet_id = bob.publish("$queue/q", "y", qos=1)
    assert bob.result(packet_id) == 0
    world.enter()
    assert world.engine.named.grants.delete("ann", "bob", "q*")
    assert not world.engine.named.grants.delete("ann", "bob", "q*")
    world.leave()
    assert why(bob, bob.publish("$queue/q", "z", qos=1))[0] == 0x87
    assert world.drain() == ["x", "y"]


def test_plugins_may_overrule_and_may_answer_later() -> None:
    world = NativeWorld()
    hooks = world.policies
    hooks.authorizes = True
    world.create()
    client = world.user("c")
    hooks.denied.add(("c", "write", "queue:q"))
    assert why(client, client.publish("$queue/q", "x", qos=1))[0] == 0x87
    hooks.denied.clear()
    hooks.ask_later = lambda client_id, action, resource: True
    world.advance(100)
    packet_id = client.publish("$queue/q", "y", qos=1)
    assert client.result(packet_id) is None
    assert hooks.later[0][0] == ("c", "write", "queue:q")
    world.enter()
    hooks.answer_next(True)
    world.leave()
    assert client.result(packet_id) == 0
    assert world.drain() == ["y"]


def test_a_full_queue_refuses_with_a_reason() -> None:
    world = NativeWorld()
    world.create(max_messages=2)
    client = world.user("c")
    for number in range(2):
        assert client.result(client.publish("$queue/q", str(number), qos=1)) == 0
    packet_id = client.publish("$queue/q", "2", qos=1)
    reason, text = why(client, packet_id)
    assert reason == 0x97 and text.startswith("queue-full: ") and "q" in text
    client.publish("$queue/q", "3", qos=0)
    assert world.queue().count == 2
    assert world.drain() == ["0", "1"]


def test_bytes_are_limited_too() -> None:
    world = NativeWorld()
    world.create(max_bytes=100)
    client = world.user("c")
    assert client.result(client.publish("$queue/q", "x" * 80, qos=1)) == 0
    assert client.result(client.publish("$queue/q", "x" * 20, qos=1)) == 0x97


@pytest.mark.parametrize("delayed", [False, True])
def test_the_oldest_make_room(delayed: bool) -> None:
    world = NativeWorld()
    queue = world.create(max_messages=3, overflow="drop-oldest")
    client = world.user("c")
    for number in range(10):
        options: dict[str, Any] = {"user": [("mom-delay", str(1 + number))]} if delayed else {}
        assert client.result(client.publish("$queue/q", str(number), qos=1, **options)) == 0
    assert queue.count == 3
    world.advance(20)
    assert world.drain() == ["7", "8", "9"]
    assert queue.numbers.dropped == 7


def test_the_oldest_make_room_also_where_messages_stand_in_line_for_their_key() -> None:
    world = NativeWorld()
    queue = world.create(max_messages=3, overflow="drop-oldest")
    taken = world.pull(1, wait=10)
    pulls = [world.pull(1, wait=1000, key=f"p{number}") for number in range(3)]
    for number in range(10):
        world.put(str(number), key="k")
    assert queue.count == 3
    world.ack(*(taken.leases or []))
    for pull in pulls:
        world.ack(*(pull.leases or []))
    assert world.drain()[-1:] == ["9"] or texts(pulls[1].leases) == ["9"]


def test_the_newest_is_dropped() -> None:
    world = NativeWorld()
    queue = world.create(max_messages=2, overflow="drop-newest")
    for number in range(4):
        world.put(str(number))
    assert world.drain() == ["0", "1"]
    assert queue.numbers.dropped == 2


def test_the_oldest_become_dead_letters() -> None:
    world = NativeWorld()
    queue = world.create(max_messages=2, overflow="dead-letter", dead_letter="dead")
    for number in range(5):
        world.put(str(number))
    assert queue.count == 2
    assert world.drain() == ["3", "4"]
    dead = world.pulled(5, "dead")
    assert texts(dead) == ["0", "1", "2"]
    assert world.queue("dead").meta(dead[0].ref).deaths == [("q", "overflow", world.now, 0)]


def test_queues_of_dead_letters_of_each_other_do_not_go_round_in_circles() -> None:
    world = NativeWorld()
    world.create("a", max_messages=2, overflow="dead-letter", dead_letter="b")
    world.enter()
    world.engine.named.change(
        world.queue("b"), {"max_messages": 2, "overflow": "dead-letter", "dead_letter": "a"}, None
    )
    world.leave()
    for number in range(20):
        world.put(str(number), "a")
        world.put(str(number), "b")
    assert world.queue("a").count == 2 and world.queue("b").count == 2


def test_one_copy_per_queue_however_many_filters_match() -> None:
    world = NativeWorld()
    world.create("q", "ann", "a/#", "a/b", "+/b")
    world.create("p", "ann", "a/b")
    client = world.user("c")
    packet_id = client.publish("a/b", "x" * 1000, qos=1)
    assert client.result(packet_id) == 0
    assert len(world.store._bodies) == 1
    leases = world.pulled(5)
    assert len(leases) == 1 and leases[0].ref.message.topic == "a/b"
    world.ack(*leases)
    assert len(world.store._bodies) == 1
    assert world.drain("p") == ["x" * 1000]
    assert not world.store._bodies


def test_a_bound_queue_that_refuses_refuses_the_whole_publish() -> None:
    world = NativeWorld()
    world.create("q", "ann", "t")
    world.create("p", "ann", "t", max_messages=1)
    client = world.user("c")
    assert client.result(client.publish("t", "0", qos=1)) == 0
    assert client.result(client.publish("t", "1", qos=1)) == 0x97
    assert world.drain("q") == ["0"]


def test_what_fits_the_queue_but_not_the_quota_of_its_owner_is_refused() -> None:
    world = NativeWorld(Limits(sys_interval=0, messages_per_user=3, queues_per_user=2))
    world.create("q")
    world.create("p")
    client = world.user("c")
    for name in ("q", "p", "q"):
        assert client.result(client.publish(f"$queue/{name}", "x", qos=1)) == 0
    packet_id = client.publish("$queue/p", "x", qos=1)
    reason, text = why(client, packet_id)
    assert reason == 0x97 and text.startswith("quota-exceeded: ")
    world.crash()
    client.connect(username="ann")
    assert client.result(client.publish("$queue/p", "x", qos=1)) == 0x97
    world.drain("q")
    assert client.result(client.publish("$queue/p", "x", qos=1)) == 0


def test_a_run_of_publishes_with_qos_0_may_have_a_queue_in_it() -> None:
    world = NativeWorld()
    world.create("q", "ann", "t")
    client = world.user("c", 4)
    data = b"".join(
        publish_bytes(topic, text)
        for topic, text in [("t", "0"), ("t", "1"), ("$queue/q", "2"), ("$queue/q", "3"), ("t", "4"), ("$SYS/x", "5")]
    )
    client.send(data)
    assert world.drain() == ["0", "1", "2", "3", "4"]


def publish_bytes(topic: str, text: str) -> bytes:
    from mombroker.mqtt import encode

    return encode(Publish.create(topic, text.encode(), 0, False, False, 0, None), 4)


def test_a_will_to_a_queue_is_not_published() -> None:
    from mombroker.mqtt import Will

    world = NativeWorld()
    world.create()
    client = world.client("c")
    client.connect(username="ann", will=Will("$queue/q", b"x", 1, False, None))
    client.cut()
    assert world.queue().count == 0


def test_overflow_may_be_decided_by_a_hook() -> None:
    world = NativeWorld()
    world.create(max_messages=1)
    world.policies.decides_overflow = True
    world.policies.overflow = lambda spec, message, default: Overflow.DROP_OLDEST  # type: ignore[method-assign]
    client = world.user("c")
    for number in range(3):
        assert client.result(client.publish("$queue/q", str(number), qos=1)) == 0
