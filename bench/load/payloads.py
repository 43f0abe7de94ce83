"""Numbered payloads without packets around them, for clients that make their packets themselves.

The payloads are those of :class:`bench.load.packets.Layout`: run, publisher, sequence number, time, filler. What comes
back is put behind the head of a packet again, so that the same verdicts are found on it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.load.packets import Layout, Outbox

Rows = npt.NDArray[Any]


def form(payload: int) -> Layout:
    """The form of payloads of so many bytes; it has a topic because every form has one."""
    return Layout(b"-", 0, payload)


class Payloads:
    """Numbers payloads of one form. ``publisher`` tells several sequences of one run apart."""

    def __init__(self, layout: Layout, run: int, publisher: int = 0) -> None:
        self._layout = layout
        self._outbox = Outbox(layout, run, publisher)

    def make(self, first: int, count: int) -> list[bytes]:
        """Payloads ``first`` to ``first + count - 1``."""
        size, skip, most = self._layout.size, len(self._layout.head), self._outbox.most
        made: list[bytes] = []
        for start in range(first, first + count, most):
            data = bytes(self._outbox.messages(start, min(most, first + count - start)))
            made += [data[at + skip : at + size] for at in range(0, len(data), size)]
        return made


def rows(layout: Layout, payloads: Sequence[bytes]) -> Rows:
    """Payloads as the rows that verdicts are found on. One of another length is a row of zeros, foreign to any run."""
    size = layout.payload
    table = np.zeros(len(payloads), layout.row)
    if payloads:
        data = b"".join([one if len(one) == size else bytes(size) for one in payloads])
        table.view(np.uint8).reshape(-1, layout.size)[:, -size:] = np.frombuffer(data, np.uint8).reshape(-1, size)
        table["head"] = np.frombuffer(layout.head, np.uint8)
    return table
