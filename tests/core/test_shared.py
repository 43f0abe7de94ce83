"""Shared subscriptions: one copy per group, and what happens to it when a member goes."""

import itertools
from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.model.queues import Overflow, QueuePolicy
from mombroker.mqtt import Ack, Unsubscribe
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL

from .world import FOREVER, Client, Policies, World

FILTER = "$share/g/t/#"


def member(world: World, name: str, qos: int = 2, lasting: bool = True, filter: str = FILTER, **fields: Any) -> Client:
    client = world.client(name)
    client.connect(clean=False, session_expiry=FOREVER if lasting else 0, **fields)
    client.subscribe(filter, qos=qos)
    return client


def publisher_of(world: World) -> Client:
    client = world.client("pub")
    client.connect()
    return client


def back(client: Client, **fields: Any) -> None:
    client.connect(clean=False, session_expiry=FOREVER, **fields)


@pytest.mark.conforms("MQTT-4.8.2-1", "MQTT-4.8.2-2")
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("lasting", [False, True])
def test_each_message_goes_to_one_member_of_each_group(qos: int, lasting: bool) -> None:
    world = World()
    members = [member(world, name, lasting=lasting) for name in "abc"]
    other = member(world, "other", lasting=lasting, filter="$share/h/t/#")
    plain = member(world, "plain", lasting=lasting, filter="t/#")
    publisher = publisher_of(world)
    sent = [str(number) for number in range(30)]
    for text in sent:
        publisher.publish("t/x", text, qos)
    shares = [client.payloads() for client in members]
    assert sorted(itertools.chain(*shares), key=int) == sent
    assert all(len(share) == 10 for share in shares)
    assert other.payloads() == sent
    assert plain.payloads() == sent


@pytest.mark.conforms("MQTT-4.8.2-3")
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_a_member_gets_messages_at_the_qos_it_was_granted(granted: int) -> None:
    world = World()
    client = member(world, "a", granted)
    publisher_of(world).publish("t/x", "x", 2)
    assert [got.qos for got in client.got] == [granted]


def test_members_keep_their_own_options() -> None:
    world = World()
    client = world.client("a")
    client.connect()
    client.subscribe(FILTER, qos=1, id=6, retain_as_published=True)
    publisher_of(world).publish("t/x", "x", 1, retain=True)
    assert [(got.retain, got.properties.subscription_ids) for got in client.got] == [(True, [6])]


def test_a_shared_subscription_gets_no_retained_messages() -> None:
    world = World()
    publisher_of(world).publish("t/x", "x", 1, retain=True)
    assert member(world, "a").payloads() == []


def test_what_a_member_did_not_acknowledge_goes_to_another_when_it_goes() -> None:
    world = World()
    leaving, staying = member(world, "a"), member(world, "b")
    leaving.auto = False
    publisher = publisher_of(world)
    for number in range(6):
        publisher.publish("t/x", str(number), 1)
    assert staying.payloads() == ["1", "3", "5"] or staying.got == []
    kept = [got.payload.decode() for got in leaving.got]
    leaving.cut()
    assert staying.payloads() == kept


@pytest.mark.conforms("MQTT-4.8.2-4")
def test_a_qos_2_message_waits_for_the_member_that_was_chosen() -> None:
    world = World()
    chosen, other = member(world, "a"), member(world, "b")
    chosen.auto = False
    publisher = publisher_of(world)
    for _ in range(2):
        publisher.publish("t/x", "x", 2)
    assert len(chosen.got) == 1
    packet_id = chosen.got[0].packet_id
    chosen.cut()
    assert len(other.got) == 1
    world.crash()
    back(other)
    back(chosen)
    assert [(got.packet_id, got.dup) for got in chosen.got[1:]] == [], "its own state knows the identifier"
    assert [packet.packet_id for packet in chosen.publishes()] == [packet_id]
    assert chosen.publishes()[0].dup
    chosen.send(Ack(PUBREC, packet_id))
    assert chosen.acks(PUBREL) == [packet_id]
    chosen.send(Ack(PUBCOMP, packet_id))
    assert world.engine.groups[FILTER].queue.count == 0


@pytest.mark.conforms("MQTT-4.8.2-5")
@pytest.mark.parametrize("lasting", [False, True])
def test_a_qos_2_message_whose_member_is_gone_for_good_goes_to_nobody_else(lasting: bool) -> None:
    world = World()
    other = member(world, "b")
    chosen = member(world, "a", lasting=lasting)
    chosen.auto = False
    publisher = publisher_of(world)
    for text in "xy":
        publisher.publish("t/x", text, 2)
    assert len(chosen.got) == 1
    if lasting:
        chosen.disconnect(session_expiry=0)
    else:
        chosen.cut()
    assert len(other.got) == 1
    assert world.engine.groups[FILTER].queue.count == 0


@pytest.mark.conforms("MQTT-4.8.2-6")
def test_a_message_refused_with_an_error_goes_to_nobody_else() -> None:
    world = World()
    refusing, other = member(world, "a"), member(world, "b")
    refusing.auto = False
    publisher = publisher_of(world)
    for text in "xy":
        publisher.publish("t/x", text, 2)
    refusing.send(Ack(PUBREC, refusing.got[0].packet_id, 0x80))
    refusing.cut()
    assert len(other.got) == 1


def test_messages_wait_while_all_members_are_away_also_across_a_crash() -> None:
    world = World()
    members = [member(world, name) for name in "ab"]
    for client in members:
        client.cut()
    publisher = publisher_of(world)
    for number in range(5):
        publisher.publish("t/x", str(number), 1)
    world.crash()
    back(members[0])
    assert members[0].payloads() == ["0", "1", "2", "3", "4"]


def test_qos_0_goes_to_connected_members_only() -> None:
    world = World()
    away, here = member(world, "a"), member(world, "b")
    away.cut()
    publisher = publisher_of(world)
    for _ in range(4):
        publisher.publish("t/x", "x")
    assert here.payloads() == ["x"] * 4
    here.cut()
    publisher.publish("t/x", "x")
    assert world.engine.statistics.dropped == {"offline-qos0": 1}


def test_qos_0_waits_for_an_absent_group_where_that_is_switched_on() -> None:
    world = World(Limits(sys_interval=0, queue_qos0=True))
    lasting = member(world, "a")
    publisher = publisher_of(world)
    publisher.publish("t/x", "0")
    lasting.cut()
    for number in range(1, 4):
        publisher.publish("t/x", str(number))
    world.crash()
    publisher.connect()
    world.hold_reads = True
    back(lasting)
    publisher.publish("t/x", "4")
    world.read_all()
    publisher.publish("t/x", "5")
    assert lasting.payloads() == ["0", "1", "2", "3", "4", "5"]
    assert world.engine.groups[FILTER].queue.count == 0


def test_a_member_without_credit_is_passed_over() -> None:
    world = World()
    slow, quick = member(world, "a", receive_maximum=1), member(world, "b")
    slow.auto = False
    publisher = publisher_of(world)
    for number in range(10):
        publisher.publish("t/x", str(number), 1)
    assert len(slow.got) == 1
    assert len(quick.got) == 9


def test_messages_wait_when_no_member_has_credit_and_go_on_with_the_first_acknowledgement() -> None:
    world = World()
    clients = [member(world, name, receive_maximum=1) for name in "ab"]
    for client in clients:
        client.auto = False
    publisher = publisher_of(world)
    for number in range(4):
        publisher.publish("t/x", str(number), 1)
    assert [len(client.got) for client in clients] == [1, 1]
    clients[1].send(Ack(PUBACK, clients[1].got[0].packet_id))
    assert [len(client.got) for client in clients] == [1, 2]


@pytest.mark.parametrize("how", ["unsubscribe", "session end"])
def test_the_last_member_takes_the_group_with_it(how: str) -> None:
    world = World()
    client = member(world, "a")
    publisher = publisher_of(world)
    client.cut()
    publisher.publish("t/x", "x" * 1000, 1)
    back(client, receive_maximum=1)
    if how == "unsubscribe":
        client.unsubscribe(FILTER)
    else:
        client.disconnect(session_expiry=0)
    assert world.engine.groups == {}
    publisher.publish("t/x", "y", 1)
    world.crash()
    assert world.engine.groups == {}
    assert all(not queue.stretches for queue in world.store._queues.values())


def test_an_acknowledgement_after_the_group_has_gone_takes_nothing_from_other_queues() -> None:
    world = World()
    plain = member(world, "plain", 1, filter="t/#")
    plain.cut()
    client = member(world, "a", 1)
    client.auto = False
    publisher_of(world).publish("t/x", "x" * 1000, 1)
    client.unsubscribe(FILTER)
    client.send(Ack(PUBACK, client.got[0].packet_id))
    back(plain)
    assert plain.payloads() == ["x" * 1000]
    assert world.store._bodies == {}


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("lasting", [False, True])
def test_what_a_member_had_when_it_unsubscribed_is_not_lost_when_it_goes(qos: int, lasting: bool) -> None:
    world = World()
    leaving = member(world, "a", lasting=lasting)
    leaving.auto = False
    publisher_of(world).publish("t/x", "x", qos)
    staying = member(world, "b")
    leaving.unsubscribe(FILTER)
    leaving.disconnect(session_expiry=0)
    assert staying.payloads() == (["x"] if qos == 1 else [])
    assert world.engine.groups[FILTER].queue.count == 0


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_a_member_had_when_it_unsubscribed_is_given_to_nobody_else_while_it_has_it(qos: int, crash: bool) -> None:
    world = World()
    leaving = member(world, "a")
    leaving.auto = False
    publisher_of(world).publish("t/x", "x", qos)
    staying = member(world, "b")
    leaving.unsubscribe(FILTER)
    if crash and qos == 2:
        world.crash()
        back(leaving)
    # Nobody is there for a moment, and what waits is read again.
    staying.cut()
    back(staying)
    assert staying.payloads() == []
    leaving.auto = True
    back(leaving)
    assert len(leaving.got) + len(staying.got) == (2 if qos == 1 else 1)
    assert world.engine.groups[FILTER].queue.count == 0
    assert not any(queue.stretches for queue in world.store._queues.values())


def test_the_identifier_of_what_the_last_member_had_is_released_after_a_crash() -> None:
    world = World()
    client = member(world, "a")
    client.auto = False
    publisher_of(world).publish("t/x", "had", 2)
    (had,) = client.publishes()
    client.unsubscribe(FILTER)
    world.crash()
    client.auto = True
    back(client)
    assert client.acks(PUBREL) == [had.packet_id]
    client.subscribe("$share/h/t/#", qos=2)
    publisher_of(world).publish("t/x", "next", 2)
    assert client.payloads() == ["had", "next"]
    assert not world.engine.sessions["a"].inflight


def test_the_identifier_of_what_a_former_member_had_is_released_when_the_group_goes_after_a_crash() -> None:
    world = World()
    client, other = member(world, "a"), member(world, "b")
    client.auto = False
    publisher = publisher_of(world)
    for text in ("one", "two"):
        publisher.publish("t/x", text, 2)
    (had,) = client.publishes()
    client.unsubscribe(FILTER)
    world.crash()
    back(other)
    other.unsubscribe(FILTER)
    client.auto = True
    back(client)
    assert client.acks(PUBREL) == [had.packet_id]
    assert not world.engine.sessions["a"].inflight


def test_what_a_former_member_has_is_not_taken_back_when_the_disk_is_full() -> None:
    world = World()
    leaving = member(world, "a", qos=1)
    leaving.auto = False
    staying = member(world, "b", qos=1)
    publisher = publisher_of(world)
    world.hold_commits = True
    publisher.publish("t/x", "x", 1, run=False)
    publisher.publish("t/x", "y", 1)
    leaving.send(Unsubscribe(1000, [FILTER]))
    world.full = True
    world.commit_one()
    world.full = world.hold_commits = False
    world.advance(2)
    leaving.disconnect(session_expiry=0)
    assert len(staying.got) == 2
    assert world.engine.groups[FILTER].queue.count == 0


def test_a_lease_that_expires_before_it_is_on_disk_gives_its_credit_back() -> None:
    world = World()
    client = member(world, "a", receive_maximum=1)
    publisher = publisher_of(world)
    world.hold_commits = True
    publisher.publish("t/x", "short", 2, run=False, message_expiry=5)
    publisher.publish("t/x", "long", 2)
    world.commit_one()
    world.advance(6)
    world.commit_all()
    assert client.payloads() == ["long"]


def test_a_lease_is_never_sent_before_the_connack() -> None:
    world = World()
    client = member(world, "a")
    publisher = publisher_of(world)
    world.hold_commits = True
    publisher.publish("t/x", "x", 2)
    world.commit_one()
    client.cut()
    client.connect(clean=False, session_expiry=FOREVER)
    while world.unit is not None:
        world.commit_one()
    assert client.payloads() == ["x"]
    assert client.inbox[0] is client.connack


def test_a_lease_that_is_being_read_when_its_member_goes_stays_a_lease() -> None:
    world = World()
    client, other = member(world, "a"), member(world, "b")
    client.auto = False
    publisher = publisher_of(world)
    for text in "xy":
        publisher.publish("t/x", text, 2)
    assert len(client.got) == 1
    world.crash()
    back(other)
    world.hold_reads = True
    client.connect(clean=False, session_expiry=FOREVER)
    client.cut()
    world.read_all()
    assert len(other.got) == 1
    client.received.clear()
    client.auto = True
    back(client)
    assert len(client.got) == 2
    assert len(client.publishes()) == 1


def test_a_message_that_no_member_may_receive_does_not_hold_up_the_others() -> None:
    hooks = Policies()
    hooks.authorizes = True
    hooks.denied = {("a", "receive", "t/secret"), ("b", "receive", "t/secret")}
    world = World(hooks=hooks)
    clients = [member(world, name) for name in "ab"]
    publisher = publisher_of(world)
    for qos in (1, 2):
        publisher.publish("t/secret", "no", qos)
        publisher.publish("t/open", "yes", qos)
    assert sorted(clients[0].payloads() + clients[1].payloads()) == ["yes", "yes"]


def test_a_message_goes_to_a_member_that_may_receive_it() -> None:
    hooks = Policies()
    hooks.authorizes = True
    hooks.denied = {("a", "receive", "t/secret")}
    world = World(hooks=hooks)
    denied, allowed = member(world, "a"), member(world, "b")
    publisher = publisher_of(world)
    for qos in (0, 1, 2):
        publisher.publish("t/secret", "s", qos)
    assert denied.payloads() == []
    assert allowed.payloads() == ["s"] * 3


def test_a_full_group_keeps_the_newest_while_nobody_is_there() -> None:
    hooks = Policies()
    hooks.policies[FILTER] = QueuePolicy(max_messages=3, overflow=Overflow.DROP_OLDEST)
    world = World(hooks=hooks)
    client = member(world, "a")
    client.cut()
    publisher = publisher_of(world)
    for number in range(20):
        publisher.publish("t/x", str(number), 1)
    assert world.engine.groups[FILTER].queue.count == 3
    back(client)
    assert client.payloads() == ["17", "18", "19"]
    assert world.engine.statistics.dropped == {"overflow": 17}


def test_a_large_group_backlog_is_handed_out_whole() -> None:
    world = World(Limits(sys_interval=0, max_inflight=50, receive_maximum=65535))
    members = [member(world, name) for name in "abc"]
    for client in members:
        client.cut()
    publisher = publisher_of(world)
    for number in range(6000):
        publisher.publish("t/x", str(number), 1, run=False)
    world.run()
    for client in members:
        back(client)
    shares = [client.payloads() for client in members]
    assert sorted(itertools.chain(*shares), key=int) == [str(number) for number in range(6000)]
    assert world.engine.groups[FILTER].queue.count == 0


def test_what_was_in_flight_in_memory_when_the_group_became_lasting_is_not_counted_after_a_crash() -> None:
    world = World()
    fleeting = member(world, "a", lasting=False)
    fleeting.auto = False
    publisher_of(world).publish("t/x", "x", 1)
    lasting = member(world, "b")
    publisher_of(world).publish("t/x", "y", 1)
    world.crash()
    back(lasting)
    assert lasting.payloads() == ["y"]
    assert world.engine.groups[FILTER].queue.count == 0


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.conforms("MQTT-3.3.4-9")
def test_a_member_that_comes_back_with_a_smaller_window_gets_what_it_has_a_few_at_a_time(crash: bool) -> None:
    world = World()
    client = member(world, "a")
    client.auto = False
    publisher = publisher_of(world)
    for number in range(6):
        publisher.publish("t/x", str(number), 2)
    assert len(client.publishes()) == 6
    if crash:
        world.crash()
    back(client, receive_maximum=2)
    sent = client.publishes()
    assert [publish.payload() for publish in sent] == [b"0", b"1"]
    assert all(publish.dup for publish in sent)
    client.send(Ack(PUBREC, sent[0].packet_id))
    assert len(client.publishes()) == 2
    client.send(Ack(PUBCOMP, sent[0].packet_id))
    assert len(client.publishes()) == 3
    client.auto = True
    for publish in client.publishes()[1:]:
        client.send(Ack(PUBREC, publish.packet_id))
    assert [publish.payload() for publish in client.publishes()] == [b"%d" % number for number in range(6)]
    assert world.engine.groups[FILTER].queue.count == 0
    assert not world.engine.sessions["a"].inflight
