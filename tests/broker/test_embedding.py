"""A broker inside another program: ``async with Broker(...)``."""

import asyncio
import contextlib
import errno
import gc
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from mombroker.broker import Broker
from mombroker.hooks import ClientConnected, ConnectRequest, Event, hookimpl
from mombroker.model.errors import ConfigurationError, MombrokerError, PluginError, StoreLocked
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import NOT_AUTHORIZED
from mombroker.mqtt import V5, Connect, Disconnect, encode
from mombroker.wiring.settings import load_settings

from .client import TIMEOUT, Client

LOOPS = ["asyncio", "uvloop"]


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """A runner with asyncio's own event loop, or uvloop's."""
    if request.param == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        made = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    else:
        made = asyncio.Runner()
    with made:
        yield made


@pytest.mark.parametrize("runner", LOOPS, indirect=True)
@pytest.mark.parametrize("durability", ["memory", "interval", "fsync"])
def test_a_message_goes_through_an_embedded_broker_on_any_event_loop(runner, durability, tmp_path):
    async def go() -> None:
        async with Broker(listen=["127.0.0.1:0"], data=str(tmp_path / "d"), durability=durability) as broker:
            async with await Client.connected(broker.port) as client:
                await client.subscribe("a/#", qos=2)
                for qos in (0, 1, 2):
                    async with await Client.connected(broker.port) as publisher:
                        assert await publisher.publish("a/b", b"%d" % qos, qos) == 0
                        assert (await client.message()).payload() == b"%d" % qos

    runner.run(asyncio.wait_for(go(), TIMEOUT))


async def test_brokers_in_one_process_know_nothing_of_each_other(start):
    first, second = await start(), await start()
    assert first.port != second.port
    async with await Client.connected(first.port, "same") as one, await Client.connected(second.port, "same") as two:
        await one.subscribe("t")
        await two.subscribe("t")
        await one.publish("t", b"for the first")
        await two.publish("t", b"for the second")
        assert (await one.message()).payload() == b"for the first"
        assert (await two.message()).payload() == b"for the second"


async def test_a_broker_listens_on_every_address_it_was_given(start):
    broker = await start(mqtt__listen=["127.0.0.1:0", "127.0.0.2:0"])
    assert len(set(broker.ports)) == len(broker.ports) == 2
    assert broker.port == broker.ports[0]
    for host, port in zip(["127.0.0.1", "127.0.0.2"], broker.ports, strict=True):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await writer.wait_closed()


async def test_what_an_embedded_broker_acknowledged_is_there_when_it_is_started_again(tmp_path):
    for _ in range(2):
        async with Broker(listen=["127.0.0.1:0"], data=str(tmp_path)) as broker:
            client = await Client.open(broker.port)
            connack = await client.connect("a", clean_start=False, session_expiry=1000)
            if connack.session_present:
                assert await client.messages(2) == [b"one", b"two"]
                client.close()
                return
            await client.subscribe("t", qos=1)
            client.close()
            async with await Client.connected(broker.port) as publisher:
                await publisher.publish("t", b"one", 1)
                await publisher.publish("t", b"two", 2)
    raise AssertionError("the session was not kept")


class Doorman:
    """Lets nobody in who is called mallory, and sees who comes."""

    def __init__(self) -> None:
        self.came: list[str] = []

    @hookimpl
    async def mombroker_authenticate(self, request: ConnectRequest) -> Identity | Refusal:
        if request.client_id == "mallory":
            return Refusal(NOT_AUTHORIZED, "not you")
        return Identity(request.client_id, None, frozenset(), request.address)

    @hookimpl
    def mombroker_event(self, event: Event) -> None:
        if isinstance(event, ClientConnected):
            self.came.append(event.identity.client_id)


async def test_an_object_with_hooks_is_a_plugin(start):
    doorman = Doorman()
    broker = await start(plugins=(doorman,))
    async with await Client.open(broker.port) as mallory:
        assert (await mallory.connect("mallory")).reason == NOT_AUTHORIZED
    async with await Client.connected(broker.port, "alice"):
        assert doorman.came == ["alice"]


async def test_a_broker_that_stops_tells_its_clients_and_lets_go_of_the_port(tmp_path):
    # On an address that nobody else listens on, the port stays free.
    host = "127.0.0.3"
    async with Broker(listen=[f"{host}:0"], durability="memory") as broker:
        port = broker.port
        five, four = await Client.connected(port, host=host), await Client.connected(port, "v4", 4, host=host)
    assert (await five.expect(Disconnect)).reason == 0x8B
    await five.expect_eof()
    await four.expect_eof()
    five.close()
    four.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


def _open_descriptors() -> set[str]:
    gc.collect()
    links = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            links.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue
    return links


class Broken:
    """Fails to start."""

    @hookimpl
    async def mombroker_startup(self) -> None:
        raise RuntimeError("no luck")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
async def test_a_start_that_fails_leaves_nothing_open(tmp_path):
    # On an address that nobody else listens on, the port stays free.
    taken = socket.create_server(("127.0.0.4", 0))
    address = f"127.0.0.4:{taken.getsockname()[1]}"
    async with Broker(listen=["127.0.0.1:0"], data=str(tmp_path / "owned")):
        before = _open_descriptors()
        tasks = asyncio.all_tasks()
        failures = [
            (OSError, {"listen": ["127.0.0.1:0", address]}, ()),
            (PluginError, {"listen": ["127.0.0.1:0"]}, (Broken(),)),
            (ConfigurationError, {"listen": ["0.0.0.0:0"]}, ()),
            (StoreLocked, {"listen": ["127.0.0.1:0"], "data": str(tmp_path / "owned")}, ()),
        ]
        for error, given, plugins in failures:
            with pytest.raises(error):
                async with Broker(**{"data": str(tmp_path / "data"), **given}, plugins=plugins):
                    raise AssertionError("it has started")
            assert _open_descriptors() == before, error
            assert asyncio.all_tasks() == tasks, error
    taken.close()
    async with Broker(listen=[address], data=str(tmp_path / "data")) as broker:
        assert broker.port == int(address.rpartition(":")[2])


async def test_a_taken_port_is_told_as_such():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError) as caught:
            async with Broker(listen=[f"127.0.0.1:{taken.getsockname()[1]}"], durability="memory"):
                raise AssertionError("it has started")
    assert caught.value.errno == errno.EADDRINUSE


async def test_a_broker_that_does_not_run_has_no_failure_to_wait_for():
    with pytest.raises(MombrokerError, match="async with"):
        _ = Broker(durability="memory").failure


async def test_limits_can_be_changed_while_the_broker_runs(start):
    broker = await start()
    settings = broker.settings
    async with await Client.connected(broker.port, "before") as before:
        broker.reload(load_settings(overrides={"mqtt.maximum_qos": 1, "mqtt.listen": settings.mqtt.listen}))
        async with await Client.open(broker.port) as after:
            connack = await after.connect("after")
            assert connack.properties is not None
            assert connack.properties.maximum_qos == 1
        await before.ping()


# Not on asyncio's own loop, which can lose a connection that it has accepted when its server closes.
@pytest.mark.parametrize("runner", ["uvloop"], indirect=True)
@pytest.mark.parametrize("steps", range(6))
def test_a_client_that_comes_while_the_broker_stops_does_not_keep_it(runner, steps):
    async def go() -> None:
        async with Broker(listen=["127.0.0.1:0"], durability="memory") as broker:
            late = socket.create_connection(("127.0.0.1", broker.port))
            late.sendall(encode(Connect("late", V5), V5))
            for _ in range(steps):
                await asyncio.sleep(0)
        # It is closed, in order or by a reset, whether it was let in before or not.
        late.setblocking(False)
        with late, contextlib.suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(late, 4096):
                pass

    runner.run(asyncio.wait_for(go(), TIMEOUT))


@pytest.mark.parametrize("runner", LOOPS, indirect=True)
def test_a_client_that_has_just_reset_its_connection_does_not_disturb_the_stop(runner):
    async def go() -> None:
        async with Broker(listen=["127.0.0.1:0"], durability="memory") as broker:
            async with await Client.connected(broker.port) as client:
                client.writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            await asyncio.sleep(0)

    runner.run(asyncio.wait_for(go(), TIMEOUT))
