"""Asking a service and answering, each in a process of its own, with the Python clients of the brokers.

The worker turns each payload round, so that no reply is one that nobody worked for.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from bench.load.board import Board
from bench.load.payloads import Payloads, form, rows
from bench.load.reports import Effort, Ready, Report
from bench.load.service_clients import CLIENTS
from bench.statistics import percentile
from bench.verify import Roll, Verdict

WARMING = 50
BLOCK = 1000


@dataclass(frozen=True)
class Serve:
    """Answer until the board says that everything was asked. ``client`` is one of CLIENTS."""

    client: str
    port: int
    run: int
    payload: int
    seconds: float


@dataclass(frozen=True)
class Ask:
    """Ask one request after the other for ``seconds``, then for as long with ``in_flight`` at a time (0: not so)."""

    client: str
    port: int
    run: int
    payload: int
    seconds: float
    in_flight: int = 0


def on_a_loop(work: Coroutine[Any, Any, Report]) -> Report:
    """Run it on the event loop that the limits and the broker run on, whoever's client it is."""
    import uvloop

    return uvloop.run(work)


def serve(order: Serve, board: Board, ready: Ready) -> Report:
    """Serve; the verdict is on what was asked: each request is to come once, in whatever order."""
    return on_a_loop(_serve(order, board, ready))


async def _serve(order: Serve, board: Board, ready: Ready) -> Report:
    served: list[bytes] = []

    def answer(payload: bytes) -> bytes:
        served.append(payload)
        return payload[::-1]

    async with CLIENTS[order.client](order.port) as client:
        await client.serve(answer)
        ready()
        effort = Effort()
        until = effort.began + order.seconds
        while not board.released and time.monotonic() < until:
            await client.rest()
        report = effort.report(len(served), late=not board.released)
    layout = form(order.payload)
    roll = Roll(layout, order.run, max(board.sent, 0))
    roll.take(rows(layout, served))
    return effort.report(report.count, report.ended, verdict=roll.verdict(), late=report.late)


def ask(order: Ask, board: Board, ready: Ready) -> Report:
    """Ask. Values: p50 and p99 in milliseconds and ``serial`` of one request after the other; ``rate`` of many."""
    return on_a_loop(_ask(order, board, ready))


async def _ask(order: Ask, board: Board, ready: Ready) -> Report:
    asked = Asked(order)
    try:
        async with CLIENTS[order.client](order.port) as client:
            await asked.warm(client)
            ready()
            effort = Effort()
            values = await asked.serially(client)
            if order.in_flight:
                values["rate"] = await asked.side_by_side(client)
            return effort.report(asked.count, values=values, verdict=asked.verdict, trouble=asked.trouble)
    finally:
        board.announce([asked.count])
        board.release()


@dataclass
class Asked:
    """Hands out the payloads of one run, and compares each reply with what its request wants."""

    order: Ask
    count: int = 0
    answered: int = 0
    wrong: int = 0
    trouble: str = ""
    _waiting: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._payloads = Payloads(form(self.order.payload), self.order.run)
        self._made = 0

    @property
    def verdict(self) -> Verdict:
        """What became of the replies."""
        return Verdict(self.answered, self.count - self.answered, corrupted=self.wrong)

    def _next(self) -> bytes:
        if not self._waiting:
            self._waiting = self._payloads.make(self._made, BLOCK)[::-1]
            self._made += BLOCK
        self.count += 1
        return self._waiting.pop()

    async def once(self, client: Any) -> None:
        """One request. Raises what the client raises for one that is not answered."""
        payload = self._next()
        reply = await client.ask(payload)
        self.answered += 1
        if reply != payload[::-1]:
            self.wrong += 1

    async def warm(self, client: Any) -> None:
        """The first requests of a connection find nothing prepared, and count in no figure."""
        for _ in range(WARMING):
            await self.once(client)

    async def serially(self, client: Any) -> dict[str, float]:
        """One after the other."""
        taken: list[int] = []
        began = before = time.perf_counter_ns()
        end = began + int(self.order.seconds * 1e9)
        while before < end:
            await self.once(client)
            now = time.perf_counter_ns()
            taken.append(now - before)
            before = now
        taken.sort()
        serial = len(taken) * 1e9 / (before - began)
        return {"p50": percentile(taken, 0.5) / 1e6, "p99": percentile(taken, 0.99) / 1e6, "serial": serial}

    async def side_by_side(self, client: Any) -> float:
        """Many at a time; requests a second."""
        began, first = time.monotonic(), self.count
        until = began + self.order.seconds

        async def go_on() -> None:
            while time.monotonic() < until:
                await self.once(client)

        await asyncio.gather(*[go_on() for _ in range(self.order.in_flight)])
        return (self.count - first) / (time.monotonic() - began)
