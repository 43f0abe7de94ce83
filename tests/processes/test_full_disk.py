"""A file system that is really full, where one may be mounted: a broker with its data on a small tmpfs."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mombroker.mqtt import V5, V311, Connect, Publish

from ..broker.client import TIMEOUT, Client, properties

PAYLOAD = bytes(20_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with a file system of its own, of a few MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(place)], capture_output=True, timeout=20
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a tmpfs can only be mounted by root on Linux: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=20)


@contextlib.asynccontextmanager
async def keeper_of(port: int):
    """The client whose session keeps everything."""
    async with await Client.open(port) as client:
        await client.connect("keeper", clean_start=False, session_expiry=1000)
        yield client


async def fill(publisher: Client, first: int) -> list[int]:
    """Publish until one is refused; the numbers that were acknowledged."""
    accepted: list[int] = []
    for number in range(first, first + 2000):
        reason = await publisher.publish("t", b"%d " % number + PAYLOAD, 1 + number % 2)
        if reason:
            assert reason == 0x97
            return accepted
        accepted.append(number)
    raise AssertionError("the disk never was full")


async def drained(client: Client, count: int) -> list[int]:
    """The numbers of the next messages."""
    return [int(payload.split(b" ")[0]) for payload in await client.messages(count)]


async def test_a_full_disk_refuses_loses_nothing_and_heals(new_server, small_disk):
    server = new_server(place=small_disk).start()
    async with keeper_of(server.port) as keeper:
        await keeper.subscribe("t", qos=2)
    async with (
        await Client.connected(server.port) as publisher,
        await Client.connected(server.port, "three", V311) as three,
    ):
        accepted = await fill(publisher, 0)
        assert len(accepted) > 20
        server.wait_for("the store is full: publishes are refused until there is room", level="error")
        three.send(Publish.create("t", b"7777 " + PAYLOAD, 1, packet_id=1))
        await three.ping()
        # Consumers go on, which makes room inside the file.
        async with keeper_of(server.port) as keeper:
            assert await drained(keeper, len(accepted)) == accepted
            await keeper.ping()
        async with asyncio.timeout(TIMEOUT):
            while await publisher.publish("t", b"5000 " + PAYLOAD, 1):
                pass
        server.wait_for("the store has room again: publishes are accepted")
        accepted = [5000, *await fill(publisher, 6000)]
    # A broker that is killed on a full disk starts on a full disk.
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    async with keeper_of(server.port) as keeper:
        assert await drained(keeper, len(accepted)) == accepted
        await keeper.ping()


async def test_room_that_others_make_on_the_disk_heals_it_too(new_server, small_disk):
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 4 << 20)
    server = new_server(place=small_disk).start()
    async with keeper_of(server.port) as keeper:
        await keeper.subscribe("t", qos=2)
    async with await Client.connected(server.port) as publisher:
        accepted = await fill(publisher, 0)
        ballast.unlink()
        async with asyncio.timeout(TIMEOUT):
            while await publisher.publish("t", b"5000 " + PAYLOAD, 1):
                pass
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.to_thread(server.start)
    async with keeper_of(server.port) as keeper:
        assert await drained(keeper, len(accepted) + 1) == [*accepted, 5000]


async def test_a_broker_on_a_full_disk_can_be_stopped_in_order(new_server, small_disk):
    server = new_server(place=small_disk).start()
    async with keeper_of(server.port) as keeper:
        await keeper.subscribe("t", qos=2)
    publisher = await Client.connected(server.port)
    accepted = await fill(publisher, 0)
    # Everything that is left is taken by others, so that not even a small record fits.
    with (small_disk / "ballast").open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    for number in range(100):
        publisher.send(Publish.create("t", PAYLOAD, 1, packet_id=1000 + number))
    late = await Client.open(server.port)
    late.send(Connect("late", V5, False, properties=properties(session_expiry=1000)))
    assert await asyncio.to_thread(server.stop) == 0
    publisher.close()
    late.close()
    (small_disk / "ballast").unlink()
    await asyncio.to_thread(server.start)
    async with keeper_of(server.port) as keeper:
        assert await drained(keeper, len(accepted)) == accepted
