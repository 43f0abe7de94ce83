"""The three meanings of an acknowledgement, chosen in the settings and kept over a kill -9 or not."""

import asyncio

import pytest

from ..broker.client import Client
from .server import TIMEOUT, Server, mombroker


async def until_in_file(server: Server, text: bytes) -> None:
    """Wait until the store's file has this text in it, which nobody is told of."""
    async with asyncio.timeout(TIMEOUT):
        while text not in (server.data / "data.mdb").read_bytes():
            await asyncio.sleep(0.01)


async def test_with_interval_a_message_is_on_disk_when_the_interval_is_over(new_server):
    server = new_server("--durability", "interval", config="[storage]\ninterval_ms = 50\n").start()
    assert server.wait_for("mombroker is ready")["durability"] == "interval"
    async with await Client.connected(server.port, "keeper", session_expiry=1000) as keeper:
        await keeper.subscribe("t", qos=1)
    async with await Client.connected(server.port) as publisher:
        assert await publisher.publish("t", b"acknowledged early", 1) == 0
        await until_in_file(server, b"acknowledged early")
        # Units are written one after the other: when the next one shows, this one is finished.
        assert await publisher.publish("t", b"the next one", 1) == 0
        await until_in_file(server, b"the next one")
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    async with await Client.open(server.port) as keeper:
        assert (await keeper.connect("keeper", clean_start=False, session_expiry=1000)).session_present
        assert await keeper.messages(1) == [b"acknowledged early"]


async def test_with_interval_an_orderly_stop_loses_nothing(new_server):
    server = new_server("--durability", "interval", config="[storage]\ninterval_ms = 60000\n").start()
    async with await Client.connected(server.port, "keeper", session_expiry=1000) as keeper:
        await keeper.subscribe("t", qos=2)
    async with await Client.connected(server.port) as publisher:
        assert await publisher.publish("t", b"one", 1) == 0
        assert await publisher.publish("t", b"two", 2) == 0
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.to_thread(server.start)
    async with await Client.open(server.port) as keeper:
        assert (await keeper.connect("keeper", clean_start=False, session_expiry=1000)).session_present
        assert await keeper.messages(2) == [b"one", b"two"]


async def test_with_interval_an_acknowledgement_does_not_wait_for_the_disk(new_server):
    server = new_server("--durability", "interval", config="[storage]\ninterval_ms = 60000\n").start()
    async with await Client.connected(server.port, "keeper", session_expiry=1000) as keeper:
        await keeper.subscribe("t", qos=2)
        for qos in (1, 2):
            async with asyncio.timeout(10):
                async with await Client.connected(server.port) as publisher:
                    assert await publisher.publish("t", b"x", qos) == 0
                await keeper.message()


async def test_in_memory_sessions_outlive_connections_and_not_the_broker(new_server):
    server = new_server("--durability", "memory").start()
    assert "nothing is kept" in server.wait_for("mombroker is ready")["store"]
    for qos in (1, 2):
        async with await Client.connected(server.port, "keeper", session_expiry=1000) as keeper:
            await keeper.subscribe("t", qos=2)
        async with await Client.connected(server.port) as publisher:
            assert await publisher.publish("t", b"kept", qos) == 0
        async with await Client.open(server.port) as keeper:
            assert (await keeper.connect("keeper", clean_start=False, session_expiry=1000)).session_present
            assert await keeper.messages(1) == [b"kept"]
    assert await asyncio.to_thread(server.stop) == 0
    assert not server.data.exists()
    await asyncio.to_thread(server.start)
    async with await Client.open(server.port) as keeper:
        assert not (await keeper.connect("keeper", clean_start=False)).session_present


def test_users_cannot_be_added_where_nothing_is_kept(tmp_path):
    (tmp_path / "b.toml").write_text('[storage]\ndurability = "memory"\n')
    done = mombroker("user", "add", "x", "--password-stdin", "--config", "b.toml", cwd=tmp_path, given="secret\n")
    assert done.returncode == 2
    assert "nothing is kept" in done.stderr


FAILING = '''
"""A store that works until a message with the topic "fail" is to be written."""

from concurrent.futures import Future

from mombroker.hooks import hookimpl
from mombroker.model.errors import StoreError
from mombroker_storage import MemoryStore


class FailingStore(MemoryStore):
    def commit(self, unit):
        written = [record for segments in unit.segments.values() for one in segments for record in one.records]
        if any(b"fail" in record for record in written):
            future = Future()
            future.set_exception(StoreError("the disk is on fire"))
            return future
        return super().commit(unit)


class Plugin:
    def __init__(self, context):
        pass

    @hookimpl
    def mombroker_open_store(self, url, exclusive):
        return FailingStore() if url == "failing:" else None
'''


@pytest.fixture
def failing_store(tmp_path):
    """A directory to be put on the import path, with the plugin ``failing``."""
    (tmp_path / "failing_store.py").write_text(FAILING)
    info = tmp_path / "failing_store-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing-store\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mombroker]\nfailing = failing_store:Plugin\n")
    return str(tmp_path)


async def test_a_store_that_fails_ends_the_broker_and_nothing_is_acknowledged(new_server, failing_store):
    config = '[storage]\nurl = "failing:"\n[plugins.failing]\n'
    server = new_server(config=config, env={"PYTHONPATH": failing_store}).start()
    assert "failing" in server.wait_for("mombroker is ready")["plugins"]
    async with await Client.connected(server.port, "keeper", session_expiry=1000) as keeper:
        await keeper.subscribe("#", qos=1)
    publisher = await Client.connected(server.port)
    assert await publisher.publish("fine", b"", 1) == 0
    with pytest.raises((EOFError, ConnectionError)):
        await publisher.publish("fail", b"", 1)
    publisher.close()
    assert await asyncio.to_thread(server.wait) == 1
    assert "the disk is on fire" in server.wait_for("the store has failed; nothing more is acknowledged")["error"]
