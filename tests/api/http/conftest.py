"""HTTP on a fake native API: as an ASGI application in the test's own task, and on a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import structlog

from mombroker.api.http.server import HttpServer
from mombroker.api.tokens import Tokens
from mombroker.operations.problems import Problem
from mombroker.wiring.settings_keys import HttpSettings

from ..fake_native import FakeNative

Serve = Callable[..., Any]


@pytest.fixture
async def native() -> FakeNative:
    """The fake."""
    return FakeNative()


@pytest.fixture
def troubles() -> list[Problem]:
    """What the broker says of its state: the last one, or nothing."""
    return []


@pytest.fixture
async def serve(native: FakeNative, troubles: list[Problem]) -> AsyncIterator[Serve]:
    """Start servers on free ports; settings are given as keywords."""
    async with AsyncExitStack() as stack:

        async def serve(**given: Any) -> HttpServer:
            settings = HttpSettings(**{"listen": "127.0.0.1:0", **given})
            log = structlog.get_logger("test")
            tokens = Tokens(settings.token_lifetime, time.monotonic)
            server = HttpServer(native, settings, tokens, lambda: troubles[-1] if troubles else None, log)
            stack.push_async_callback(server.stop)
            await server.start()
            return server

        yield serve


@pytest.fixture
async def server(serve: Serve) -> HttpServer:
    """A server with the default settings."""
    started: HttpServer = await serve()
    return started


def client_of(server: HttpServer, **given: Any) -> httpx.AsyncClient:
    """A client of a server."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.ports[0]}", timeout=20.0, trust_env=False, verify=False, **given
    )


@pytest.fixture
async def http(server: HttpServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of ``server``, anonymous."""
    async with client_of(server) as client:
        yield client


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop go on until something holds; 20 seconds at most."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem that a response tells of, whose form is checked."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:mombroker:problem:{problem['code']}"
    assert problem["title"] and problem["detail"]
    return problem
