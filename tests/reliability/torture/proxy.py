"""A network between clients and broker that can be as bad as networks are: it cuts, stalls, delays, forgets an end.

It listens on one port for as long as it lives, and connects to wherever the broker is, once it is there.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random

CROWDED = 1 << 18
"""Bytes that an end may have to write before the other one is not read from."""


class End(asyncio.Protocol):
    """One of the two sockets of a wire."""

    def __init__(self, wire: "Wire") -> None:
        self.wire = wire
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(CROWDED)
        self.wire.made(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self.wire.carry(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self.wire.lost(self)

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self.wire.other(self).read(False)

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self.wire.other(self).read(not self.wire.held)

    def read(self, wanted: bool) -> None:
        """Whether bytes are taken from the socket; otherwise they pile up in the kernel and before."""
        if self.transport is not None and not self.transport.is_closing():
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Send, if somebody is there."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self, reset: bool) -> None:
        """End the connection, in order or with a reset."""
        if self.transport is not None:
            if reset:
                self.transport.abort()
            else:
                self.transport.close()


class Wire:
    """A connection through the proxy. ``left`` is told when both its ends are gone."""

    def __init__(self, left: Callable[["Wire"], None]) -> None:
        self.client = End(self)
        self.broker = End(self)
        self.held = False
        self._left = left
        self._dead: set[End] = set()
        self._forgotten: set[End] = set()
        self._cut_after: int | None = None
        self._shape: Callable[[bytes], list[tuple[float, bytes]]] | None = None
        self._chunks = 0
        self._waiting: deque[tuple[End, float, bytes]] = deque()
        self._carrying: asyncio.Task[None] | None = None
        self._ending = False

    def made(self, end: End) -> None:
        """A socket is there. Nothing is read from the client's before the broker's is there as well."""
        end.read(False)
        if end is self.broker:
            if self.client in self._dead:
                end.close(True)
                return
            self.client.read(True)
            self.broker.read(True)

    def other(self, end: End) -> End:
        """The opposite one."""
        return self.broker if end is self.client else self.client

    def lost(self, end: End) -> None:
        """A socket is gone: so is the other one, unless it is forgotten."""
        self._dead.add(end)
        other = self.other(end)
        if other not in self._forgotten:
            other.close(False)
        if other in self._dead or other.transport is None:
            self._left(self)

    def carry(self, end: End, data: bytes) -> None:
        """Bytes from one end to the other, in the way that is in force."""
        to = self.other(end)
        if end in self._forgotten or self._ending:
            return
        if self._cut_after is not None:
            self._ending = True
            if self._carrying is None:
                to.write(data[: self._cut_after])
                self.cut(False)
            else:
                # Behind what is late: a stream may end anywhere, and does not change its order.
                self._waiting.append((to, 0.0, data[: self._cut_after]))
        elif self._shape is not None and self._chunks > 0:
            self._chunks -= 1
            self._waiting += [(to, seconds, piece) for seconds, piece in self._shape(data)]
            if self._carrying is None:
                self._carrying = asyncio.create_task(self._carry_slowly())
        elif self._carrying is not None:
            self._waiting.append((to, 0.0, data))
        else:
            to.write(data)

    async def _carry_slowly(self) -> None:
        while self._waiting:
            to, seconds, piece = self._waiting.popleft()
            await asyncio.sleep(seconds)
            to.write(piece)
        self._carrying = None
        if self._ending:
            self.cut(False)

    # -- what may be done to it

    def cut(self, reset: bool) -> None:
        """Close both ends."""
        self._forgotten.clear()
        for end in (self.client, self.broker):
            end.read(True)
            end.close(reset)

    def cut_after(self, count: int) -> None:
        """Cut it within the next piece that comes from either side."""
        self._cut_after = count

    def hold(self, held: bool) -> None:
        """Carry nothing, and forget nothing; or go on."""
        self.held = held
        for end in (self.client, self.broker):
            end.read(not held)

    def forget(self, end: End) -> None:
        """The other end is cut, and this one is not told: half open."""
        self._forgotten.add(end)
        self.other(end).close(True)

    def split(self, random: Random, chunks: int) -> None:
        """The beginnings of the next chunks go byte by byte, or nearly."""

        def pieces(data: bytes) -> list[tuple[float, bytes]]:
            cut: list[tuple[float, bytes]] = []
            at = 0
            while at < min(len(data), 200):
                size = random.randint(1, 5)
                cut.append((0.0, data[at : at + size]))
                at += size
            return [*cut, (0.0, data[at:])] if at < len(data) else cut

        self._shape, self._chunks = pieces, chunks

    def delay(self, random: Random, chunks: int) -> None:
        """The next chunks come late."""

        def later(data: bytes) -> list[tuple[float, bytes]]:
            return [(random.random() * 0.03, data)]

        self._shape, self._chunks = later, chunks


class Proxy:
    """Listens on ``port``. ``where`` waits until the broker listens somewhere, and tells where."""

    def __init__(self, where: Callable[[], Awaitable[int]]) -> None:
        self.port = 0
        self.wires: list[Wire] = []
        self._where = where
        self._server: asyncio.Server | None = None
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accepted(self) -> End:
        wire = Wire(self._left)
        self.wires.append(wire)
        task = asyncio.create_task(self._connect(wire))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return wire.client

    async def _connect(self, wire: Wire) -> None:
        port = await self._where()
        try:
            await asyncio.get_running_loop().create_connection(lambda: wire.broker, "127.0.0.1", port)
        except OSError:
            wire.client.close(True)

    def _left(self, wire: Wire) -> None:
        if wire in self.wires:
            self.wires.remove(wire)

    def standing(self) -> list[Wire]:
        """Connections with both their ends."""
        return [wire for wire in self.wires if wire.broker.transport is not None and not wire.held]

    def cut_all(self) -> None:
        """Nobody is connected any more."""
        for wire in [*self.wires]:
            wire.cut(True)

    async def stop(self) -> None:
        """Close everything."""
        for task in self._connecting:
            task.cancel()
        self.cut_all()
        if self._server is not None:
            self._server.close()
