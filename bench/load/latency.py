"""Round trips: one process publishes and receives, so that both times come from one clock and one thread.

A message carries the time at which it was due, if the generator is more than a millisecond behind, and otherwise the
time at which it was sent. So a broker that stalls is charged for all that had to wait, and the coarseness of a sleeping
generator is charged to nobody.
"""

import select
import socket
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.load.board import Board
from bench.load.connection import connect, disconnect, subscribe
from bench.load.frames import PUBLISH, Piece
from bench.load.packets import Layout, Outbox
from bench.load.receiving import Receive, Subscriber
from bench.load.reports import Effort, Ready, Report
from bench.statistics import percentile

BEHIND_NS = 1_000_000
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Trips:
    """Publish ``rate`` messages a second for so many seconds and note how long each is under way."""

    port: int
    layout: Layout
    run: int
    rate: float
    seconds: float
    stall: float = 3.0


def trips(order: Trips, board: Board, ready: Ready) -> Report:
    """Make the round trips. Values: p50, p99, p999 and ack50 in milliseconds, ``rate`` as it was kept."""
    receiving = Receive(order.port, order.layout, (order.layout.topic,), order.run)
    sub, pub = connect(order.port, b"bench-trip-sub"), connect(order.port, b"bench-trip-pub")
    try:
        subscribe(sub, [order.layout.topic], order.layout.qos)
        ready()
        return _Traveller(order, Times(sub, receiving), pub).travel()
    finally:
        disconnect(pub)
        disconnect(sub)


class Times(Subscriber):
    """A subscriber that notes how long messages were under way, in nanoseconds."""

    def __init__(self, sock: socket.socket, order: Receive) -> None:
        super().__init__(sock, order)
        self.taken: list[npt.NDArray[np.int64]] = []

    def _take(self, piece: Piece) -> None:
        now = time.monotonic_ns()
        if piece.kind == PUBLISH:
            self.taken.append(now - self.inbox.rows(piece, self.row)["time"].astype(np.int64))
        super()._take(piece)


class _Traveller:
    """Keeps the pace."""

    def __init__(self, order: Trips, times: Times, pub: socket.socket) -> None:
        self.order, self.times, self.pub = order, times, pub
        self.outbox = Outbox(order.layout, order.run)
        self.sent = self.acked_bytes = 0
        self.sent_at: deque[tuple[int, int]] = deque()
        self.acks: list[int] = []

    def travel(self) -> Report:
        """All trips, and the report."""
        effort = Effort()
        begin = time.monotonic_ns()
        end = begin + int(self.order.seconds * _SECOND)
        # At high rates one message at a time would measure the generator: up to a thousand bursts a second.
        burst = max(1, round(self.order.rate / 1000))
        gap = int(_SECOND * burst / self.order.rate)
        due = begin
        while due < end:
            if (now := time.monotonic_ns()) >= due:
                self._send(burst, due if now - due > BEHIND_NS else now)
                due += gap
            self._listen(max(0, due - time.monotonic_ns()) / _SECOND)
        kept = self.sent / ((time.monotonic_ns() - begin) / _SECOND)
        heard = time.monotonic()
        while self._open() and time.monotonic() - heard < self.order.stall:
            if self._listen(0.1):
                heard = time.monotonic()
        return self._report(effort, kept)

    def _open(self) -> bool:
        acks_missing = self.order.layout.qos > 0 and self.acked_bytes < 4 * self.sent
        return acks_missing or self.times.tally.received < self.sent

    def _send(self, count: int, stamp: int) -> None:
        self.pub.sendall(self.outbox.messages(self.sent, count, stamp))
        self.sent += count
        self.sent_at.append((self.sent, stamp))

    def _listen(self, wait: float) -> bool:
        heard = select.select([self.times.sock, self.pub], [], [], wait)[0]
        if self.times.sock in heard:
            self.times.read()
        if self.pub in heard:
            data = self.pub.recv(1 << 16)
            if not data:
                raise ConnectionError("the broker closed the publisher's connection")
            self.acked_bytes += len(data)
            now = time.monotonic_ns()
            while self.sent_at and 4 * self.sent_at[0][0] <= self.acked_bytes:
                self.acks.append(now - self.sent_at.popleft()[1])
        return bool(heard)

    def _report(self, effort: Effort, kept: float) -> Report:
        taken = (np.sort(np.concatenate(self.times.taken)) / 1e6).tolist() if self.times.taken else []
        values = {"kept": kept}
        if taken:
            values |= {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99), "p999": percentile(taken, 0.999)}
        if self.acks:
            values["ack50"] = percentile(sorted(self.acks), 0.5) / 1e6
        verdict = self.times.tally.verdict([self.sent])
        return effort.report(self.sent, verdict=verdict, values=values)
