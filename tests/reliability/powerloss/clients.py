"""The clients of a recorded broker, which mark what they rely on, and what they are about to do."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from mombroker.mqtt import (
    V5,
    Ack,
    Disconnect,
    Packet,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
)
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL
from tests.broker.client import Client
from tests.reliability.powerloss.books import Published, key_of, payload
from tests.reliability.powerloss.log import Marker

WINDOW = 6
OWN_LOSS = 0.02
"""How likely a client is to break its connection at each packet."""
SIZES = (20, 20, 20, 20, 300, 300, 5_000, 40_000)
FOREVER = 0xFFFFFFFF


class Place:
    """Where the broker listens (0: nowhere at the moment), how much has been published, and whether that is enough."""

    def __init__(self, wanted: int) -> None:
        self.port = 0
        self.published = 0
        self.wanted = wanted
        self._changed = asyncio.Condition()

    @property
    def enough(self) -> bool:
        """Whether the recording is to end."""
        return self.published >= self.wanted

    async def set(self, port: int) -> None:
        """The broker listens there."""
        async with self._changed:
            self.port = port
            self._changed.notify_all()

    async def count(self) -> None:
        """One more was published."""
        self.published += 1
        async with self._changed:
            self._changed.notify_all()

    async def until(self, published: int) -> None:
        """Wait until so many were published, or enough."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.published >= published or self.enough)

    async def address(self) -> int:
        """The port, once there is one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.port)
            return self.port


async def received(client: Client, timeout: float = 60.0) -> Packet:
    """The next packet. Raises EOFError if the broker says goodbye."""
    packet = await client.receive(timeout)
    if isinstance(packet, Disconnect):
        raise EOFError(f"the broker disconnects: {packet}")
    return packet


class Peer:
    """A client with a durable session."""

    def __init__(self, name: str, version: int, place: Place, marker: Marker, random: Random) -> None:
        self.name = name
        self.version = version
        self.place = place
        self.marker = marker
        self.random = random
        self._began = False

    async def connect(self, clean_start: bool = False, expiry: int = FOREVER) -> Client:
        """Connect. What the session begins with is marked."""
        client = await Client.open(await self.place.address(), self.version)
        try:
            if not self._began:
                self.marker.mark("begin?", self.name, self.version)
            given: dict[str, Any] = {"session_expiry": expiry} if self.version == V5 else {}
            connack = await client.connect(self.name, clean_start, **given)
            assert connack.reason == 0, f"{self.name} was refused: {connack}"
            if not self._began:
                self.marker.mark("begin!", self.name)
            self._began = True
        except BaseException:
            client.close()
            raise
        return client

    async def while_up(self, work: Callable[[Client], Coroutine[Any, Any, bool]]) -> None:
        """Connect and work, and again, until it says that it is done."""
        done = False
        while not done:
            try:
                async with await self.connect() as client:
                    done = await work(client)
            except (ConnectionError, EOFError):
                continue

    async def subscribe(self, client: Client, filter: str, id: int = 60_001) -> None:
        """Subscribe with QoS 2; only to be called while nothing else can come."""
        self.marker.mark("sub?", self.name, filter)
        client.send(Subscribe(id, [SubscribeFilter(filter, 2)]))
        while not isinstance(packet := await received(client), SubAck):
            await self.take(client, packet)
        assert packet.reasons == [2], f"{self.name} may not subscribe: {packet}"
        self.marker.mark("sub!", self.name, filter)

    async def take(self, client: Client, packet: Packet) -> None:
        """Take a message, or a PUBREL."""
        if isinstance(packet, Publish):
            id = int(packet.packet_id)
            self.marker.mark("got!", self.name, id, key_of(packet.payload()), int(packet.qos))
            if self.random.random() < OWN_LOSS:
                raise EOFError
            self.marker.mark("ack?", self.name, id)
            client.send(Ack(PUBACK if packet.qos == 1 else PUBREC, id))
        else:
            assert isinstance(packet, Ack) and packet.type == PUBREL, f"{self.name} got {packet}"
            self.marker.mark("rel!", self.name, packet.packet_id)
            client.send(Ack(PUBCOMP, packet.packet_id))


class Publisher(Peer):
    """Publishes QoS 1 and 2, to subscribers and retained."""

    def __init__(self, name: str, version: int, place: Place, marker: Marker, random: Random) -> None:
        super().__init__(name, version, place, marker, random)
        self.unfinished: dict[int, Published] = {}
        self._numbers = itertools.count()
        self._last_id = 0

    async def run(self) -> None:
        """Publish until it is enough."""
        await self.while_up(self._talk)

    async def leave_some(self) -> None:
        """Publish what nobody is there to take."""
        for _ in range(5):
            await self.while_up(self._publish_one)

    async def _publish_one(self, client: Client) -> bool:
        self.repeat(client)
        if not self.unfinished:
            await self.publish(client, f"t/{self.name}")
        while self.unfinished:
            await self.answered(client, await received(client))
        return True

    def repeat(self, client: Client) -> None:
        """Send again what is not finished."""
        for id, sent in self.unfinished.items():
            if sent.answered and sent.qos == 2:
                client.send(Ack(PUBREL, id))
            else:
                client.send(self._packet(id, sent, dup=True))

    async def _talk(self, client: Client) -> bool:
        self.repeat(client)
        while self.unfinished or not self.place.enough:
            while len(self.unfinished) < WINDOW and not self.place.enough:
                await self.publish(client)
            if self.unfinished:
                await self.answered(client, await received(client))
            if self.random.random() < OWN_LOSS:
                return False
        return True

    def _packet(self, id: int, sent: Published, dup: bool) -> Publish:
        content = payload(sent.key, sent.size) if sent.size else b""
        return Publish.create(sent.topic, content, sent.qos, sent.retain, dup, id)

    async def publish(self, client: Client, topic: str = "") -> None:
        """Publish something, somewhere unless told where."""
        random = self.random
        retain = not topic and random.random() < 0.15
        size = 0 if retain and random.random() < 0.3 else random.choice(SIZES)
        qos = random.choice((1, 2))
        # Of one QoS for each topic: a repeated QoS 1 message may come after a QoS 2 message that followed it at first.
        retained = f"retained/{self.name}/{qos}{random.randrange(2)}"
        topic = topic or (retained if retain else f"t/{self.name}")
        sent = Published(f"{self.name}-{next(self._numbers)}", qos, topic, retain, size)
        # Few identifiers, so that they are soon used again.
        self._last_id = self._last_id % 50 + 1
        while self._last_id in self.unfinished:
            self._last_id = self._last_id % 50 + 1
        id = self._last_id
        self.unfinished[id] = sent
        self.marker.mark("pub?", self.name, id, sent.key, sent.qos, topic, retain, size)
        client.send(self._packet(id, sent, dup=False))
        await self.place.count()

    async def answered(self, client: Client, packet: Packet) -> None:
        """Take an acknowledgement."""
        assert isinstance(packet, Ack), f"{self.name} got {packet}"
        id = packet.packet_id
        sent = self.unfinished[id]
        if packet.type == PUBCOMP:
            self.marker.mark("comp!", self.name, id)
            del self.unfinished[id]
            return
        assert packet.reason in (0, 0x10), f"{self.name}: {sent} was refused: {packet}"
        assert packet.type == (PUBACK if sent.qos == 1 else PUBREC), f"{self.name} got {packet} for {sent}"
        if not sent.answered:
            self.marker.mark("pub!", self.name, id)
        sent.answered = True
        if sent.qos == 1:
            del self.unfinished[id]
        else:
            client.send(Ack(PUBREL, id))


class Subscriber(Peer):
    """Takes what comes for its filter. One that ``sleeps`` stays away until much is waiting, again and again."""

    def __init__(
        self, name: str, version: int, place: Place, marker: Marker, random: Random, filter: str, sleeps: bool
    ) -> None:
        super().__init__(name, version, place, marker, random)
        self.filter = filter
        self.sleeps = sleeps

    async def begin(self) -> None:
        """Subscribe."""
        await self.while_up(self._subscribe)

    async def _subscribe(self, client: Client) -> bool:
        await self.subscribe(client, self.filter)
        return True

    async def run(self) -> None:
        """Take messages until it is enough."""
        while not self.place.enough:
            if self.sleeps:
                await self.place.until(self.place.published + self.random.randrange(10, 40))
            await self.while_up(self._talk)

    async def _talk(self, client: Client) -> bool:
        end = asyncio.create_task(self.place.until(self.place.published + (20 if self.sleeps else 1_000_000)))
        try:
            while not end.done():
                packet = asyncio.create_task(received(client, 3600))
                done, _ = await asyncio.wait((packet, end), return_when=asyncio.FIRST_COMPLETED)
                if packet not in done:
                    packet.cancel()
                    await asyncio.gather(packet, return_exceptions=True)
                    return True
                await self.take(client, packet.result())
            return True
        finally:
            end.cancel()


class Passing(Publisher):
    """A session that begins, changes its subscriptions, is sent something, and ends."""

    async def run(self) -> None:
        """Live that life."""
        await self.while_up(self._live)
        self.marker.mark("end?", self.name)
        while True:
            try:
                async with await self.connect(clean_start=True, expiry=0):
                    # A session of MQTT 3 that begins clean ends with its connection: this ends both.
                    self.marker.mark("end!", self.name)
                    return
            except (ConnectionError, EOFError):
                continue

    async def _live(self, client: Client) -> bool:
        topics = [f"own/{self.name}/{n}" for n in range(2)]
        for topic in topics:
            await self.subscribe(client, topic)
        self.repeat(client)
        for topic in topics:
            await self.publish(client, topic)
        while self.unfinished:
            packet = await received(client)
            if isinstance(packet, Ack) and packet.type != PUBREL:
                await self.answered(client, packet)
            else:
                await self.take(client, packet)
        self.marker.mark("unsub?", self.name, topics[0])
        client.send(Unsubscribe(60_002, topics[:1]))
        while not isinstance(packet := await received(client), UnsubAck):
            await self.take(client, packet)
        self.marker.mark("unsub!", self.name, topics[0])
        return True
