"""A store without room, over real sockets: refused honestly, and accepted again as soon as there is room."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from mombroker.broker import Broker
from mombroker.mqtt import V311, Ack, Publish
from mombroker.mqtt.packet_types import PUBACK
from mombroker.wiring.settings import load_settings

from .client import TIMEOUT, Client

PAYLOAD = 20_000


@pytest.fixture
async def full(start, tmp_path):
    """A broker whose store has room for a few MiB."""
    return await start(
        storage__durability="fsync", storage__url=f"lmdb:{tmp_path / 'data'}?map_size=1MiB&max_map_size=6MiB"
    )


async def fill(publisher: Client, first: int = 0) -> list[int]:
    """Publish until one is refused; the numbers that were acknowledged."""
    accepted: list[int] = []
    for number in range(first, first + 2000):
        reason = await publisher.publish("t", b"%d " % number + bytes(PAYLOAD), 1 + number % 2)
        if reason:
            assert reason == 0x97
            return accepted
        accepted.append(number)
    raise AssertionError("the store never was full")


async def drained(reader: Client, count: int) -> list[int]:
    """The numbers of the next messages."""
    return [int(payload.split(b" ")[0]) for payload in await reader.messages(count)]


@contextlib.asynccontextmanager
async def keeper_of(port: int) -> AsyncIterator[Client]:
    """The client whose session keeps everything."""
    async with await Client.open(port) as client:
        await client.connect("keeper", clean_start=False, session_expiry=1000)
        yield client


async def test_a_full_store_refuses_keeps_what_it_acknowledged_and_heals(full):
    async with keeper_of(full.port) as keeper:
        await keeper.subscribe("t", qos=2)
    async with await Client.connected(full.port) as publisher:
        first = await fill(publisher)
        assert len(first) > 20
        assert await publisher.publish("t", bytes(PAYLOAD), 1) == 0x97
        assert await publisher.publish("t", bytes(PAYLOAD), 2) == 0x97
        async with keeper_of(full.port) as keeper:
            assert await drained(keeper, len(first)) == first
            await keeper.ping()
        async with asyncio.timeout(TIMEOUT):
            while await publisher.publish("t", b"%d " % 5000 + bytes(PAYLOAD), 1):
                pass
        second = await fill(publisher, 6000)
        assert len(second) > 20
        async with keeper_of(full.port) as keeper:
            assert await drained(keeper, len(second) + 1) == [5000, *second]
            await keeper.ping()


async def test_an_mqtt_3_client_gets_no_acknowledgement_and_may_send_again(full):
    async with keeper_of(full.port) as keeper:
        await keeper.subscribe("t", qos=2)
    async with (
        await Client.connected(full.port) as five,
        await Client.connected(full.port, "three", V311, clean_start=False) as three,
    ):
        accepted = await fill(five)
        payload = b"7777 " + bytes(PAYLOAD)
        three.send(Publish.create("t", payload, 1, packet_id=1))
        await three.ping()
        async with keeper_of(full.port) as keeper:
            assert await drained(keeper, len(accepted)) == accepted
            await keeper.ping()
        async with asyncio.timeout(TIMEOUT):
            while await five.publish("t", b"8888 " + bytes(PAYLOAD), 1):
                pass
        three.send(Publish.create("t", payload, 1, dup=True, packet_id=1))
        assert await three.expect(Ack) == Ack(PUBACK, 1)
        async with keeper_of(full.port) as keeper:
            assert await drained(keeper, 2) == [8888, 7777]


async def test_a_full_store_does_not_hold_up_what_needs_no_room(full):
    async with keeper_of(full.port) as keeper:
        await keeper.subscribe("t", qos=2)
    async with await Client.connected(full.port) as publisher, await Client.connected(full.port) as reader:
        await reader.subscribe("live")
        await fill(publisher)
        await publisher.publish("live", b"QoS 0", 0)
        assert (await reader.message()).payload() == b"QoS 0"
        assert await publisher.publish("nobody subscribes to this", b"", 1) in (0, 0x10)


async def test_what_was_acknowledged_before_the_store_was_full_is_there_after_a_restart(tmp_path):
    overrides = {
        "mqtt.listen": ["127.0.0.1:0"],
        "storage.url": f"lmdb:{tmp_path / 'data'}?map_size=1MiB&max_map_size=6MiB",
    }
    async with Broker(load_settings(overrides=overrides)) as broker:
        async with keeper_of(broker.port) as keeper:
            await keeper.subscribe("t", qos=2)
        async with await Client.connected(broker.port) as publisher:
            accepted = await fill(publisher)
    async with Broker(load_settings(overrides=overrides)) as broker, keeper_of(broker.port) as keeper:
        assert await drained(keeper, len(accepted)) == accepted
