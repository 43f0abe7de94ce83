"""One TCP (TLS, Unix) connection: the asyncio protocol between a transport and a session."""

import asyncio
from typing import Protocol


class Feeder(Protocol):
    """What a link works for."""

    def take(self, link: "Link", data: bytes) -> None:
        """Bytes have come."""
        ...

    def gone(self, link: "Link", error: Exception | None) -> None:
        """The link is closed, by whomever."""
        ...

    def can_write(self, link: "Link") -> None:
        """The transport's buffer has drained."""
        ...


class Link(asyncio.Protocol):
    """Hands chunks to its feeder and knows whether the transport takes more."""

    def __init__(self, feeder: Feeder) -> None:
        self._feeder = feeder
        self._transport: asyncio.Transport | None = None
        self.writable = True
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._feeder.take(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._feeder.gone(self, exc)

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self.writable = False

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self.writable = True
        self._feeder.can_write(self)

    def write(self, data: bytes) -> None:
        """Send bytes; a closed link drops them."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what is buffered, then close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
