"""MQTT over WebSocket (MQTT-6): the library says what is in the frames, and this module who gets it.

A frame's bytes are a piece of the stream of packets, wherever it begins and ends (MQTT-6.0.0-2).
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Final

from websockets.exceptions import InvalidOrigin
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from mombroker.core import Connection, Transport
from mombroker.listeners.connections import Connections
from mombroker.listeners.shown_certificate import shown_certificate
from mombroker.listeners.tcp import HIGH_WATER, LINGER_SECONDS, peer_of, send_without_delay
from mombroker.model.certificate import ClientCertificate
from mombroker.wiring.runtime import Runtime

SUBPROTOCOLS: Final = (Subprotocol("mqtt"), Subprotocol("mqttv3.1"))
"""What a client has to offer (MQTT-6.0.0-3): the second one is what MQTT 3.1 was called."""

ANY: Final = "*"
LOCAL: Final = re.compile(r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")
"""Pages of this machine. A browser lets any page's script reach a broker on it, which may trust whoever comes from
here."""

NORMAL: Final = 1000
NOT_BINARY: Final = 1003
FRAME_OVERHEAD: Final = 1 << 20
"""A message of several packets may be larger than the largest packet by this much, in bytes."""

_quiet = logging.getLogger("mombroker.websocket")
_quiet.setLevel(logging.CRITICAL)  # what clients do wrong they are told, and the log has better things to hold


def _welcome(origins: Sequence[str]) -> list[Origin | re.Pattern[str] | None] | None:
    """The origins from which the library lets clients in; a program that is no browser names none."""
    if ANY in origins:
        return None
    return [None, *(Origin(origin) for origin in origins)] if origins else [None, LOCAL]


class WebSocketTransport(Transport):
    """A connection's bytes out, each write in a frame of its own."""

    def __init__(self, transport: asyncio.Transport, protocol: ServerProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self.closing = False

    def write(self, data: bytes) -> None:
        """Send bytes, in order."""
        if not self.closing:
            self._protocol.send_binary(data)
            self.flush()

    def flush(self) -> None:
        """Send what the WebSocket protocol has to say."""
        for data in self._protocol.data_to_send():
            if data:
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
        """Send what was written and say goodbye; the client has a moment to do the same."""
        self.close_for(NORMAL)

    def close_for(self, code: int) -> None:
        """Close for a reason of the WebSocket protocol."""
        if self.closing or self._transport.is_closing():
            return
        self.closing = True
        self._transport.resume_reading()
        self._protocol.send_close(code)
        self.flush()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def certificate(self) -> ClientCertificate | None:
        """What the client has shown in the handshake of TLS."""
        return shown_certificate(self._transport)


class WebSocketProtocol(asyncio.Protocol):
    """What asyncio calls for one connection. The runtime hears of it when the WebSocket's handshake is done.

    ``path`` is where MQTT is; ``origins`` are those of pages that may come. ``handshake_seconds`` is what a client may
    take for it, ``max_message`` the most bytes of one WebSocket message, ``peer`` where the client is, if that is not
    where the connection comes from.
    """

    def __init__(
        self,
        runtime: Runtime,
        connections: Connections,
        name: str,
        path: str,
        origins: Sequence[str],
        handshake_seconds: float,
        max_message: int,
        peer: tuple[str, int] | None = None,
    ) -> None:
        self._runtime = runtime
        self._connections = connections
        self._name = name
        self._peer = peer
        self._path = path
        self._handshake_seconds = handshake_seconds
        self._protocol = ServerProtocol(
            subprotocols=SUBPROTOCOLS,
            origins=_welcome(origins),
            max_size=max_message + FRAME_OVERHEAD,
            logger=_quiet,
        )
        self._transport: WebSocketTransport | None = None
        self._connection: Connection | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._socket: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, and will send a request of HTTP."""
        assert isinstance(transport, asyncio.Transport)
        if self._connections.stopped:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=HIGH_WATER)
        send_without_delay(transport.get_extra_info("socket"))
        self._socket = transport
        self._transport = WebSocketTransport(transport, self._protocol)
        self._connections.opened(self._transport)
        self._deadline = asyncio.get_running_loop().call_later(self._handshake_seconds, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived: the handshake, or frames."""
        transport = self._transport
        if transport is None:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame) and not transport.closing:
                self._frame(event, transport)
        self._after_reading(transport)

    def _after_reading(self, transport: WebSocketTransport) -> None:
        transport.flush()
        if self._protocol.close_expected() and self._socket is not None:
            transport.closing = True
            # What was written is sent first.
            self._socket.close()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._socket.abort)

    def _shake_hands(self, request: Request) -> None:
        response = self._answer(request)
        self._protocol.send_response(response)
        transport = self._transport
        if response.status_code != 101 or transport is None or self._socket is None:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        transport.flush()
        host, port = self._peer or peer_of(self._socket)
        self._connection = self._runtime.open_connection(transport, host, port, self._name)

    def _answer(self, request: Request) -> Response:
        path = request.path.partition("?")[0]
        if path != self._path:
            return self._protocol.reject(404, f"MQTT is not here but at {self._path}.\n")
        response = self._protocol.accept(request)
        if isinstance(self._protocol.handshake_exc, InvalidOrigin):
            return self._protocol.reject(403, "Pages of this origin may not connect (mqtt.origins).\n")
        return response

    def _frame(self, frame: Frame, transport: WebSocketTransport) -> None:
        if frame.opcode is Opcode.TEXT:
            # MQTT-6.0.0-1: MQTT comes in binary frames, and anything else ends the connection.
            transport.close_for(NOT_BINARY)
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT) and self._connection is not None and frame.data:
            self._runtime.feed(self._connection, bytes(frame.data))

    def eof_received(self) -> bool:
        """The client will send no more."""
        if self._transport is not None:
            self._transport.closing = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._transport is None:
            return
        self._transport.closing = True
        if self._connection is not None:
            self._runtime.connection_lost(self._connection)
            self._connection = None
        self._connections.closed(self._transport)
        self._transport = None

    def pause_writing(self) -> None:
        """The client reads more slowly than it is sent to."""
        if self._connection is not None:
            self._runtime.congestion(self._connection, True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._connection is not None:
            self._runtime.congestion(self._connection, False)
