"""Brokers inside the test's own process, and clients that are closed when the test is over."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from mombroker.broker import Broker
from mombroker.wiring.settings import load_settings

from .client import Client

Start = Callable[..., Awaitable[Broker]]
Connected = Callable[..., Awaitable[Client]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start brokers in memory on a free port; settings are given as ``mqtt__maximum_qos=1``."""
    async with AsyncExitStack() as stack:

        async def start(plugins: tuple[object, ...] = (), **given: object) -> Broker:
            overrides: dict[str, object] = {
                "mqtt.listen": ["127.0.0.1:0"],
                "http.listen": "off",
                "storage.durability": "memory",
            }
            overrides |= {name.replace("__", ".", 1): value for name, value in given.items()}
            return await stack.enter_async_context(Broker(load_settings(overrides=overrides), plugins=plugins))

        yield start


@pytest.fixture
async def broker(start: Start) -> Broker:
    """A broker in memory with the default settings."""
    return await start()


@pytest.fixture
async def connected(broker: Broker) -> AsyncIterator[Connected]:
    """Clients that ``broker`` has let in."""
    async with AsyncExitStack() as stack:

        async def connected(*arguments: object, **given: object) -> Client:
            return await stack.enter_async_context(await Client.connected(broker.port, *arguments, **given))  # type: ignore[arg-type]

        yield connected
