"""MQTT over TCP: a protocol object per connection that passes bytes to the runtime and back."""

import asyncio
import socket
from typing import Any, cast

from mombroker.core import Connection, Transport
from mombroker.wiring.runtime import Runtime
from mombroker.wiring.settings_address import Address

HIGH_WATER = 256 * 1024
LINGER_SECONDS = 1.0


class TcpTransport(Transport):
    """A connection's bytes out, over an asyncio transport.

    Closing lingers: what was written is sent, the writing side is shut down, and what the client still sends is
    read and dropped for a moment; a socket closed with unread bytes in it would be reset, and the reason code lost.
    ``closing``, from then on or once the client has gone: nothing is written and nothing taken any more.
    """

    __slots__ = ("_transport", "closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport: asyncio.Transport = transport
        self.closing: bool = False

    def write(self, data: bytes) -> None:
        """Send bytes, in order."""
        # An event loop's transport that has failed drops what is written until it tells so, with connection_lost.
        if not self.closing:
            self._transport.write(data)

    def buffered(self) -> int:
        """Bytes that the operating system has not taken yet."""
        return self._transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        """Deliver no more bytes for now."""
        if not self.closing and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver bytes again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close lingeringly."""
        if self.closing or self._transport.is_closing():
            return
        self.closing = True
        self._transport.resume_reading()
        try:
            self._transport.write_eof()
        except OSError:
            # The client has reset the connection, and the event loop has not told so yet.
            self.abort()
        else:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if not self._transport.is_closing():
            self._transport.abort()


class TcpProtocol:
    """What asyncio calls for one connection: an ``asyncio.Protocol``, without that base, which has nothing in it and
    would keep mypyc from compiling the class."""

    __slots__ = ("_runtime", "_listener", "_name", "_connection", "_transport")

    def __init__(self, runtime: Runtime, listener: "TcpListener", name: str) -> None:
        self._runtime: Runtime = runtime
        self._listener: TcpListener = listener
        self._name: str = name
        self._connection: Connection | None = None
        self._transport: TcpTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        tcp = cast(asyncio.Transport, transport)
        tcp.set_write_buffer_limits(high=HIGH_WATER)
        _send_without_delay(tcp.get_extra_info("socket"))
        peer: Any = tcp.get_extra_info("peername") or ("", 0)
        if self._listener.stopped:
            # It was accepted just before.
            tcp.abort()
            return
        self._transport = TcpTransport(tcp)
        self._connection = self._runtime.open_connection(self._transport, str(peer[0]), int(peer[1]), self._name)
        self._listener.opened(self._transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived; those after the close are dropped."""
        connection = self._connection
        transport = self._transport
        if connection is not None and transport is not None and not transport.closing:
            self._runtime.feed(connection, data)

    def eof_received(self) -> bool:
        """The client will send no more: for MQTT that is the end of the connection."""
        if self._transport is not None:
            self._transport.closing = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._connection is not None and self._transport is not None:
            self._transport.closing = True
            self._runtime.connection_lost(self._connection)
            self._listener.closed(self._transport)
            self._connection = None
            self._transport = None

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to."""
        if self._connection is not None:
            self._runtime.congestion(self._connection, True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._connection is not None:
            self._runtime.congestion(self._connection, False)


def _send_without_delay(sock: socket.socket | None) -> None:
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class TcpListener:
    """One listening address. ``port`` is the real one, also when 0 was asked for."""

    def __init__(self, runtime: Runtime, address: Address) -> None:
        self._runtime: Runtime = runtime
        self._address: Address = address
        self._server: asyncio.Server | None = None
        self._open: set[TcpTransport] = set()
        self._all_closed: asyncio.Future[None] | None = None
        self.port: int = address.port
        self.stopped: bool = False

    @property
    def address(self) -> str:
        """HOST:PORT as it is listened on."""
        return str(Address(self._address.host, self.port))

    async def start(self) -> None:
        """Begin to listen. Raises OSError, e.g. when the port is taken."""
        loop = asyncio.get_running_loop()
        name = str(self._address)
        self._server = await loop.create_server(
            lambda: cast(asyncio.Protocol, TcpProtocol(self._runtime, self, name)),
            self._address.host,
            self._address.port,
            backlog=1024,
            reuse_address=True,
        )
        # A tuple with asyncio, a list with uvloop, which compiled code would not take for one.
        self.port = cast(Any, self._server).sockets[0].getsockname()[1]

    def stop_accepting(self) -> None:
        """Accept no new connection; those that are open go on."""
        self.stopped = True
        if self._server is not None:
            self._server.close()

    async def wait_closed(self) -> None:
        """Close what the broker has not closed by itself, as when its store has failed, and wait until every
        connection is gone: LINGER_SECONDS at most."""
        for transport in list(self._open):
            transport.close()
        if self._open:
            self._all_closed = asyncio.get_running_loop().create_future()
            await self._all_closed

    def opened(self, transport: TcpTransport) -> None:
        """A connection has been opened."""
        self._open.add(transport)

    def closed(self, transport: TcpTransport) -> None:
        """A connection has been closed."""
        self._open.discard(transport)
        if not self._open and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)
