"""Overload: a client that does not read costs its own messages, nobody else's time, and bounded memory."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from mombroker.broker import Broker
from mombroker.hooks import Event, MessageDropped, hookimpl
from mombroker.mqtt import V5, Publish, encode

from .client import TIMEOUT, Client

MIB = 1 << 20


@contextlib.asynccontextmanager
async def stalled(broker: Broker, *filters: str, qos: int = 0, **given: object) -> AsyncIterator[Client]:
    """A client that subscribes and then reads nothing."""
    sock = socket.socket()
    # Small, so that the broker notices soon.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", broker.port))
    client = Client(*await asyncio.open_connection(sock=sock), V5)
    async with client:
        connack = await client.connect(**given)  # type: ignore[arg-type]
        assert connack.reason == 0
        await client.subscribe(*filters, qos=qos)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        yield client


async def overtakers(broker: Broker, publisher: Client, reader: Client, count: int) -> list[int]:
    """How many messages the broker takes from others while each of so many goes from one client to the other.

    That is its latency in terms of work, which a busy machine does not change.
    """
    assert broker._runtime is not None
    statistics = broker._runtime.engine.statistics
    took = []
    for _ in range(count):
        before = statistics.publishes_received
        publisher.send(Publish.create("quick", b"x", 0))
        await reader.message()
        took.append(statistics.publishes_received - before)
    return took


async def flood(publisher: Client, count: int, size: int, qos: int = 0) -> None:
    """Publish so many messages to ``flood`` as fast as the broker takes them."""
    for number in range(count):
        publisher.send(Publish.create("flood", bytes(size), qos, packet_id=number + 1 if qos else 0))
        await publisher.writer.drain()


class Drops:
    """Counts what was dropped, and why."""

    def __init__(self) -> None:
        self.causes: dict[str, int] = {}

    @hookimpl
    def mombroker_event(self, event: Event) -> None:
        if isinstance(event, MessageDropped):
            self.causes[event.cause] = self.causes.get(event.cause, 0) + event.count


async def test_a_stalled_reader_delays_nobody_else_and_loses_its_own_qos_0(start):
    drops = Drops()
    broker = await start(plugins=(drops,), mqtt__max_out_buffer=MIB, mqtt__sys_interval=1)
    async with (
        stalled(broker, "flood"),
        await Client.connected(broker.port) as flooder,
        await Client.connected(broker.port) as publisher,
        await Client.connected(broker.port) as reader,
        await Client.connected(broker.port) as watcher,
    ):
        await reader.subscribe("quick")
        flooding = asyncio.create_task(flood(flooder, 5000, 10_000))
        took = await overtakers(broker, publisher, reader, 200)
        async with asyncio.timeout(TIMEOUT):
            await flooding
            await flooder.ping()
        # No message waits until the flood is over, or until the stalled reader has been given up.
        assert max(took) < 1000
        # 50 MB were sent to it: all but the sockets' buffers and one MiB was dropped, and each drop counted.
        await watcher.subscribe("$SYS/broker/publish/messages/dropped")
        while int((await watcher.message()).payload()) < 4000:
            pass
        assert 4000 < drops.causes["slow-reader"] < 5000
        assert largest_backlog(broker) < 2 * MIB


def largest_backlog(broker: Broker) -> int:
    """Bytes that wait for the slowest client."""
    assert broker._runtime is not None
    connections = broker._runtime.engine.connections
    return max(connection.transport.buffered() + connection.out_bytes for connection in connections)


async def test_qos_1_for_a_stalled_reader_waits_in_its_queue_and_not_in_memory(start, tmp_path):
    broker = await start(
        mqtt__max_out_buffer=MIB, storage__durability="fsync", storage__data=str(tmp_path), mqtt__max_inflight=65_535
    )
    async with (
        stalled(broker, "flood", qos=1, client_id="stalled", session_expiry=100) as reader,
        await Client.connected(broker.port) as flooder,
    ):
        for number in range(2000):
            assert await flooder.publish("flood", b"%d " % number + bytes(10_000), 1) == 0
        assert largest_backlog(broker) < 3 * MIB
        reader.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [int(payload.split(b" ")[0]) for payload in await reader.messages(2000)] == list(range(2000))


async def test_a_publisher_that_is_too_fast_for_a_reader_is_slowed_down_and_nothing_is_lost(start):
    drops = Drops()
    broker = await start(plugins=(drops,), mqtt__max_out_buffer=4 * MIB)
    async with await Client.connected(broker.port) as reader, await Client.connected(broker.port) as flooder:
        await reader.subscribe("flood")
        flooding = asyncio.create_task(flood(flooder, 3000, 10_000))
        async with asyncio.timeout(TIMEOUT):
            for _ in range(3000):
                await reader.message()
            await flooding
    assert drops.causes == {}


async def test_publishers_faster_than_the_disk_are_held_back_and_all_is_kept(start, tmp_path):
    broker = await start(mqtt__max_unit_bytes=65_536, storage__durability="fsync", storage__data=str(tmp_path))
    async with await Client.connected(broker.port, "keeper", session_expiry=100) as keeper:
        await keeper.subscribe("flood", qos=1)
    async with await Client.connected(broker.port) as flooder:
        frames = [encode(Publish.create("flood", b"%d" % n + bytes(2000), 1, packet_id=n), V5) for n in range(1, 3001)]
        flooder.writer.write(b"".join(frames))
        acknowledged = [(await flooder.receive()).packet_id for _ in range(3000)]  # type: ignore[attr-defined]
        assert acknowledged == list(range(1, 3001))
    async with await Client.open(broker.port) as keeper:
        await keeper.connect("keeper", clean_start=False, session_expiry=100)
        got = await keeper.messages(3000)
        assert [int(payload.rstrip(b"\0")) for payload in got] == list(range(1, 3001))
