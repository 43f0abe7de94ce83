"""What a stream should be, byte for byte.

A subscriber of one QoS 0 publisher is due exactly the bytes that were published. Comparing whole buffers with these
checks every byte of every message, and costs a fraction of looking at the messages: a thousand subscribers share the
expected bytes. At the first difference a subscriber is on its own and has its messages looked at one by one.
"""

import os
import socket
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.load.packets import Layout, Outbox

LONGEST = 1024
"""Payloads up to this many bytes are followed. For longer ones, it is the bytes that cost, and not the messages."""

_KEPT = 64


class Script:
    """The bytes of a stream, from message 0 on."""

    def __init__(self, layout: Layout, run: int) -> None:
        self._outbox = Outbox(layout, run, most=1024)
        self._size = layout.size
        self._block_size = self._outbox.most * layout.size
        self._blocks: dict[int, npt.NDArray[np.uint8]] = {}
        # Nothing is left in it between two reads: one buffer for all, which stays in the processor's cache.
        self._scratch = np.zeros(1 << 18, np.uint8)

    @staticmethod
    def fits(layout: Layout, publishers: int) -> bool:
        """Whether a stream of this form can be told in advance."""
        return layout.qos == 0 and publishers == 1 and not layout.varying and layout.payload <= LONGEST

    def read(self, sock: socket.socket) -> npt.NDArray[np.uint8]:
        """What the socket has, valid until the next call. Raises BlockingIOError."""
        return self._scratch[: os.readv(sock.fileno(), [self._scratch.data])]

    def follows(self, offset: int, data: npt.NDArray[np.uint8]) -> bool:
        """Whether these bytes are the ones from ``offset`` on."""
        at = 0
        while at < len(data):
            block, inside = divmod(offset + at, self._block_size)
            expected = self._block(block)[inside : inside + len(data) - at]
            if not np.array_equal(expected, data[at : at + len(expected)]):
                return False
            at += len(expected)
        return True

    def begun(self, offset: int) -> npt.NDArray[Any]:
        """The part before ``offset`` of the message that ``offset`` is in."""
        block, inside = divmod(offset, self._block_size)
        return self._block(block)[inside - inside % self._size : inside]

    def _block(self, number: int) -> npt.NDArray[np.uint8]:
        found = self._blocks.get(number)
        if found is None:
            if len(self._blocks) >= _KEPT:
                del self._blocks[next(iter(self._blocks))]
            data = bytes(self._outbox.messages(number * self._outbox.most, self._outbox.most))
            found = self._blocks[number] = np.frombuffer(data, np.uint8)
        return found
