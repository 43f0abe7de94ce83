"""Opens an image with the real store under the real broker core, in this process, and lets the clients come back."""

from collections import Counter
from pathlib import Path

from mombroker.core.ports import Hooks
from mombroker.model.errors import StoreError
from mombroker.model.store import Damage
from mombroker.model.unit import TABLE_PLUGIN
from mombroker.mqtt import Publish
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
        super().__init__(hooks=_hooks(), store=self.disk)  # type: ignore[arg-type]

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
    seen.users = {key.partition(SEPARATOR)[2].decode() for key, _ in world.disk.items(TABLE_PLUGIN)}
    observer = world.client(OBSERVER)
    observer.connect()
    observer.subscribe("retained/#", qos=1)
    seen.retained = {got.topic: got.payload for got in observer.got if got.retain}
    observer.unsubscribe("retained/#")
    clients = {name: _remembering(world, books, name) for name in books.clients}
    for name, client in clients.items():
        connack = client.connect(clean=False, **({"session_expiry": FOREVER} if client.version == 5 else {}))
        assert connack is not None and connack.reason == 0, f"{name} was refused: {connack}"
        seen.present[name] = connack.session_present
    for name, client in clients.items():
        seen.got[name] = [(got.payload, got.qos) for got in client.got]
        client.got.clear()
        for id in books.clients[name].unfinished:
            reason = client.result(id)
            if reason is None or reason >= 0x80 and reason != 0x92:
                seen.refused.append(f"{name} repeats {id}, and is told {reason}")
    _probe(world, books, seen, clients)
    for queue in books.queues:
        seen.queues[queue] = _drained(world, queue)


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
    """Publish to everybody with QoS 2, under an identifier that was in use and is free: it must not be taken for it."""
    publishers = [name for name, client in books.clients.items() if client.finished_ids and client.session]
    for topic in probe_topics(books):
        if publishers:
            name = publishers[0]
            sender = clients[name]
            id = next(iter(reversed(books.clients[name].finished_ids)))
            sender.next_id = id - 1
        else:
            sender = world.clients[0]
        sender.publish(topic, b"", qos=2)
        seen.probes[topic] = Counter(
            {name: sum(got.topic == topic for got in its.got) for name, its in clients.items()}
        )
        for client in clients.values():
            client.got.clear()


def _drained(world: World, queue: str) -> list[tuple[str, int]] | None:
    """Everything in a queue; None if there is no such queue."""
    consumer = world.client(f"drains {queue}")
    consumer.connect()
    if consumer.subscribe(f"$queue/{queue}", qos=1) != [1]:
        return None
    found = []
    for got in consumer.got:
        told = dict(got.properties.user or ())
        found.append((told["mom-id"], int(told.get("mom-deliveries", "1"))))
    return found
