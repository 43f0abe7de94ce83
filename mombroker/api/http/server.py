"""HTTP in the broker's own event loop: uvicorn's protocol on listeners of our own.

uvicorn's Server is for programs that are nothing but a server: it takes the signals, exits when a port is taken and
polls while it stops. Its protocol objects are all that is needed here.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from mombroker.api.http.app import App
from mombroker.api.http.context import Context, stopped
from mombroker.api.http.problem_documents import problem_document
from mombroker.api.http.uploads import Uploads
from mombroker.api.logins import Logins
from mombroker.api.native import NativeApi
from mombroker.api.tokens import Tokens
from mombroker.operations.problems import OVERLOADED, Problem
from mombroker.wiring.settings_address import Address
from mombroker.wiring.settings_keys import HttpSettings

STOP_SECONDS: Final = 2.0
"""How long running requests may take to end when the broker stops."""
TICK_SECONDS: Final = 1.0
KEEP_ALIVE_SECONDS: Final = 60
BACKLOG: Final = 1024
HTTP_ALPN: Final = ("http/1.1",)

_quiet = logging.getLogger("mombroker.http.protocol")
_quiet.setLevel(logging.CRITICAL)  # what clients do wrong they are told, and the log has better things to hold


class HttpServer:
    """All addresses that HTTP is served on. ``trouble`` tells why the broker could not do its work now, or None."""

    def __init__(
        self,
        native: NativeApi,
        settings: HttpSettings,
        tokens: Tokens,
        trouble: Callable[[], Problem | None],
        log: Any,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` has to be there if one of the addresses is encrypted."""
        self._settings = settings
        self._tls = tls
        self._stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._context = Context(
            native,
            settings,
            Logins(native, tokens, "http"),
            Uploads(settings.max_body, settings.read_timeout),
            self._stopping,
            lambda: stopped() if self._stopping.done() else trouble(),
            log,
        )
        # Without a log configuration of its own: the process's logging is not ours to change.
        self._config = uvicorn.Config(
            App(self._context),
            log_config=None,
            interface="asgi3",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._state = ServerState()
        self._connections = _Connections()
        self._state.connections = self._connections
        self._servers: list[tuple[Address, asyncio.Server]] = []
        self._ticking: asyncio.Task[None] | None = None
        self._idle_since: dict[Any, float] = {}

    @property
    def ports(self) -> list[int]:
        """The port of each address, also where 0 was asked for."""
        return [server.sockets[0].getsockname()[1] for _, server in self._servers]

    @property
    def addresses(self) -> list[str]:
        """HOST:PORT of each address as it is listened on."""
        return [str(address.at(port)) for (address, _), port in zip(self._servers, self.ports, strict=True)]

    async def start(self) -> None:
        """Begin to listen. Raises OSError, e.g. when a port is taken."""
        self._date()
        for address in self._settings.addresses():
            self._servers.append((address, await self._listen(address)))
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _listen(self, address: Address) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(
                self._protocol,
                address.host,
                address.port,
                ssl=self._tls if address.is_encrypted else None,
                backlog=BACKLOG,
                reuse_address=True,
            )
        except OSError as error:
            told = f"cannot serve HTTP on {address} ({error.strerror}): choose another address (http.listen), or off"
            raise OSError(error.errno, told) from error

    def _protocol(self) -> asyncio.Protocol:
        if self._stopping.done() or len(self._connections) >= self._settings.max_connections:
            return _TurnedAway()
        protocol: Any = self._config.http_protocol_class(  # type: ignore[call-arg]
            config=self._config, server_state=self._state, app_state={}
        )
        protocol.logger = _quiet
        protocol.access_log = False
        return protocol  # type: ignore[no-any-return]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._date()
            self._close_idle(time.monotonic())

    def _date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]

    def _close_idle(self, now: float) -> None:
        """Close connections on which no request runs and none has come for longer than it may take: those that never
        sent a whole one. (Those that have, and are idle, uvicorn closes itself.)"""
        idle = {connection for connection in self._connections if not _is_busy(connection)}
        self._idle_since = {connection: self._idle_since.get(connection, now) for connection in idle}
        longest = max(self._settings.read_timeout, KEEP_ALIVE_SECONDS)
        for connection, since in self._idle_since.items():
            if now - since > (longest if connection.cycle is not None else self._settings.read_timeout):
                connection.transport.abort()

    def stop_accepting(self) -> None:
        """Accept nobody any more; break off what waits, let what runs end."""
        for _, server in self._servers:
            server.close()
        if not self._stopping.done():
            self._stopping.set_result(None)
        for connection in list(self._connections):
            connection.shutdown()

    async def stop(self) -> None:
        """Stop, and wait until every request has ended: STOP_SECONDS at the most."""
        self.stop_accepting()
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        # What is on its way gets there, unless somebody reads too slowly to be waited for.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connections.all_closed(), STOP_SECONDS)
        for connection in list(self._connections):
            connection.transport.abort()
        await self._connections.all_closed()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait({self._ticking})


class _Connections(set[Any]):
    """uvicorn's set of open connections, which can be waited for."""

    _closed: "asyncio.Future[None] | None" = None

    def discard(self, connection: Any) -> None:
        """A connection is closed."""
        super().discard(connection)
        if not self and self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    async def all_closed(self) -> None:
        """Wait until no connection is open."""
        if self:
            self._closed = asyncio.get_running_loop().create_future()
            await self._closed


def _is_busy(connection: Any) -> bool:
    return connection.cycle is not None and not connection.cycle.response_complete


class _TurnedAway(asyncio.Protocol):
    """A connection too many."""

    _BODY: Final = problem_document(Problem(OVERLOADED, "there are as many connections as there may be; come back"))
    _RESPONSE: Final = (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so, and close."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._RESPONSE)
        transport.close()
