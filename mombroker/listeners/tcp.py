"""MQTT over a stream of bytes, which TCP, TLS and Unix sockets are: a protocol object per connection that passes bytes
to the runtime and back."""

import asyncio
import socket
from typing import Any, cast

from mombroker.core import Connection, Transport
from mombroker.listeners.connections import Connections
from mombroker.listeners.shown_certificate import shown_certificate
from mombroker.model.certificate import ClientCertificate
from mombroker.model.identity import UNIX
from mombroker.wiring.runtime import Runtime

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
        if not self._transport.can_write_eof():
            # TLS says goodbye by itself, and waits for the client's.
            self._transport.close()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)
            return
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

    def certificate(self) -> ClientCertificate | None:
        """What the client has shown in the handshake of TLS."""
        return shown_certificate(self._transport)


class TcpProtocol:
    """What asyncio calls for one connection: an ``asyncio.Protocol``, without that base, which has nothing in it and
    would keep mypyc from compiling the class."""

    __slots__ = ("_runtime", "_connections", "_name", "_peer", "_connection", "_transport")

    def __init__(
        self, runtime: Runtime, connections: Connections, name: str, peer: tuple[str, int] | None = None
    ) -> None:
        """``peer`` is where the client is, if that is not where the connection comes from."""
        self._runtime: Runtime = runtime
        self._connections: Connections = connections
        self._name: str = name
        self._peer: tuple[str, int] | None = peer
        self._connection: Connection | None = None
        self._transport: TcpTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        tcp = cast(asyncio.Transport, transport)
        tcp.set_write_buffer_limits(high=HIGH_WATER)
        send_without_delay(tcp.get_extra_info("socket"))
        if self._connections.stopped:
            # It was accepted just before.
            tcp.abort()
            return
        host, port = self._peer or peer_of(tcp)
        self._transport = TcpTransport(tcp)
        self._connection = self._runtime.open_connection(self._transport, host, port, self._name)
        self._connections.opened(self._transport)

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
            self._connections.closed(self._transport)
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


def peer_of(transport: asyncio.BaseTransport) -> tuple[str, int]:
    """The client's host and port; UNIX and 0 where there are none."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        return UNIX, 0
    peer: Any = transport.get_extra_info("peername") or ("", 0)
    return str(peer[0]), int(peer[1])


def send_without_delay(sock: socket.socket | None) -> None:
    """What is written goes at once, and does not wait for more."""
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
