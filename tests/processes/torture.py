"""Clients that publish and receive through a broker that is killed again and again, and keep honest books.

A publisher sends what was not acknowledged again, with DUP, and counts a message as acknowledged at its PUBACK or
PUBREC. A subscriber remembers the identifiers of QoS 2 messages that it has taken and whose PUBREL has not come, over
all its connections. So does a client that loses its network and not its memory.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mombroker.model.reasons import PACKET_IDENTIFIER_NOT_FOUND, SUCCESS
from mombroker.mqtt import V5, Ack, Packet, PingReq, PingResp, Publish, SubAck, Subscribe, SubscribeFilter
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL

from ..broker.client import Client

WINDOW = 40
OWN_LOSS = 0.0005
"""How likely a client is to break its own connection at each packet."""
IDLE = 240.0
"""Seconds that nothing may come for a subscriber."""

Key = tuple[str, int]
"""A publisher and a QoS: what an order is kept in."""


class Place:
    """Where the broker is at the moment, if it is anywhere; and how many publishes it has acknowledged."""

    def __init__(self) -> None:
        self._port = 0
        self._changed = asyncio.Condition()
        self.acknowledged = 0

    async def set(self, port: int) -> None:
        """The broker listens on this port; 0: it is gone."""
        async with self._changed:
            self._port = port
            self._changed.notify_all()

    async def port(self) -> int:
        """The port, once there is one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._port)
            return self._port

    async def left(self, port: int) -> None:
        """Wait until the broker is not there any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._port != port)

    async def count(self) -> None:
        """One more was acknowledged."""
        self.acknowledged += 1
        async with self._changed:
            self._changed.notify_all()

    async def more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = self.acknowledged + count
        async with self._changed:
            await self._changed.wait_for(lambda: self.acknowledged >= wanted)


class Peer:
    """A client with a session that it expects the broker to keep."""

    def __init__(self, name: str, version: int, place: Place, random: Random) -> None:
        self.name = name
        self.version = version
        self.place = place
        self.random = random
        self.known = False
        self.connections = 0
        self.finished = False

    async def run(self) -> None:
        """Connect, and connect again, until it is finished."""
        while not self.finished:
            try:
                await self.connect_once()
            except (ConnectionError, EOFError):
                continue

    async def connect_once(self) -> None:
        """One connection from its beginning to its end."""
        async with await Client.open(await self.place.port(), self.version) as client:
            given: dict[str, Any] = {"session_expiry": 3600} if self.version == V5 else {}
            connack = await client.connect(self.name, clean_start=False, **given)
            assert connack.reason == 0, f"{self.name} was refused: {connack}"
            if self.known:
                assert connack.session_present, f"the session of {self.name} is lost"
            self.known = True
            self.connections += 1
            await self.talk(client)

    async def talk(self, client: Client) -> None:
        """What it does while it is connected."""
        raise NotImplementedError

    def breaks_off(self) -> bool:
        """Whether it loses its connection now, by itself."""
        return self.random.random() < OWN_LOSS


@dataclass
class Sent:
    """A publish that is not finished; ``released`` after its PUBREC, ``repeated`` if its PUBREL went out again."""

    packet: Publish
    key: Key
    number: int
    released: bool = False
    repeated: bool = False


class Publisher(Peer):
    """Publishes QoS 1 and 2 as fast as its window lets it. ``acknowledged`` are the numbers that it may rely on."""

    def __init__(self, name: str, version: int, place: Place, random: Random) -> None:
        super().__init__(name, version, place, random)
        self.acknowledged: dict[Key, list[int]] = defaultdict(list)
        self.stopping = False
        self._in_flight: dict[int, Sent] = {}
        self._numbers: dict[Key, int] = defaultdict(int)
        self._last_id = 0

    async def talk(self, client: Client) -> None:
        """Repeat what is not finished, in its order; then go on."""
        for packet_id, sent in self._in_flight.items():
            publish = sent.packet
            if sent.released:
                sent.repeated = True
                client.send(Ack(PUBREL, packet_id))
            else:
                topic, payload = publish.topic, publish.payload()
                client.send(Publish.create(topic, payload, int(publish.qos), False, True, packet_id))
        while True:
            while len(self._in_flight) < WINDOW and not self.stopping:
                self._publish(client)
            if not self._in_flight:
                self.finished = True
                return
            await self._answered(client, await client.receive())
            if self.breaks_off():
                return

    def _publish(self, client: Client) -> None:
        key = (self.name, self.random.choice((1, 2)))
        number = self._numbers[key]
        self._numbers[key] += 1
        self._last_id = self._last_id % 65_535 + 1
        while self._last_id in self._in_flight:
            self._last_id = self._last_id % 65_535 + 1
        # Small ones are stored with their reference, large ones once for all queues.
        filling = self.random.choice((b"", b"x" * 300))
        payload = b"%s %d %d %s" % (self.name.encode(), key[1], number, filling)
        packet = Publish.create(f"t/{self.name}", payload, key[1], False, False, self._last_id)
        self._in_flight[self._last_id] = Sent(packet, key, number)
        client.send(packet)

    async def _answered(self, client: Client, packet: Packet) -> None:
        assert isinstance(packet, Ack), f"{self.name} got {packet}"
        sent = self._in_flight.get(packet.packet_id)
        assert sent is not None, f"{self.name} got {packet} for nothing"
        # A repeated PUBREL may be one too many: its PUBCOMP was lost with the connection.
        fine = (SUCCESS, PACKET_IDENTIFIER_NOT_FOUND) if sent.repeated else (SUCCESS,)
        assert packet.reason in fine, f"{self.name}: {sent.key} number {sent.number} was refused: {packet}"
        qos = sent.key[1]
        if packet.type == (PUBACK if qos == 1 else PUBREC):
            assert not sent.released, f"{self.name} got a second {packet}"
            self.acknowledged[sent.key].append(sent.number)
            sent.released = True
            await self.place.count()
            if qos == 2:
                client.send(Ack(PUBREL, packet.packet_id))
        else:
            assert packet.type == PUBCOMP and qos == 2 and sent.released, f"{self.name} got {packet} for {sent}"
        if packet.type != PUBREC:
            del self._in_flight[packet.packet_id]


class Subscriber(Peer):
    """Takes messages, and remembers in which order they came: ``taken``, where a QoS 2 message is to be there once."""

    def __init__(self, name: str, version: int, place: Place, random: Random, filter: str) -> None:
        super().__init__(name, version, place, random)
        self.filter = filter
        self.subscribed = False
        self.taken: dict[Key, list[int]] = defaultdict(list)
        self.count = 0
        self.changed = asyncio.Event()
        self._held: dict[int, bytes] = {}

    async def subscribe(self) -> None:
        """Connect for the subscription only."""
        self.subscribed = False
        while not self.subscribed:
            try:
                await self.connect_once()
            except (ConnectionError, EOFError):
                continue

    async def talk(self, client: Client) -> None:
        """Subscribe if that has not been answered yet, then take whatever comes."""
        if not self.subscribed:
            client.send(Subscribe(1, [SubscribeFilter(self.filter, 2)]))
            assert (await client.expect(SubAck)).reasons == [2]
            self.subscribed = True
            return
        client.send(PingReq())
        while not self.finished:
            self._take(client, await client.receive(IDLE))
            if self.breaks_off():
                return

    def _take(self, client: Client, packet: Packet) -> None:
        if isinstance(packet, Publish):
            payload = packet.payload()
            packet_id = int(packet.packet_id)
            if packet.qos == 1:
                self._deliver(payload)
                client.send(Ack(PUBACK, packet_id))
                return
            held = self._held.get(packet_id)
            if held is None:
                self._held[packet_id] = payload
                self._deliver(payload)
            else:
                assert held == payload, f"{self.name}: {payload!r} came as {packet_id}, which is still {held!r}"
                assert packet.dup, f"{self.name}: {payload!r} came again and not as a duplicate"
            client.send(Ack(PUBREC, packet_id))
        elif isinstance(packet, Ack):
            assert packet.type == PUBREL, f"{self.name} got {packet}"
            self._held.pop(packet.packet_id, None)
            client.send(Ack(PUBCOMP, packet.packet_id))
        else:
            assert isinstance(packet, PingResp), f"{self.name} got {packet}"

    def _deliver(self, payload: bytes) -> None:
        name, qos, number, _ = payload.split(b" ")
        self.taken[(name.decode(), int(qos))].append(int(number))
        self.count += 1
        self.changed.set()

    async def has(self, wanted: dict[Key, list[int]], others: "list[Subscriber] | None" = None) -> None:
        """Wait until it has taken (it, or one of the others) all of these."""
        together = [self, *(others or [])]
        while True:
            for one in together:
                one.changed.clear()
            if not missing(wanted, together):
                return
            waiting = [asyncio.create_task(one.changed.wait()) for one in together]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()


def missing(wanted: dict[Key, list[int]], subscribers: list[Subscriber]) -> dict[Key, list[int]]:
    """What none of the subscribers has taken."""
    lacking: dict[Key, list[int]] = {}
    for key, numbers in wanted.items():
        there: set[int] = set()
        for subscriber in subscribers:
            there.update(subscriber.taken[key])
        lost = [number for number in numbers if number not in there]
        if lost:
            lacking[key] = lost
    return lacking


def twice(subscribers: list[Subscriber]) -> dict[Key, list[int]]:
    """QoS 2 messages that came more than once."""
    found: dict[Key, list[int]] = defaultdict(list)
    seen: set[tuple[Key, int]] = set()
    for subscriber in subscribers:
        for key, numbers in subscriber.taken.items():
            for number in numbers if key[1] == 2 else ():
                if (key, number) in seen:
                    found[key].append(number)
                seen.add((key, number))
    return dict(found)


def overtaken(subscriber: Subscriber) -> dict[Key, list[int]]:
    """Messages that came for the first time after a later one of the same publisher and QoS."""
    found: dict[Key, list[int]] = defaultdict(list)
    for key, numbers in subscriber.taken.items():
        highest = -1
        seen: set[int] = set()
        for number in numbers:
            if number not in seen and number < highest:
                found[key].append(number)
            seen.add(number)
            highest = max(highest, number)
    return dict(found)


@dataclass
class Cast:
    """Everybody who takes part."""

    place: Place
    publishers: list[Publisher]
    awake: list[Subscriber]
    asleep: Subscriber
    pair: list[Subscriber]
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @staticmethod
    def of(random: Random, versions: tuple[int, int]) -> "Cast":
        """Two of each kind that matter, and both versions of the protocol."""
        place = Place()
        seeds = iter(range(1 << 62))

        def own() -> Random:
            return Random(f"{random.random()} {next(seeds)}")

        one, two = versions
        return Cast(
            place,
            [Publisher(f"p{n}", version, place, own()) for n, version in enumerate((one, two, one))],
            [Subscriber("awake-a", one, place, own(), "t/#"), Subscriber("awake-b", two, place, own(), "t/+")],
            Subscriber("asleep", two, place, own(), "t/#"),
            [Subscriber(f"pair-{n}", V5, place, own(), "$share/pair/t/#") for n in range(2)],
        )

    @property
    def everybody(self) -> list[Peer]:
        """All clients."""
        return [*self.publishers, *self.awake, self.asleep, *self.pair]

    def begin(self, *peers: Peer) -> None:
        """Let these run."""
        self.tasks += [asyncio.create_task(peer.run(), name=peer.name) for peer in peers]

    def check_alive(self) -> None:
        """Raise what has ended one of them."""
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def unless_failed(self, wait: "asyncio.Future[None] | asyncio.Task[None]") -> None:
        """Wait, but no longer than all clients are well."""
        while not wait.done():
            running = [task for task in self.tasks if not task.done()]
            await asyncio.wait([wait, *running], return_when=asyncio.FIRST_COMPLETED)
            self.check_alive()
        wait.result()

    async def end(self) -> None:
        """Stop everybody."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=10)
