"""Appends what publishers send to a file and syncs it: ``python append.py PORT FILE``

While a thread writes and syncs one batch, the event loop gathers the next: the batches are those that a broker with
group commit would have. Messages are not parsed but counted, by the size of the first one of a connection;
acknowledgements are made from the count, as the packet identifiers go round in order.
"""

import asyncio
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import uvloop

CONNACK = b"\x20\x02\x00\x00"
ACKS = b"".join(struct.pack(">BBH", 0x40, 2, number) for number in range(1, 65536))


class Log:
    """The file, and who waits for it."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._thread = ThreadPoolExecutor(1)
        self._next: list[tuple[Peer, bytes]] = []
        self._busy = False

    def append(self, peer: "Peer", data: bytes) -> None:
        """Into the next batch."""
        self._next.append((peer, data))
        if not self._busy:
            self._begin()

    def _begin(self) -> None:
        batch, self._next, self._busy = self._next, [], True
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._thread, self._write, [data for _, data in batch])
        done.add_done_callback(lambda future: self._done(future, batch))

    def _write(self, data: list[bytes]) -> None:
        # A message of up to 1 MiB comes in many pieces; the kernel takes 1,024 of them at a time.
        for first in range(0, len(data), 1024):
            os.writev(self._file, data[first : first + 1024])
        os.fdatasync(self._file)

    def _done(self, future: "asyncio.Future[None]", batch: "list[tuple[Peer, bytes]]") -> None:
        future.result()
        for peer, data in batch:
            peer.written(len(data))
        self._busy = False
        if self._next:
            self._begin()


class Peer(asyncio.Protocol):
    """One connection."""

    log: Log

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its CONNECT."""
        self._transport = cast(asyncio.Transport, transport)
        self._connected = False
        self._size = self._bytes = self._acked = 0

    def data_received(self, data: bytes) -> None:
        """Append, as soon as the handshake is over."""
        if not self._connected:
            self._connected = True
            self._transport.write(CONNACK)
        elif data == b"\xe0\x00":
            self._transport.close()
        elif data[0] == 0x82 and not self._size:
            self._transport.write(b"\x90\x03" + data[2:4] + b"\x01")
        else:
            self._size = self._size or _size(data)
            self.log.append(self, data)

    def written(self, count: int) -> None:
        """So many more bytes are on disk."""
        self._bytes += count
        due = self._bytes // self._size
        while self._acked < due:
            first = self._acked % 65535
            number = min(due - self._acked, 65535 - first)
            self._transport.write(ACKS[4 * first : 4 * (first + number)])
            self._acked += number


def _size(data: bytes) -> int:
    length = shift = at = 0
    while True:
        at += 1
        length |= (data[at] & 0x7F) << shift
        shift += 7
        if not data[at] & 0x80:
            return 1 + at + length


async def main() -> None:
    """Append until killed."""
    Peer.log = Log(sys.argv[2])
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
