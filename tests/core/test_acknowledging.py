"""Acknowledgements: never before what they promise is on disk, always in order, refused when the disk is full."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.mqtt import Ack, Publish, SubAck, UnsubAck
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL

from .world import FOREVER, Client, World


def lasting(world: World, name: str, version: int = 5) -> Client:
    client = world.client(name, version)
    fields: dict[str, Any] = {"session_expiry": FOREVER} if version == 5 else {}
    client.connect(clean=False, **fields)
    return client


def offline_subscriber(world: World, qos: int = 2) -> Client:
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=qos)
    subscriber.cut()
    return subscriber


@pytest.mark.parametrize(("qos", "kind"), [(1, PUBACK), (2, PUBREC)])
def test_a_publish_is_acknowledged_after_its_commit(qos: int, kind: int) -> None:
    world = World()
    offline_subscriber(world)
    publisher = lasting(world, "pub")
    world.hold_commits = True
    publisher.publish("t/x", "x", qos)
    assert publisher.acks(kind) == []
    world.commit_one()
    assert publisher.acks(kind) == [1]


def test_what_is_not_stored_is_acknowledged_at_once() -> None:
    world = World()
    client = world.client("a")
    client.connect()
    client.subscribe("t", qos=1)
    world.hold_commits = True
    packet_id = client.publish("t", "x", 1)
    assert client.acks(PUBACK) == [packet_id]
    assert world.committed_units == 0


def test_a_release_is_answered_after_its_commit() -> None:
    world = World()
    publisher = lasting(world, "pub")
    publisher.auto = False
    publisher.publish("t/x", "x", 2)
    world.hold_commits = True
    publisher.send(Ack(PUBREL, 1))
    assert publisher.acks(PUBCOMP) == []
    world.commit_one()
    assert publisher.acks(PUBCOMP) == [1]


def test_a_pubrec_is_answered_after_its_commit() -> None:
    world = World()
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=2)
    subscriber.auto = False
    lasting(world, "pub").publish("t/x", "x", 2)
    world.hold_commits = True
    subscriber.send(Ack(PUBREC, 1))
    assert subscriber.acks(PUBREL) == []
    world.commit_one()
    assert subscriber.acks(PUBREL) == [1]


def test_a_qos_2_message_is_delivered_after_its_commit_and_one_of_qos_1_before() -> None:
    world = World()
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=2)
    publisher = lasting(world, "pub")
    world.hold_commits = True
    publisher.publish("t/x", "one", 1)
    assert subscriber.payloads() == ["one"]
    publisher.publish("t/x", "two", 2)
    assert subscriber.payloads() == []
    world.commit_all()
    assert subscriber.payloads() == ["two"]


@pytest.mark.conforms("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.10.4-4", "MQTT-3.10.4-5")
def test_subscriptions_of_a_lasting_session_are_answered_after_their_commit() -> None:
    world = World()
    client = lasting(world, "a")
    world.hold_commits = True
    client.subscribe("t", qos=1)
    assert not [packet for packet in client.inbox if isinstance(packet, SubAck)]
    world.commit_one()
    assert [packet.packet_id for packet in client.inbox if isinstance(packet, SubAck)] == [1]
    client.unsubscribe("t")
    assert not [packet for packet in client.inbox if isinstance(packet, UnsubAck)]
    world.commit_one()
    assert [packet.packet_id for packet in client.inbox if isinstance(packet, UnsubAck)] == [2]


def test_a_connack_promises_a_lasting_session_after_its_commit() -> None:
    world = World()
    world.hold_commits = True
    lasting_client, fleeting = lasting(world, "a"), world.client("b")
    assert lasting_client.connack is None
    assert fleeting.connect() is not None
    world.commit_one()
    assert lasting_client.connack is not None


@pytest.mark.conforms("MQTT-4.6.0-2", "MQTT-4.6.0-3", "MQTT3-4.6.0-2", "MQTT3-4.6.0-3")
def test_acknowledgements_keep_the_order_of_the_publishes() -> None:
    world = World()
    offline_subscriber(world)
    publisher = lasting(world, "pub")
    world.hold_commits = True
    for topic in ("t/x", "nobody", "t/y", "$SYS/no", "t/z"):
        publisher.publish(topic, "x", 1)
    assert publisher.acks(PUBACK) == []
    world.commit_all()
    assert publisher.acks(PUBACK) == [1, 2, 3, 4, 5]
    assert [publisher.result(packet_id) for packet_id in range(1, 6)] == [0, 0x10, 0, 0x87, 0]


def test_others_are_acknowledged_while_one_waits_for_the_disk() -> None:
    world = World()
    offline_subscriber(world)
    waiting, quick = lasting(world, "pub"), world.client("quick")
    quick.connect()
    world.hold_commits = True
    waiting.publish("t/x", "x", 1)
    quick.publish("nobody", "x", 1)
    assert quick.acks(PUBACK) == [1]
    assert waiting.acks(PUBACK) == []


def test_one_commit_serves_everything_that_gathered_meanwhile() -> None:
    world = World()
    offline_subscriber(world)
    publisher = lasting(world, "pub")
    before = world.committed_units
    world.hold_commits = True
    for _ in range(50):
        publisher.publish("t/x", "x", 1)
    world.commit_all()
    assert len(publisher.acks(PUBACK)) == 50
    assert world.committed_units - before == 2


def test_a_message_delivered_and_acknowledged_before_the_hand_over_is_never_written() -> None:
    world = World()
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=1)
    publisher = lasting(world, "pub")
    world.hold_commits = True
    publisher.publish("t/x", "first", 1)
    for _ in range(20):
        publisher.publish("t/x", "x", 1)
    world.commit_all()
    assert world.store._queues[world.queue_of("sub").id].stretches == []
    assert len(publisher.acks(PUBACK)) == 21


def test_any_other_commit_error_is_fatal_and_acknowledges_nothing() -> None:
    world = World()
    offline_subscriber(world)
    publisher = lasting(world, "pub")
    world.hold_commits = True
    publisher.publish("t/x", "x", 1)
    world.unit = None
    world.engine.committed(OSError("I/O error"))
    world.run()
    assert isinstance(world.fatal_error, OSError)
    assert publisher.acks(PUBACK) == []


# -- a full disk


@pytest.mark.parametrize("qos", [1, 2])
def test_a_full_disk_refuses_publishes_and_heals(qos: int) -> None:
    world = World()
    subscriber = offline_subscriber(world)
    publisher = lasting(world, "pub")
    world.full = True
    refused = publisher.publish("t/x", "lost", qos)
    assert publisher.result(refused) == 0x97
    again = publisher.publish("t/x", "lost too", qos)
    assert publisher.result(again) == 0x97
    assert not publisher.closed
    world.full = False
    world.advance(2)
    accepted = publisher.publish("t/x", "kept", qos)
    assert publisher.result(accepted) == 0
    world.crash()
    subscriber.connect(clean=False, session_expiry=FOREVER)
    assert subscriber.payloads() == ["kept"]
    assert world.queue_of("sub").count == 0


@pytest.mark.parametrize("qos", [1, 2])
def test_an_old_client_is_not_acknowledged_while_the_disk_is_full_and_may_try_again(qos: int) -> None:
    world = World()
    subscriber = offline_subscriber(world)
    publisher = lasting(world, "pub", 4)
    world.full = True
    publisher.publish("t/x", "later", qos)
    assert publisher.acks(PUBACK) + publisher.acks(PUBREC) == []
    assert not publisher.closed
    world.full = False
    world.advance(2)
    publisher.cut()
    publisher.connect(clean=False)
    assert publisher.unacked == {}
    subscriber.connect(clean=False, session_expiry=FOREVER)
    assert subscriber.payloads() == ["later"]


def test_everything_but_publishes_waits_for_room() -> None:
    world = World()
    client = lasting(world, "a")
    world.full = True
    client.subscribe("t", qos=1)
    other = world.client("b")
    other.connect(session_expiry=10)
    assert other.connack is None
    assert not [packet for packet in client.inbox if isinstance(packet, SubAck)]
    world.advance(5)
    assert other.connack is None
    world.full = False
    world.advance(2)
    assert other.connack is not None
    assert [packet for packet in client.inbox if isinstance(packet, SubAck)]
    world.crash()
    assert set(world.engine.sessions) == {"a", "b"}
    assert "t" in world.engine.sessions["a"].subscriptions


def test_what_was_settled_while_the_disk_was_full_stays_settled() -> None:
    world = World()
    subscriber = offline_subscriber(world)
    publisher = lasting(world, "pub")
    for text in "abc":
        publisher.publish("t/x", text * 300, 2)
    world.full = True
    subscriber.connect(clean=False, session_expiry=FOREVER)
    world.advance(3)
    world.full = False
    world.advance(3)
    assert subscriber.payloads() == ["a" * 300, "b" * 300, "c" * 300]
    world.crash()
    subscriber.connect(clean=False, session_expiry=FOREVER)
    assert subscriber.payloads() == []
    assert world.queue_of("sub").count == 0


def test_a_message_that_was_acknowledged_before_its_commit_was_refused_is_not_taken_back_twice() -> None:
    world = World()
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=1)
    publisher = lasting(world, "pub")
    subscriber.auto = False
    world.hold_commits = True
    publisher.publish("t/x", "x", 1)
    subscriber.send(Ack(PUBACK, 1))
    world.full = True
    world.commit_one()
    assert world.queue_of("sub").count == 0
    world.full = False
    world.hold_commits = False
    world.advance(2)
    assert world.queue_of("sub").count == 0
    subscriber.auto = True
    for _ in range(3):
        publisher.publish("t/x", "y", 1)
    assert world.queue_of("sub").count == 0
    assert len(subscriber.got) == 4


@pytest.mark.parametrize("cut", [False, True])
def test_a_message_in_flight_whose_commit_was_refused_is_counted_right(cut: bool) -> None:
    world = World()
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=1)
    publisher = lasting(world, "pub")
    subscriber.auto = False
    world.hold_commits = True
    publisher.publish("t/x", "x" * 300, 1)
    world.full = True
    world.commit_one()
    world.full = False
    world.hold_commits = False
    world.advance(2)
    if cut:
        subscriber.cut()
    else:
        subscriber.send(Ack(PUBACK, 1))
    assert (world.queue_of("sub").count, world.queue_of("sub").bytes) == (0, 0)


@pytest.mark.parametrize("cut", [False, True])
def test_a_message_in_flight_whose_commit_was_refused_is_not_counted_after_a_crash(cut: bool) -> None:
    world = World()
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=1)
    publisher = lasting(world, "pub")
    subscriber.auto = False
    world.hold_commits = True
    publisher.publish("t/x", "x", 1)
    world.full = True
    world.commit_one()
    world.full = world.hold_commits = False
    world.advance(2)
    assert publisher.publish("t/x", "y", 1) == 2
    if cut:
        subscriber.cut()
    world.crash()
    subscriber.auto = True
    subscriber.connect(clean=False, session_expiry=FOREVER)
    assert subscriber.payloads()[-1] == "y"
    assert (world.queue_of("sub").count, world.queue_of("sub").bytes) == (0, 0)


def test_a_refused_unit_leaves_no_trace_in_what_is_ready() -> None:
    world = World()
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=1)
    publisher = lasting(world, "pub")
    subscriber.auto = False
    subscriber.congest()
    world.hold_commits = True
    for number in range(10):
        publisher.publish("t/x", str(number), 1, run=False)
    world.run()
    world.full = True
    world.commit_one()
    queue = world.queue_of("sub")
    assert (queue.count, queue.bytes, queue.ready_bytes) == (0, 0, 0)
    world.full = False
    world.hold_commits = False
    world.advance(2)
    publisher.publish("t/x", "after", 1)
    subscriber.congest(False)
    assert subscriber.payloads() == ["after"]


def test_refusals_keep_the_order_of_the_publishes() -> None:
    world = World()
    offline_subscriber(world)
    publisher = lasting(world, "pub")
    world.full = True
    for topic in ("t/x", "$SYS/no", "t/y", "nobody", "t/z"):
        publisher.publish(topic, "x", 1, run=False)
    world.run()
    world.full = False
    world.advance(2)
    assert publisher.acks(PUBACK) == [1, 2, 3, 4, 5]


def test_a_refused_message_may_be_sent_again_with_the_same_packet_id() -> None:
    world = World()
    subscriber = offline_subscriber(world)
    publisher = lasting(world, "pub")
    publisher.auto = False
    world.full = True
    publisher.send(Publish.create("t/x", b"x", 2, packet_id=7))
    world.full = False
    world.advance(2)
    publisher.send(Publish.create("t/x", b"x", 2, packet_id=7))
    assert publisher.acks(PUBREC) == [7, 7]
    subscriber.connect(clean=False, session_expiry=FOREVER)
    assert subscriber.payloads() == ["x"]


def test_a_shared_body_survives_a_full_disk() -> None:
    world = World()
    names = ("one", "two", "three")
    for name in names:
        client = lasting(world, name)
        client.subscribe("t/#", qos=1)
        client.cut()
    publisher = lasting(world, "pub")
    publisher.publish("t/x", "a" * 1000, 1)
    world.full = True
    publisher.publish("t/x", "b" * 1000, 1)
    reader = world.clients[0]
    reader.connect(clean=False, session_expiry=FOREVER)
    world.advance(2)
    world.full = False
    world.advance(2)
    publisher.publish("t/x", "c" * 1000, 1)
    for client in world.clients[:3]:
        client.connect(clean=False, session_expiry=FOREVER)
        assert client.payloads() == ["a" * 1000, "c" * 1000]
    assert world.store._bodies == {}


# -- durability "interval"


def test_a_lazy_broker_acknowledges_and_delivers_at_once_and_commits_on_its_interval() -> None:
    world = World(lazy_interval=1.0)
    subscriber = lasting(world, "sub")
    assert subscriber.subscribe("t/#", qos=2) == [2]
    publisher = lasting(world, "pub")
    for qos in (1, 2):
        assert publisher.result(publisher.publish("t/x", str(qos), qos)) == 0
    assert subscriber.payloads() == ["1", "2"]
    assert world.committed_units == 0
    world.advance(1.0)
    assert world.committed_units == 1
    world.crash()
    assert set(world.engine.sessions) == {"sub", "pub"}


def test_a_lazy_broker_loses_no_more_than_its_interval() -> None:
    world = World(lazy_interval=1.0)
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=1)
    subscriber.cut()
    publisher = lasting(world, "pub")
    publisher.publish("t/x", "old", 1)
    world.advance(1.1)
    publisher.publish("t/x", "new", 1)
    world.crash()
    subscriber.connect(clean=False, session_expiry=FOREVER)
    world.advance(1.1)
    assert subscriber.payloads() == ["old"]


def test_an_idle_lazy_broker_commits_nothing() -> None:
    world = World(lazy_interval=1.0)
    world.advance(100)
    assert world.committed_units == 0


# -- a commit backlog


def test_a_commit_backlog_pauses_those_who_publish_and_lets_them_go_on() -> None:
    world = World(Limits(sys_interval=0, max_unit_bytes=10_000))
    offline_subscriber(world)
    publisher, idle = lasting(world, "pub"), lasting(world, "idle")
    world.hold_commits = True
    for _ in range(20):
        publisher.publish("t/x", "x" * 1000, 1)
    assert publisher.wire.paused
    assert not idle.wire.paused
    assert world.engine.barrier.pending_bytes() < 13_000
    world.commit_all()
    assert not publisher.wire.paused
    assert len(publisher.acks(PUBACK)) == 20


def test_a_paused_publisher_is_not_closed_for_its_silence() -> None:
    world = World(Limits(sys_interval=0, max_unit_bytes=1000))
    offline_subscriber(world)
    publisher = world.client("pub")
    publisher.connect(keep_alive=10)
    world.hold_commits = True
    publisher.publish("t/x", "x" * 2000, 1)
    publisher.publish("t/x", "x" * 2000, 1)
    assert publisher.wire.paused
    world.advance(100)
    assert not publisher.closed


def test_a_shut_down_commits_what_waits_and_tells_everybody() -> None:
    world = World(lazy_interval=10.0)
    subscriber = lasting(world, "sub")
    subscriber.subscribe("t/#", qos=1)
    subscriber.cut()
    publisher = lasting(world, "pub")
    publisher.publish("t/x", "x", 1)
    world.restart()
    assert publisher.disconnect_reason == 0x8B
    subscriber.connect(clean=False, session_expiry=FOREVER)
    assert subscriber.payloads() == ["x"]


def test_a_retained_message_that_is_refused_leaves_the_one_before_it() -> None:
    world = World()
    publisher = lasting(world, "pub")
    publisher.publish("t/old", "kept", 1, retain=True)
    world.full = True
    for topic in ("t/old", "t/new"):
        refused = publisher.publish(topic, "lost", 1, retain=True)
        assert publisher.result(refused) == 0x97
    world.full = False
    world.advance(2)
    for _ in range(2):
        reader = world.client("reader")
        reader.connect()
        reader.subscribe("t/#", qos=1)
        assert reader.payloads() == ["kept"]
        world.crash()


def test_a_retained_message_that_was_refused_does_not_come_back_when_its_successor_is_refused_too() -> None:
    world = World()
    publisher = lasting(world, "pub")
    publisher.publish("t", "kept", 1, retain=True)
    world.hold_commits = True
    publisher.publish("t", "first", 1, retain=True)
    publisher.publish("t", "second", 1, retain=True)
    world.full = True
    world.commit_one()
    world.advance(2)
    world.commit_one()
    subscriber = world.client("sub")
    subscriber.connect()
    subscriber.subscribe("t")
    assert subscriber.payloads() == ["kept"]


def test_a_subscriber_gets_the_retained_message_that_comes_back_when_the_disk_is_full() -> None:
    world = World()
    publisher = lasting(world, "pub")
    publisher.publish("t", "kept", 1, retain=True)
    world.advance(1)
    subscriber = lasting(world, "sub")
    world.hold_commits = True
    publisher.publish("t", "refused", 1, retain=True)
    subscriber.subscribe("t", qos=0)
    world.full = True
    world.commit_one()
    world.full = world.hold_commits = False
    world.advance(2)
    assert subscriber.payloads() == ["kept"]
