"""Opens an image with the real store under the real broker core, in this process, and lets the clients come back."""

from collections import Counter
from pathlib import Path

from mombroker.core import Limits
from mombroker.core.ports import Hooks
from mombroker.model.errors import StoreError
from mombroker.model.store import Damage
from mombroker.model.unit import TABLE_PLUGIN
from mombroker.mqtt import Publish, SubAck, Subscribe, SubscribeFilter
from mombroker.wiring.plugin_state import SEPARATOR
from mombroker_storage import LmdbStore
from tests.core.world import FOREVER, Client, Policies, World
from tests.reliability.powerloss.books import Books, payload
from tests.reliability.powerloss.observed import Observed, probe_topics
from tests.reliability.powerloss.places import DATA, MAP_SIZE

OBSERVER = "observer"


class DiskWorld(World):
    """A world on the store in a directory, as of a time."""

    def __init__(self, directory: Path, now: float) -> None:
        self.damage: list[str] = []
        self.disk = LmdbStore(directory, map_size=MAP_SIZE)
        self.disk.on_damage(self._damaged)
        self._now = now
        # Wide enough for all at once.
        super().__init__(Limits(sys_interval=0, max_inflight=10_000), _hooks(), store=self.disk)  # type: ignore[arg-type]

    def _begin(self) -> None:
        self.now = self._now
        self.epoch = self.disk.epoch - 1
        super()._begin()

    def _damaged(self, damage: Damage) -> None:
        self.damage.append(f"damage: {damage}")

    def _finish_commit(self) -> None:
        unit = self.unit
        assert unit is not None, "nothing is with the store"
        self.unit = None
        self.disk.commit(unit).result(60)
        self.engine.committed(None)


def _hooks() -> Hooks:
    policies = Policies()
    policies.sees_events = False
    return policies


def look(place: Path, books: Books, now: float) -> Observed:
    """What is there. An exception means that the broker does not start, or fails."""
    try:
        world = DiskWorld(place / DATA, now)
    except StoreError as error:
        return Observed(faults=[f"the store does not open: {error}"])
    seen = Observed()
    try:
        _look(world, books, seen)
        world.engine.shut_down()
        world.run()
    finally:
        world.disk.close()
    seen.faults += world.damage
    seen.faults += [f"logged: {name} {fields}" for level, name, fields in world.log.entries if level == "error"]
    return seen


def _look(world: DiskWorld, books: Books, seen: Observed) -> None:
    """As much as can be is done at once: each commit waits for the store's thread."""
    seen.users = {key.partition(SEPARATOR)[2].decode() for key, _ in world.disk.items(TABLE_PLUGIN)}
    observer = world.client(OBSERVER)
    observer.connect()
    observer.subscribe("retained/#", qos=1)
    seen.retained = {got.topic: got.payload for got in observer.got if got.retain}
    observer.unsubscribe("retained/#")
    clients = {name: _remembering(world, books, name) for name in books.clients}
    for client in clients.values():
        client.connect(clean=False, run=False, **({"session_expiry": FOREVER} if client.version == 5 else {}))
    world.run()
    for name, client in clients.items():
        assert client.connack is not None and client.connack.reason == 0, f"{name} was refused: {client.connack}"
        seen.present[name] = client.connack.session_present
        seen.got[name] = [(got.payload, got.qos) for got in client.got]
        client.got.clear()
        for id in books.clients[name].unfinished:
            reason = client.result(id)
            if reason is None or reason >= 0x80 and reason != 0x92:
                seen.refused.append(f"{name} repeats {id}, and is told {reason}")
    _probe(world, books, seen, clients)
    _drain(world, books, seen)


def _remembering(world: World, books: Books, name: str) -> Client:
    """A client that knows what it knew."""
    known = books.clients[name]
    client = world.client(name, known.version)
    client.received = set(known.held)
    for id, sent in known.unfinished.items():
        content = payload(sent.key, sent.size) if sent.size else b""
        client.unacked[id] = Publish.create(sent.topic, content, sent.qos, sent.retain, False, id)
        if sent.qos == 2 and sent.answered:
            client.released.add(id)
    return client


def _probe(world: World, books: Books, seen: Observed, clients: dict[str, Client]) -> None:
    """Publish to everybody with QoS 2, at first under identifiers that were in use and are free: no message may be
    taken for the one that had its identifier before."""
    topics = probe_topics(books)
    free = [
        (clients[name], id)
        for name, client in books.clients.items()
        if client.session
        for id in reversed(client.finished_ids)
    ]
    for topic in topics:
        sender, id = free.pop() if free else (world.clients[0], 0)
        if id:
            sender.next_id = id - 1
        sender.publish(topic, b"", qos=2, run=False)
    world.run()
    for topic in topics:
        seen.probes[topic] = Counter(
            {name: sum(got.topic == topic for got in its.got) for name, its in clients.items()}
        )


def _drain(world: World, books: Books, seen: Observed) -> None:
    """Take everything out of the queues."""
    consumers = {queue: world.client(f"drains {queue}") for queue in books.queues}
    for consumer in consumers.values():
        consumer.connect(run=False)
    world.run()
    for queue, consumer in consumers.items():
        consumer.send(Subscribe(1, [SubscribeFilter(f"$queue/{queue}", 1)]), run=False)
    world.run()
    for queue, consumer in consumers.items():
        [suback] = [packet for packet in consumer.inbox if isinstance(packet, SubAck)]
        told = [dict(got.properties.user or ()) for got in consumer.got]
        found = [(one["mom-id"], int(one.get("mom-deliveries", "1"))) for one in told]
        seen.queues[queue] = found if suback.reasons == [1] else None
