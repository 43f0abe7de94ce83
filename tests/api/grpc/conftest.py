"""A gRPC server over the native API in memory, and clients of it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
import structlog

from mombroker.api.grpc.server import GrpcServer
from mombroker.api.tokens import Tokens
from mombroker.wiring.settings_address import Address

from .fake import FakeNative

MAX_MESSAGE = 100_000


@pytest.fixture
def native() -> FakeNative:
    """The native API."""
    return FakeNative()


@pytest.fixture
def tokens() -> Tokens:
    """The bearer tokens."""
    return Tokens(60.0, time.monotonic)


@pytest.fixture
async def server(native: FakeNative, tokens: Tokens) -> AsyncIterator[GrpcServer]:
    """A server on a free port."""
    server = GrpcServer(native, tokens, [Address("127.0.0.1", 0)], MAX_MESSAGE, structlog.get_logger())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def channel(server: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to it."""
    async with grpc.aio.insecure_channel(server.addresses[0]) as channel:
        yield channel


@pytest.fixture
async def connect(server: GrpcServer) -> AsyncIterator[Callable[..., grpc.aio.Channel]]:
    """Further connections, with options."""
    async with AsyncExitStack() as stack:
        opened: list[Any] = []

        def connect(**options: Any) -> grpc.aio.Channel:
            settings = [(f"grpc.{name}", value) for name, value in options.items()]
            opened.append(grpc.aio.insecure_channel(server.addresses[0], options=settings))
            return opened[-1]

        yield connect
        for channel in opened:
            await stack.enter_async_context(channel)
