"""Everything that comes and goes while the load goes on: clients, sessions, subscriptions, retained messages, queues,
services. Each visit checks what it was promised.

Names of topics come round again after a thousand, so that what the broker remembers of topics finds its size soon.
Client identifiers and names of queues never do.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from random import Random

import mombroker
from mombroker.mqtt import (
    V5,
    V31,
    V311,
    Ack,
    Disconnect,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    Will,
)
from mombroker.mqtt.packet_types import PUBACK
from mombroker.operations.services import DeleteService
from tests.broker.client import Client
from tests.reliability.soak.pace import Pace
from tests.reliability.soak.result import Result

TOPICS = 1000
EXPIRY = 3
"""Seconds that sessions live which nobody comes back for."""


class Churn:
    """Visits of all kinds in turn, from several visitors at a time."""

    def __init__(self, port: int, seed: int = 0, visitors: int = 4) -> None:
        self.pace = Pace()
        self.result = Result()
        self._port = port
        self._random = Random(seed)
        self._numbers = itertools.count()
        self._visitors = visitors

    async def run(self) -> None:
        """Until the pace is stopped."""
        await asyncio.gather(*[self._visit() for _ in range(self._visitors)])

    async def _visit(self) -> None:
        kinds: tuple[Callable[[int], Awaitable[None]], ...] = (
            self._passer_by,
            self._one_who_never_returns,
            self._one_who_returns,
            self._subscriptions,
            self._retained,
            self._queue,
            self._service,
        )
        while await self.pace.turn():
            number = next(self._numbers)
            await kinds[number % len(kinds)](number)

    def _topic(self, kind: str, number: int) -> str:
        return f"churn/{kind}/{number % TOPICS}"

    async def _connected(self, *arguments: object, **given: object) -> Client:
        self.result.count("connects")
        return await Client.connected(self._port, *arguments, **given)  # type: ignore[arg-type]

    async def _passer_by(self, number: int) -> None:
        """Comes, talks to itself, and goes: with a DISCONNECT, or without one, so that its will is published."""
        version = (V31, V311, V5)[number // 7 % 3]
        topic = self._topic("pass", number)
        async with await self._connected(f"passer-{number}", version, will=Will(topic, b"gone")) as client:
            await client.subscribe(topic, qos=1)
            client.send(Publish.create(topic, b"here", 1, packet_id=client.next_id()))
            assert (await _one_and_its_ack(client)) == b"here"
            if self._random.random() < 0.5:
                client.send(Disconnect())
                await client.expect_eof()

    async def _one_who_never_returns(self, number: int) -> None:
        """Leaves a session with messages in it behind, which expires."""
        topic = self._topic("lost", number)
        async with await self._connected(f"lost-{number}", session_expiry=EXPIRY) as client:
            await client.subscribe(topic, "churn/never/+", qos=1)
        async with await self._connected(f"lost-{number}-publisher") as client:
            for _ in range(3):
                assert await client.publish(topic, bytes(200), 1) in (0, 0x10)

    async def _one_who_returns(self, number: int) -> None:
        """Finds all that was acknowledged while it was away."""
        topic, given = self._topic("return", number), {"session_expiry": 60}
        name = f"returning-{number}"
        async with await self._connected(name, **given) as client:
            await client.subscribe(topic, qos=2)
        published = [b"%d %d" % (number, one) for one in range(10)]
        async with await self._connected(f"{name}-publisher") as client:
            for payload in published:
                assert await client.publish(topic, payload, self._random.choice((1, 2))) == 0
        async with await self._connected(name, clean_start=False, **given) as client:
            # QoS 1 and 2 do not overtake one another either.
            assert await client.messages(len(published)) == published
        self.result.count("acked messages checked", len(published))
        async with await self._connected(name):
            pass

    async def _subscriptions(self, number: int) -> None:
        """Many subscriptions, and none of them a moment later."""
        filters = [f"churn/sub/{(number + one) % TOPICS}/+" for one in range(50)]
        async with await self._connected() as client:
            client.send(Subscribe(1, [SubscribeFilter(filter, 1) for filter in filters]), Unsubscribe(2, filters))
            assert (await client.expect(SubAck)).reasons == [1] * len(filters)
            assert (await client.expect(UnsubAck)).reasons == [0] * len(filters)
        self.result.count("subscriptions", len(filters))

    async def _retained(self, number: int) -> None:
        """A retained message is set, found, and cleared."""
        topic = f"churn/retained/{number}"
        async with await self._connected() as client:
            await client.publish(topic, b"kept", 1, retain=True)
            await client.subscribe(topic)
            message = await client.message()
            assert message.retain and message.payload() == b"kept", message
        async with await self._connected() as client:
            await client.publish(topic, b"", 1, retain=True)
            await client.subscribe(topic)
            await client.ping()
        self.result.count("retained messages set and cleared")

    async def _queue(self, number: int) -> None:
        """A queue is made, used and deleted."""
        self.result.count("connects")
        async with mombroker.connect(f"mqtt://127.0.0.1:{self._port}") as mom:
            queue = mom.queue(f"churn.{number}")
            await queue.create(bindings=[f"churn/queue/{number}"])
            await queue.put_many([b"%d" % one for one in range(10)])
            await mom.publish(f"churn/queue/{number}", b"10")
            pulled = await queue.pull(20, wait=1.0)
            assert sorted(int(message.payload) for message in pulled) == list(range(11)), pulled
            # Some are left in it: deleting takes them along.
            await queue.ack(pulled[:8])
            await queue.delete()
        self.result.count("acked messages checked", 11)
        self.result.count("queues made and deleted")

    async def _service(self, number: int) -> None:
        """A worker comes, answers, and goes, and its service too; an answer for later is fetched."""
        self.result.count("connects", 2)
        url = f"mqtt://127.0.0.1:{self._port}"
        async with mombroker.connect(url) as caller:
            async with mombroker.connect(url) as mom:
                name = f"churn.{number}"
                await mom.serve(name, lambda request: request.payload, threads=False)
                assert (await caller.request(name, b"now", timeout=60)).payload == b"now"
                later = await caller.request_later(name, b"later", timeout=60, keep=EXPIRY)
                assert (await later.result(timeout=60)).payload == b"later"
            await caller.call(DeleteService(service=name))
        self.result.count("requests answered", 2)


async def _one_and_its_ack(client: Client) -> bytes:
    """The message that a client has published to itself; its PUBACK comes before or behind it."""
    payload, acked = b"", False
    while not payload or not acked:
        packet = await client.receive()
        if isinstance(packet, Ack):
            assert packet.type == PUBACK
            acked = True
        else:
            assert isinstance(packet, Publish), packet
            payload = packet.payload()
            client.send(Ack(PUBACK, packet.packet_id))
    return payload
