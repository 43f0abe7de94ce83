"""A restart over the real store: what a crash leaves on disk is what comes back."""

from pathlib import Path

import pytest

from mombroker.core import Limits
from mombroker.mqtt import Ack, Will
from mombroker.mqtt.packet_types import PUBREC
from mombroker_storage.lmdb_store.store import LmdbStore

from .world import FOREVER, Client, World


class DiskWorld(World):
    """A world over an LMDB directory, opened anew after each crash."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.disk = LmdbStore(directory)
        super().__init__(store=self.disk)  # type: ignore[arg-type]

    def _finish_commit(self) -> None:
        unit = self.unit
        assert unit is not None
        self.unit = None
        self.disk.commit(unit).result(10)
        self.engine.committed(None)

    def crash(self, after_write: bool = False) -> None:
        self.disk.close()
        self.disk = LmdbStore(self.directory)
        self.store = self.disk  # type: ignore[assignment]
        super().crash()


def back(client: Client) -> None:
    client.connect(clean=False, session_expiry=FOREVER)


@pytest.mark.conforms("MQTT-4.1.0-1", "MQTT-4.1.0-2")
def test_sessions_messages_and_what_is_in_flight_come_back_from_disk(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    try:
        subscriber, publisher = world.client("sub"), world.client("pub")
        for client in (subscriber, publisher):
            back(client)
        subscriber.subscribe("t/#", qos=2, id=9)
        subscriber.subscribe("$share/g/s/#", qos=2)
        subscriber.auto = False
        for number in range(3):
            publisher.publish("t/x", str(number), 2)
        publisher.publish("s/x", "shared", 2)
        publisher.publish("t/r", "retained", 1, retain=True)
        first = subscriber.publishes()
        subscriber.send(Ack(PUBREC, first[0].packet_id))
        world.crash()
        subscriber.auto = True
        back(subscriber)
        assert sorted(subscriber.payloads()) == ["0", "1", "2", "retained", "retained", "shared"]
        assert all(packet.dup for packet in subscriber.publishes())
        assert {packet.packet_id for packet in subscriber.publishes()} == {packet.packet_id for packet in first[1:]}
        world.crash()
        back(subscriber)
        assert subscriber.payloads() == []
        late = world.client("late")
        late.connect()
        late.subscribe("t/r")
        assert late.payloads() == ["retained"]
    finally:
        world.disk.close()


@pytest.mark.conforms("MQTT-3.3.1-1")
@pytest.mark.parametrize("orderly", [False, True])
def test_what_a_client_was_sent_before_it_left_is_marked_as_sent_again_after_a_restart(orderly: bool) -> None:
    world = World()
    subscriber, publisher = world.client("sub"), world.client("pub")
    back(subscriber)
    subscriber.subscribe("t", qos=1)
    subscriber.cut()
    publisher.connect()
    publisher.publish("t", "sent", 1)
    subscriber.auto = False
    back(subscriber)
    if orderly:
        world.restart()
    else:
        subscriber.cut()
        world.crash()
    back(subscriber)
    assert [(packet.payload(), packet.dup) for packet in subscriber.publishes()] == [(b"sent", True)]


@pytest.mark.conforms("MQTT-3.3.1-1")
def test_what_a_client_was_sent_while_a_commit_took_its_time_is_marked_after_a_crash() -> None:
    world = World(Limits(sys_interval=0, max_inflight=1))
    subscriber, publisher = world.client("sub"), world.client("pub")
    back(subscriber)
    subscriber.subscribe("t", qos=1)
    publisher.connect()
    world.hold_commits = True
    for text in "abc":
        publisher.publish("t", text, 1, run=False)
    world.run()
    assert subscriber.payloads() == ["a", "b", "c"]
    world.commit_one()
    world.crash()
    world.commit_all()
    back(subscriber)
    assert [(got.payload, got.dup) for got in subscriber.got] == [(b"a", True), (b"b", True), (b"c", True)]


@pytest.mark.conforms("MQTT-3.3.1-1")
def test_what_a_client_was_sent_before_a_crash_is_marked_even_after_its_will_and_another_restart() -> None:
    world = World()
    subscriber, publisher = world.client("sub"), world.client("pub")
    back(subscriber)
    subscriber.subscribe("t", qos=1)
    subscriber.cut()
    publisher.connect()
    publisher.publish("t", "sent", 1)
    subscriber.auto = False
    subscriber.connect(clean=False, session_expiry=FOREVER, will=Will("w", b"gone"))
    world.crash()
    world.advance(1)
    world.restart()
    back(subscriber)
    assert [(packet.payload(), packet.dup) for packet in subscriber.publishes()] == [(b"sent", True)]


@pytest.mark.parametrize("stopped", [False, True], ids=["client-goes", "broker-is-stopped"])
def test_what_was_sent_to_a_client_that_went_first_comes_again_as_a_duplicate(tmp_path: Path, stopped: bool) -> None:
    world = DiskWorld(tmp_path)
    try:
        subscriber, publisher = world.client("sub"), world.client("pub")
        for client in (subscriber, publisher):
            back(client)
        subscriber.subscribe("t", qos=2)
        subscriber.auto = False
        for number in range(3):
            publisher.publish("t", str(number), 2)
        first = subscriber.publishes()
        assert len(first) == 3
        if stopped:
            world.engine.shut_down()
            world.run()
        else:
            subscriber.cut()
        world.crash()
        publisher.connect(clean=False, session_expiry=FOREVER)
        publisher.publish("t", "new", 2)
        back(subscriber)
        again = [(packet.payload(), packet.dup) for packet in subscriber.publishes()]
        assert again == [(b"0", True), (b"1", True), (b"2", True), (b"new", False)]
    finally:
        world.disk.close()


def test_a_large_backlog_with_shared_bodies_comes_back_from_disk_in_order(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    try:
        readers = [world.client(name) for name in ("one", "two")]
        for reader in readers:
            back(reader)
            reader.subscribe("t", qos=1)
            reader.cut()
        publisher = world.client("pub")
        publisher.connect()
        sent = [f"{number}" + "x" * 300 for number in range(3000)]
        for text in sent:
            publisher.publish("t", text, 1, run=False)
        world.run()
        world.crash()
        for reader in readers:
            back(reader)
            assert reader.payloads() == sent
        world.crash()
        assert [queue.count for queue in world.engine.queues_by_id.values()] == [0, 0]
    finally:
        world.disk.close()
