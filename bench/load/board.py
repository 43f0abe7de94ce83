"""Numbers that the processes of the generator share while they work."""

import ctypes
from collections.abc import Sequence
from multiprocessing.sharedctypes import RawArray
from typing import Any

RECEIVED, SENT, RELEASED = 0, 1, 2
BY_PUBLISHER = 8
PUBLISHERS = 8192
UNKNOWN = -1


class Board:
    """What has been received so far, and how much there is to receive. Each number has one writer."""

    def __init__(self, cells: Any = None) -> None:
        self.cells = RawArray("q", BY_PUBLISHER + PUBLISHERS) if cells is None else cells
        self.clear()

    def clear(self) -> None:
        """Begin a measurement."""
        self.cells[RECEIVED] = 0
        self.cells[SENT] = UNKNOWN
        self.cells[RELEASED] = 0
        ctypes.memset(ctypes.addressof(self.cells) + 8 * BY_PUBLISHER, 0, 8 * PUBLISHERS)

    @property
    def received(self) -> int:
        """Messages that the receiver has taken, on average per subscriber."""
        return int(self.cells[RECEIVED])

    @received.setter
    def received(self, number: int) -> None:
        self.cells[RECEIVED] = number

    @property
    def sent(self) -> int:
        """Messages that were sent in all, or UNKNOWN while they still are."""
        return int(self.cells[SENT])

    def announce(self, sent: Sequence[int]) -> None:
        """What each publisher has sent, now that all are done."""
        self.cells[BY_PUBLISHER : BY_PUBLISHER + len(sent)] = sent
        self.cells[SENT] = sum(sent)

    def sent_by(self, publisher: int) -> int:
        """What one publisher has sent, after :meth:`announce`."""
        return int(self.cells[BY_PUBLISHER + publisher])

    def release(self) -> None:
        """Let go whoever holds connections open."""
        self.cells[RELEASED] = 1

    @property
    def released(self) -> bool:
        """Whether held connections may be closed."""
        return bool(self.cells[RELEASED])


class Window:
    """How many messages may be under way from publisher to receiver.

    A stream should measure a broker's throughput, not the size of its buffers. The window begins with a few messages
    and doubles, up to ``most``, as long as a message comes out within 20 ms or the last doubling has brought a fifth
    more throughput. It is the same for every broker.
    """

    SMALL_DELAY = 0.02
    WORTH = 1.2
    FIRST = 8

    def __init__(self, most: int) -> None:
        self._most = max(most, 4)
        self.size = min(self.FIRST, self._most)
        self._mark = 0
        self._marked = 0.0
        self._before = 0
        self._best = 0.0
        self._received = 0
        self._moved = 0.0

    @classmethod
    def for_messages(cls, size: int, receivers: int) -> "Window":
        """At most 4 MiB under way to one receiver and 64 MiB in all."""
        return cls(min((4 << 20) // size, (64 << 20) // (size * receivers)))

    def room(self, sent: int, received: int, now: float) -> int:
        """How many more may be sent."""
        if received != self._received or not self._moved:
            self._received, self._moved = received, now
        if received >= self._mark:
            if self._marked and self._is_worth_more(received - self._before, now - self._marked):
                self.size = min(self.size * 2, self._most)
            self._mark, self._marked, self._before = sent + 1, now, received
        return self.size - (sent - received)

    def _is_worth_more(self, count: int, delay: float) -> bool:
        rate = count / max(delay, 1e-6)
        better = rate > self.WORTH * self._best
        self._best = max(self._best, rate)
        return better or delay < self.SMALL_DELAY

    def stuck(self, now: float) -> float:
        """For how many seconds nothing has been received, as far as :meth:`room` was told."""
        return now - self._moved
