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
        self._server: asyncio.Server | ProxiedServer | None = None
        self._connections = Connections()
        self.port = address.port

    @property
    def address(self) -> str:
        """The address as it is listened on."""
        return str(self._address.at(self.port))

    async def start(self) -> None:
        """Begin to listen. Raises OSError, e.g. when the port is taken."""
        loop = asyncio.get_running_loop()
        address = self._address
        if address.scheme == "unix":
            self._server = await self._listen_on_file(loop, address.path)
            return
        direct = not self._settings.proxies
        server = await loop.create_server(
            self._protocol(),
            address.host,
            address.port,
            ssl=self._tls,
            backlog=BACKLOG,
            reuse_address=True,
            start_serving=direct,
        )
        self.port = server.sockets[0].getsockname()[1]
        self._server = server if direct else self._behind_balancers(server)

    def _behind_balancers(self, server: asyncio.Server) -> ProxiedServer:
        """Take over the sockets of a server that does not serve."""
        sockets = [each.dup() for each in server.sockets]
        server.close()
        for each in sockets:
            each.setblocking(False)
            each.listen(BACKLOG)
        networks, seconds = self._settings.balancers(), self._settings.connect_timeout
        return ProxiedServer(sockets, networks, seconds, self._protocol(), self._tls, self._log)

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

    async def _listen_on_file(self, loop: asyncio.AbstractEventLoop, path: str) -> asyncio.Server:
        """A Unix socket that from its first moment on only those can connect to who may."""
        _make_room(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            before = os.umask(0o777 & ~int(self._settings.unix_mode, 8))
            try:
                listening.bind(path)
            finally:
                os.umask(before)
            return await loop.create_unix_server(self._protocol(), sock=listening, backlog=BACKLOG)
        except OSError as error:
            listening.close()
            raise OSError(error.errno, f"cannot listen on unix:{path} ({error.strerror or error})") from error

    def stop_accepting(self) -> None:
        """Accept no new connection; those that are open go on."""
        if self._connections.stopped:
            return
        self._connections.stopped = True
        if self._server is not None:
            self._server.close()
            if self._address.scheme == "unix":
                _remove(self._address.path)

    async def wait_closed(self) -> None:
        """Close what the broker has not closed by itself, as when its store has failed, and wait until every
        connection is gone: LINGER_SECONDS at most."""
        await self._connections.close()


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
