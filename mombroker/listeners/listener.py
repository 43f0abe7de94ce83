"""One address that MQTT is served on, whatever the transport."""

import asyncio
import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable
from typing import Any, Final, cast

from mombroker.listeners.connections import Connections
from mombroker.listeners.proxied import ProxiedServer
from mombroker.listeners.tcp import TcpProtocol
from mombroker.wiring.runtime import Runtime
from mombroker.wiring.service_manager import inherited_sockets
from mombroker.wiring.settings_address import WEB_SOCKETS, Address
from mombroker.wiring.settings_keys import MqttSettings

MQTT_ALPN: Final = ("mqtt",)
WEB_SOCKET_ALPN: Final = ("http/1.1",)
BACKLOG: Final = 1024


class Listener:
    """One listening address. ``port`` is the real one, also when 0 was asked for; 0 for a Unix socket."""

    def __init__(
        self, runtime: Runtime, address: Address, settings: MqttSettings, tls: ssl.SSLContext | None, log: Any
    ) -> None:
        """``tls`` is there for encrypted addresses, and only for them."""
        self._runtime = runtime
        self._address = address
        self._settings = settings
        self._tls = tls
        self._log = log
        self._servers: list[asyncio.Server | ProxiedServer] = []
        self._connections = Connections()
        self.port = address.port

    @property
    def address(self) -> str:
        """The address as it is listened on."""
        return str(self._address.at(self.port))

    async def start(self) -> None:
        """Begin to listen. Raises OSError, e.g. when the port is taken, or ConfigurationError."""
        address = self._address
        if address.scheme == "unix":
            self._servers.append(await self._serve(_bound_to_file(address.path, int(self._settings.unix_mode, 8))))
            return
        sockets = inherited_sockets(address.socket) if address.socket else await _bound(address)
        for each in sockets:
            self.port = each.getsockname()[1] if each.family != socket.AF_UNIX else 0
            self._servers.append(await self._serve(each))

    async def _serve(self, bound: socket.socket) -> asyncio.Server | ProxiedServer:
        loop = asyncio.get_running_loop()
        settings, tls = self._settings, self._tls
        seconds = settings.connect_timeout
        if settings.proxies and bound.family != socket.AF_UNIX:
            bound.listen(BACKLOG)
            return ProxiedServer(bound, settings.balancers(), seconds, self._protocol(), tls, self._log)
        serve = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
        server: asyncio.Server = await serve(
            self._protocol(),
            sock=bound,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=None if tls is None else seconds,
        )
        return server

    def _protocol(self) -> Callable[..., asyncio.Protocol]:
        """What makes the protocol object of a connection, for a client at an address if one is given."""
        runtime, connections, address, settings = self._runtime, self._connections, self._address, self._settings
        name = str(address)
        if address.scheme not in WEB_SOCKETS:
            return lambda peer=None: cast(asyncio.Protocol, TcpProtocol(runtime, connections, name, peer))
        # Imported here: a broker without WebSockets does not load them.
        from mombroker.listeners.websocket import WebSocketProtocol

        return lambda peer=None: WebSocketProtocol(
            runtime,
            connections,
            name,
            address.path,
            settings.origins,
            settings.connect_timeout,
            settings.max_packet_size,
            peer,
        )

    def stop_accepting(self) -> None:
        """Accept no new connection; those that are open go on."""
        if self._connections.stopped:
            return
        self._connections.stopped = True
        for server in self._servers:
            server.close()
            if self._address.scheme == "unix":
                _remove(self._address.path)

    async def wait_closed(self) -> None:
        """Close what the broker has not closed by itself, as when its store has failed, and wait until every
        connection is gone: LINGER_SECONDS at most."""
        await self._connections.close()


async def _bound(address: Address) -> list[socket.socket]:
    """Sockets at every address that a host name has, all with the same port where one is given."""
    server = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, address.host, address.port, reuse_address=True, start_serving=False
    )
    sockets = [each.dup() for each in server.sockets]
    server.close()
    for each in sockets:
        each.setblocking(False)
    return sockets


def _bound_to_file(path: str, mode: int) -> socket.socket:
    """A Unix socket that from its first moment on only those can connect to who may."""
    _make_room(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        bound.bind(path)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on unix:{path} ({error.strerror or error})") from error
    finally:
        os.umask(before)
    return bound


def _make_room(path: str) -> None:
    """Remove the socket that a broker which was killed has left, and nothing else."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(errno.EEXIST, f"cannot listen on unix:{path}: there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            _remove(path)
        else:
            raise OSError(errno.EADDRINUSE, f"cannot listen on unix:{path}: another program does")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
