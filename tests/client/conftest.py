"""Brokers inside the test's process, a model server behind a real socket, and clients that are closed afterwards."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

import mombroker
from mombroker.broker import Broker
from mombroker.client import Backoff, Mom
from mombroker.wiring.settings import load_settings

from .model_server import ModelServer, ServerSide

Start = Callable[..., Awaitable[Broker]]
Connected = Callable[..., Awaitable[Mom]]

SOON = Backoff(first=0.001, longest=0.01)


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
async def mom(broker: Broker) -> AsyncIterator[Mom]:
    """A client of ``broker``."""
    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as connected:
        yield connected


class Wire(asyncio.Protocol):
    """One connection of the model server. ``budget`` bytes more are passed on in a direction before it breaks."""

    def __init__(self, served: "ServedModel") -> None:
        self.served = served
        self.side = ServerSide(served.model)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.served.wires.append(self)
        if self.served.budgets:
            self.budget: int | None = self.served.budgets.pop(0)
        else:
            self.budget = None

    def data_received(self, data: bytes) -> None:
        if self.budget is not None:
            data = data[: self.budget]
            self.budget -= len(data)
        self.side.feed(data)
        self.flush()
        if self.budget == 0:
            self.transport.abort()

    def flush(self) -> None:
        """Send what the server's side has to say."""
        self.transport.write(self.side.take())
        if self.side.closed:
            self.transport.close()

    def cut(self) -> None:
        """Break the connection."""
        self.transport.abort()


class ServedModel:
    """The model server on a port of its own. ``budgets`` says how many bytes each next connection gets to send."""

    def __init__(self) -> None:
        self.model = ModelServer()
        self.wires: list[Wire] = []
        self.budgets: list[int] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def wire(self) -> Wire:
        """The latest connection."""
        return self.wires[-1]

    async def listen(self, port: int = 0) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Wire(self), "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Accept no more, and break those that are there."""
        self._server.close()
        for wire in self.wires:
            wire.cut()
        await self._server.wait_closed()


@pytest.fixture
async def served() -> AsyncIterator[ServedModel]:
    """A model server that can be looked into, cut off and made to refuse."""
    made = ServedModel()
    await made.listen()
    yield made
    await made.close()


@pytest.fixture
async def connected(served: ServedModel) -> AsyncIterator[Connected]:
    """Clients of the model server, which come back at once when they are cut off."""
    async with AsyncExitStack() as stack:

        async def connected(**options: object) -> Mom:
            options.setdefault("backoff", SOON)
            return await stack.enter_async_context(mombroker.connect(served.url, **options))

        yield connected
