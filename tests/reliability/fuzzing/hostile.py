"""Clients that keep to the protocol (mostly), and still are what nobody wishes for. Each behaviour is a function."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from mombroker.mqtt import Connect, Packet, PingReq, Publish, Subscribe, SubscribeFilter, Unsubscribe, Will, encode
from mombroker.mqtt.packet_types import V5
from tests.broker.client import properties

READ_LIMIT = 1 << 12


@dataclass(frozen=True)
class Behaviour:
    """What one client does: ``name`` is a key of :data:`BEHAVIOURS`, the rest its details."""

    name: str
    version: int
    size: int
    qos: int
    clean: bool
    who: int


class Rogue:
    """A connection whose answers nobody needs; ``reads`` tells whether they are read at all."""

    def __init__(self, port: int, behaviour: Behaviour) -> None:
        self.port = port
        self.does = behaviour
        self.version = behaviour.version
        self.id = f"rogue-{behaviour.who}"
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, reads: bool = True) -> None:
        """A socket, and nothing sent."""
        ends = socket.socket()
        if not reads:
            ends.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_LIMIT)
        ends.connect(("127.0.0.1", self.port))
        reader, self._writer = await asyncio.open_connection(sock=ends, limit=READ_LIMIT)
        if reads:
            self._reading = asyncio.create_task(_read(reader))

    async def connect(self, reads: bool = True, will: Will | None = None, **given: object) -> None:
        """A socket and a CONNECT. Nobody waits for the answer."""
        await self.open(reads)
        keep_alive = int(given.pop("keep_alive", 0))  # type: ignore[call-overload]
        made = properties(session_expiry=0 if self.does.clean else 60, **given) if self.version == V5 else None
        self.send(Connect(self.id, self.version, self.does.clean, keep_alive, None, None, will, made))

    def send(self, packet: Packet | bytes) -> None:
        """Send a packet or bytes; what the broker has not read waits in this process."""
        assert self._writer is not None
        self._writer.write(packet if isinstance(packet, bytes) else encode(packet, self.version))

    async def flush(self) -> None:
        """Let go what the broker takes within a moment."""
        assert self._writer is not None
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0.5):
                await self._writer.drain()

    def publish(self, topic: str, payload: bytes, number: int = 1, retain: bool = False, **given: object) -> None:
        """Send a PUBLISH of the behaviour's QoS."""
        made = properties(**given) if given and self.version == V5 else None
        packet_id = number % 65_535 + 1 if self.does.qos else 0
        self.send(Publish.create(topic, payload, self.does.qos, retain, False, packet_id, made))

    def close(self) -> None:
        """The connection is cut, without a word."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(READ_LIMIT):
            pass


async def never_reads(rogue: Rogue) -> None:
    """Subscribes to everything, has it fill up, and does not read one byte."""
    await rogue.connect(reads=False)
    rogue.send(Subscribe(1, [SubscribeFilter("#", rogue.does.qos)]))
    for number in range(rogue.does.size):
        rogue.publish("rogue/flood", b"x" * 40_000, number)
    await rogue.flush()


async def subscribes_without_end(rogue: Rogue) -> None:
    """Thousands of subscriptions, deep and wide, and their end."""
    await rogue.connect()
    filters = [f"rogue/{number % 7}/+/{number}/#" for number in range(rogue.does.size * 10)]
    for at in range(0, len(filters), 200):
        rogue.send(Subscribe(at + 1, [SubscribeFilter(item, rogue.does.qos) for item in filters[at : at + 200]]))
    await rogue.flush()
    rogue.send(Unsubscribe(1, filters[:200] or ["rogue"]))
    await rogue.flush()


async def says_much(rogue: Rogue) -> None:
    """Topics and properties as long as they may be."""
    await rogue.connect()
    user = [("k" * 1000, "v" * 1000)] * min(rogue.does.size, 60)
    for number in range(5):
        rogue.publish("rogue/" + "t" * 60_000, b"", number, user=user, correlation_data=b"c" * 60_000)
    rogue.publish("/".join("1" * 100), b"")
    await rogue.flush()


async def plays_with_aliases(rogue: Rogue) -> None:
    """Every alias defined, defined anew, and used."""
    await rogue.connect(topic_alias_maximum=65_535)
    for number in range(rogue.does.size):
        topic = f"rogue/{number % 100}" if number % 3 == 0 or rogue.version != V5 else ""
        rogue.publish(topic or "rogue", b"x", number, topic_alias=number % 64 + 1)
    await rogue.flush()


async def takes_one_at_a_time(rogue: Rogue) -> None:
    """Receive Maximum 1, and what comes is never acknowledged."""
    await rogue.connect(receive_maximum=1)
    rogue.send(Subscribe(1, [SubscribeFilter("#", 2)]))
    for number in range(rogue.does.size):
        rogue.publish("rogue/one", b"x" * 100, number)
    await rogue.flush()


async def never_releases(rogue: Rogue) -> None:
    """QoS 2 publishes up to the broker's limit and beyond, without a PUBREL."""
    await rogue.connect()
    for number in range(rogue.does.size * 5):
        rogue.send(Publish.create("rogue/open", b"x", 2, packet_id=number % 65_535 + 1))
    await rogue.flush()


async def takes_over(rogue: Rogue) -> None:
    """One client identifier, many connections."""
    others = [Rogue(rogue.port, rogue.does) for _ in range(min(rogue.does.size, 30))]
    try:
        for other in others:
            await other.connect()
            other.send(Subscribe(1, [SubscribeFilter("rogue/#", 1)]))
        await rogue.connect()
        await rogue.flush()
    finally:
        for other in others:
            other.close()


async def leaves_wills(rogue: Rogue) -> None:
    """Wills that fire at once and make others busy."""
    for number in range(min(rogue.does.size, 20)):
        will = Will(f"rogue/will/{number}", b"w" * 1000, rogue.does.qos, number % 2 == 0)
        await rogue.connect(will=will)
        await rogue.flush()
        rogue.close()


async def floods_retained(rogue: Rogue) -> None:
    """Retained messages on many topics, asked for again and again."""
    await rogue.connect()
    for number in range(rogue.does.size * 2):
        rogue.publish(f"rogue/kept/{number}", b"x" * 100, number, retain=True)
    for number in range(5):
        rogue.send(Subscribe(number + 1, [SubscribeFilter("rogue/kept/#", rogue.does.qos)]))
    for number in range(rogue.does.size * 2):
        rogue.publish(f"rogue/kept/{number}", b"", number, retain=True)
    await rogue.flush()


async def plays_dead(rogue: Rogue) -> None:
    """A keep-alive of a second, and silence; or nothing but pings."""
    await rogue.connect(keep_alive=1)
    if rogue.does.clean:
        rogue.send(encode(PingReq(), V5) * rogue.does.size * 20)
    await rogue.flush()


async def keeps_half_a_packet(rogue: Rogue) -> None:
    """The beginning of a packet of many megabytes, one byte after the other."""
    await rogue.connect()
    rogue.send(b"\x30\xff\xff\xff\x07" if rogue.does.clean else b"\x30\xff\xff\x3f")
    for _ in range(min(rogue.does.size, 50)):
        rogue.send(b"\x00")
        await rogue.flush()


async def does_not_introduce_itself(rogue: Rogue) -> None:
    """No CONNECT: nothing at all, half of one, or something else."""
    await rogue.open()
    whole = encode(Connect(rogue.id, rogue.version), rogue.version)
    rogue.send(
        (b"", whole[: rogue.does.size % 12], encode(PingReq(), V5), b"GET / HTTP/1.1\r\n\r\n")[rogue.does.who % 4]
    )
    await rogue.flush()


async def connects_twice(rogue: Rogue) -> None:
    """A second CONNECT on the same connection."""
    await rogue.connect()
    rogue.send(Connect(rogue.id, rogue.version))
    await rogue.flush()


async def shares_and_leaves(rogue: Rogue) -> None:
    """In and out of a group that has messages, without an acknowledgement."""
    for _ in range(min(rogue.does.size, 20)):
        await rogue.connect()
        rogue.send(Subscribe(1, [SubscribeFilter("$share/rogues/rogue/#", rogue.does.qos)]))
        for number in range(10):
            rogue.publish("rogue/shared", b"x" * 200, number)
        await rogue.flush()
        rogue.close()


BEHAVIOURS: dict[str, Callable[[Rogue], Awaitable[None]]] = {
    behaviour.__name__: behaviour
    for behaviour in (
        never_reads,
        subscribes_without_end,
        says_much,
        plays_with_aliases,
        takes_one_at_a_time,
        never_releases,
        takes_over,
        leaves_wills,
        floods_retained,
        plays_dead,
        keeps_half_a_packet,
        does_not_introduce_itself,
        connects_twice,
        shares_and_leaves,
    )
}
