"""Cutting what a socket delivers into runs of packets of one kind.

All PUBLISH packets of a measurement have one size, and acknowledgements have four bytes. So a run of like packets is
found by looking at every n-th byte: the packet behind a run has another first byte, whatever the payloads hold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

PUBLISH, SUBACK = 3, 9
# SUBACK is that of one filter.
_SIZES = {2: 4, 4: 4, 5: 4, 6: 4, 7: 4, SUBACK: 5, 11: 4, 13: 2}
_LOOK = 32


class Unreadable(Exception):
    """The broker sent something that is no packet of this measurement."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``count`` packets of one kind (the upper half of their first byte), from ``start`` on."""

    kind: int
    start: int
    count: int


def pieces(data: npt.NDArray[np.uint8], publish_size: int) -> tuple[list[Piece], int]:
    """The whole packets at the beginning of ``data``, and how many bytes they take. Raises Unreadable."""
    found: list[Piece] = []
    at, end = 0, len(data)
    while at < end:
        kind = int(data[at]) >> 4
        size = publish_size if kind == PUBLISH else _SIZES.get(kind, 0)
        if not size:
            raise Unreadable(f"a packet that begins with 0x{int(data[at]):02x}")
        whole = (end - at) // size
        if not whole:
            break
        count = _run(data[at : at + whole * size : size], kind)
        found.append(Piece(kind, at, count))
        at += count * size
    return found, at


def _run(firsts: npt.NDArray[Any], kind: int) -> int:
    """How many of these first bytes, from the front, are of this kind. Looks further only while they are."""
    look, seen = _LOOK, 0
    while seen < len(firsts):
        other = np.flatnonzero(firsts[seen : seen + look] >> 4 != kind)
        if len(other):
            return seen + int(other[0])
        seen += look
        look *= 8
    return len(firsts)


class Inbox:
    """A receive buffer for one socket: whole buffers in, pieces out."""

    def __init__(self, publish_size: int, room: int = 1 << 18) -> None:
        self.publish_size = publish_size
        self._buffer = np.zeros(max(room, 2 * publish_size + 64), np.uint8)
        self._view = self._buffer.data
        self._held = 0
        self._used = 0

    def space(self) -> memoryview:
        """Where the socket may write. Nothing that was handed out is valid any longer."""
        rest = self._held - self._used
        if self._used:
            self._buffer[:rest] = self._buffer[self._used : self._held].copy()
            self._held, self._used = rest, 0
        return self._view[self._held :]

    def put(self, *parts: npt.NDArray[np.uint8]) -> list[Piece]:
        """Take bytes that were read elsewhere, however many: the pieces that are now whole. Raises Unreadable."""
        data = np.concatenate([self._buffer[self._used : self._held], *parts])
        if len(data) > len(self._buffer):
            self._buffer = np.zeros(2 * len(data), np.uint8)
            self._view = self._buffer.data
        self._buffer[: len(data)] = data
        self._held = self._used = 0
        return self.arrived(len(data))

    def arrived(self, count: int) -> list[Piece]:
        """``count`` more bytes are there: the pieces that are now whole. Raises Unreadable."""
        self._held += count
        found, self._used = pieces(self._buffer[: self._held], self.publish_size)
        return found

    def rows(self, piece: Piece, row: np.dtype[Any]) -> npt.NDArray[Any]:
        """The messages of a piece."""
        return np.frombuffer(self._buffer, row, piece.count, piece.start)

    def acks(self, piece: Piece) -> npt.NDArray[np.uint8]:
        """The acknowledgements of a piece, four bytes a row."""
        return self._buffer[piece.start : piece.start + 4 * piece.count].reshape(-1, 4)
