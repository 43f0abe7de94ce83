"""Retained messages: what was acknowledged last is what a new subscriber gets, or what came after it."""

import asyncio
from dataclasses import dataclass, field
from random import Random

from mombroker.model.reasons import QUOTA_EXCEEDED
from mombroker.mqtt import Ack, PingReq, PingResp, Publish, SubAck, Subscribe, SubscribeFilter
from mombroker.mqtt.packet_types import PUBREC, PUBREL
from tests.broker.client import Client
from tests.reliability.torture.mqtt_clients import received
from tests.reliability.torture.place import Place

TOPICS = 5
CLEARING = 7
"""Every so manieth message clears its topic."""


@dataclass
class Kept:
    """One topic. ``settled`` is the number of the last message that was acknowledged, -1 for none; ``sent`` the last
    one that was sent at all; ``refused`` those since ``settled`` that the broker said no to."""

    settled: int = -1
    sent: int = -1
    refused: set[int] = field(default_factory=set)

    def possible(self, before: "Kept") -> set[int]:
        """The numbers that may be found, if this is how it was afterwards."""
        return {n for n in range(before.settled, self.sent + 1) if n not in before.refused}

    def copy(self) -> "Kept":
        """As it is now."""
        return Kept(self.settled, self.sent, set(self.refused))


class Keeper:
    """Publishes retained messages, one at a time on each topic, and looks what is there."""

    def __init__(self, place: Place, port: int, random: Random, version: int) -> None:
        self.topics = [Kept() for _ in range(TOPICS)]
        self.looks = 0
        self._place = place
        self._port = port
        self._random = random
        self._version = version

    async def run(self) -> None:
        """Publish, for ever."""
        while True:
            try:
                async with await Client.connected(self._port, "keeper", self._version) as client:
                    while True:
                        await self._publish(client, self._random.randrange(TOPICS))
            except (ConnectionError, EOFError):
                await asyncio.sleep(0.001)

    async def _publish(self, client: Client, topic: int) -> None:
        kept = self.topics[topic]
        kept.sent += 1
        number = kept.sent
        payload = b"" if number % CLEARING == 0 else b"%d" % number
        qos = self._random.choice((1, 2))
        packet_id = client.next_id()
        client.send(Publish.create(f"r/{topic}", payload, qos, True, False, packet_id))
        ack = await received(client)
        assert isinstance(ack, Ack), ack
        if ack.reason == QUOTA_EXCEEDED:
            kept.refused.add(number)
            await asyncio.sleep(0.01)
            return
        assert ack.reason in (0, 0x10), f"a retained message was refused: {ack}"
        if ack.type == PUBREC:
            # On disk from here on.
            client.send(Ack(PUBREL, packet_id))
        kept.settled = number
        kept.refused = {n for n in kept.refused if n > number}
        self._place.count()
        if ack.type == PUBREC:
            await received(client)

    async def look(self) -> None:
        """Subscribe anew. Raises AssertionError if there is anything but what may be there, and ConnectionError or
        EOFError if the connection does not stand for long enough."""
        before = [kept.copy() for kept in self.topics]
        found = await self._found()
        for topic, kept in enumerate(self.topics):
            possible = kept.possible(before[topic])
            number = found.get(f"r/{topic}", 0)
            cleared = number == 0 and any(n == -1 or n % CLEARING == 0 for n in possible)
            assert cleared or number in possible, (
                f"the retained message on r/{topic} is {number or None}: {before[topic]}, {kept}"
            )
        self.looks += 1

    async def _found(self) -> dict[str, int]:
        found: dict[str, int] = {}
        async with await Client.connected(self._port) as client:
            client.send(Subscribe(1, [SubscribeFilter("r/+", 0)]))
            while True:
                packet = await received(client)
                if isinstance(packet, PingResp):
                    return found
                if isinstance(packet, SubAck):
                    assert packet.reasons == [0]
                    client.send(PingReq())
                elif isinstance(packet, Publish):
                    # One that is published meanwhile comes as such, in the place of the retained one.
                    found[packet.topic.decode()] = int(packet.payload() or 0)
