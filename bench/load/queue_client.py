"""A named queue over mombroker's own Python client: made, filled in batches or message by message, and emptied.

Every tenth message has the same priority, and each priority is a sequence of its own; a delayed queue hands out by time
and not in order. What comes out is checked accordingly.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load.asking import on_a_loop
from bench.load.board import Board
from bench.load.packets import Layout
from bench.load.payloads import Payloads, form, rows
from bench.load.reports import Effort, Ready, Report
from bench.verify import Roll, Tally, Verdict

PLAIN, DELAYED, PRIORITISED = "plain", "delayed", "prioritised"
PRIORITIES = 10
SPREAD = 10.0
"""Seconds over which the messages of a delayed queue fall due."""

EMPTY_WAIT = 2.0
"""Seconds without a message after which a queue counts as empty."""


@dataclass(frozen=True)
class Make:
    """Make a queue, instead of one of this name that may be there."""

    port: int
    queue: str


@dataclass(frozen=True)
class Put:
    """Fill a queue for ``seconds``, or until it holds ``most``: in batches, ``under_way`` of them at a time, or, with a
    ``batch`` of 0, message by message without waiting for each. ``due``: when the first message of a delayed queue is
    handed out, Unix seconds."""

    port: int
    queue: str
    run: int
    payload: int
    seconds: float
    most: int = 1 << 62
    kind: str = PLAIN
    batch: int = 1000
    under_way: int = 4
    due: float = 0.0


@dataclass(frozen=True)
class Take:
    """Pull what the board says is there, ``batch`` at a time, and acknowledge it. ``due``: when all of it may be had,
    Unix seconds; nothing may be there before."""

    port: int
    queue: str
    run: int
    payload: int
    seconds: float
    kind: str = PLAIN
    publishers: int = 1
    batch: int = 1000
    due: float = 0.0


def make(order: Make, board: Board, ready: Ready) -> Report:
    """Make the queue."""
    return on_a_loop(_make(order, ready))


async def _make(order: Make, ready: Ready) -> Report:
    import mombroker

    async with mombroker.connect(f"mqtt://127.0.0.1:{order.port}") as mom:
        ready()
        effort = Effort()
        await _made_anew(mom, order.queue)
        return effort.report(1)


async def _made_anew(mom: Any, name: str) -> Any:
    from mombroker.client import Problem

    queue = mom.queue(name)
    try:
        await queue.delete()
    except Problem as problem:
        if problem.code != "no-such-queue":
            raise
    await queue.create()
    return queue


def put(order: Put, board: Board, ready: Ready) -> Report:
    """Fill the queue. What is in it is on the board when all of it is acknowledged."""
    return on_a_loop(_put(order, board, ready))


async def _put(order: Put, board: Board, ready: Ready) -> Report:
    import mombroker

    async with mombroker.connect(f"mqtt://127.0.0.1:{order.port}") as mom:
        queue = await _made_anew(mom, order.queue)
        outgoing = Outgoing(order)
        ready()
        effort = Effort()
        until = effort.began + order.seconds
        if order.batch:
            await asyncio.gather(*[_in_batches(order, mom, outgoing, until) for _ in range(order.under_way)])
        else:
            await _one_by_one(queue, outgoing, until)
        board.announce(outgoing.sent())
        return effort.report(outgoing.count)


async def _in_batches(order: Put, mom: Any, outgoing: "Outgoing", until: float) -> None:
    from mombroker.operations.messages import Enqueue

    while time.monotonic() < until and (messages := outgoing.next(order.batch)):
        await mom.call(Enqueue(queue=order.queue, messages=messages))


async def _one_by_one(queue: Any, outgoing: "Outgoing", until: float) -> None:
    async with queue.publisher() as publisher:
        while time.monotonic() < until and (messages := outgoing.next(500)):
            for message in messages:
                await publisher.send(message)


class Outgoing:
    """The messages of one run, in order, as the client wants them."""

    def __init__(self, order: Put) -> None:
        from mombroker.client import OutMessage

        self._order = order
        self._message: Any = OutMessage
        sequences = PRIORITIES if order.kind == PRIORITISED else 1
        layout = form(order.payload)
        self._payloads = [Payloads(layout, order.run, number) for number in range(sequences)]
        self.count = 0

    def sent(self) -> list[int]:
        """How many of each priority."""
        of_each, more = divmod(self.count, len(self._payloads))
        return [of_each + (number < more) for number in range(len(self._payloads))]

    def next(self, count: int) -> tuple[Any, ...]:
        """The next messages; the last ones are fewer, and then there are none."""
        order, message = self._order, self._message
        first = self.count
        count = min(count, order.most - first)
        if order.batch == 0 and order.kind == PLAIN:
            made: Sequence[Any] = self._payloads[0].make(first, count)
        elif order.kind == PRIORITISED:
            count -= count % PRIORITIES
            by_priority = [one.make(first // PRIORITIES, count // PRIORITIES) for one in self._payloads]
            made = [
                message(payload=payload, priority=priority)
                for turn in zip(*by_priority, strict=True)
                for priority, payload in enumerate(turn)
            ]
        else:
            payloads = self._payloads[0].make(first, count)
            made = [message(payload=payload, deliver_at=self._due(first + n)) for n, payload in enumerate(payloads)]
        self.count += count
        return tuple(made)

    def _due(self, number: int) -> float:
        """Neighbours fall due far apart: 7,919 is prime."""
        return self._order.due + number * 7919 % 1000 / 1000 * SPREAD if self._order.kind == DELAYED else 0.0


class Incoming:
    """Checks what comes out of a queue of some kind."""

    def __init__(self, layout: Layout, run: int, kind: str, sent: list[int]) -> None:
        self._layout, self._kind, self._sent = layout, kind, sent
        self._roll = Roll(layout, run, sum(sent)) if kind == DELAYED else None
        self._tally = Tally(layout, run, len(sent))
        self._lowest = PRIORITIES
        self._too_late = 0
        self.received = 0

    def take(self, payloads: list[bytes]) -> None:
        """Check these, which came one after the other."""
        self.received += len(payloads)
        found = rows(self._layout, payloads)
        if self._roll is not None:
            self._roll.take(found)
            return
        self._tally.take(found)
        if self._kind == PRIORITISED:
            for priority in found["publisher"].tolist():
                self._too_late += priority > self._lowest
                self._lowest = min(self._lowest, priority)

    def verdict(self) -> Verdict:
        """The verdict. A message behind one of a lower priority is out of order."""
        if self._roll is not None:
            return self._roll.verdict()
        return self._tally.verdict(self._sent) + Verdict(reordered=self._too_late)


def take(order: Take, board: Board, ready: Ready) -> Report:
    """Empty the queue."""
    return on_a_loop(_take(order, board, ready))


async def _take(order: Take, board: Board, ready: Ready) -> Report:
    import mombroker

    publishers = PRIORITIES if order.kind == PRIORITISED else order.publishers
    sent = [board.sent_by(publisher) for publisher in range(publishers)]
    incoming = Incoming(form(order.payload), order.run, order.kind, sent)
    async with mombroker.connect(f"mqtt://127.0.0.1:{order.port}") as mom:
        queue = mom.queue(order.queue)
        early = await _wait_until_due(order, queue)
        ready()
        effort = Effort()
        last = await _empty(order, queue, incoming, effort.began + order.seconds, sum(sent))
        late = incoming.received < sum(sent) and time.monotonic() > effort.began + order.seconds
        done = effort.report(incoming.received, last, late=late, trouble=early)
        again = await queue.pull(order.batch)
        incoming.take([message.payload for message in again])
    verdict = incoming.verdict()
    if late:
        done = effort.report(incoming.received, last, late=True, trouble=f"TIME CAP: {verdict.lost:,} still to come")
    return Report(done.began, done.ended, done.count, done.cpu, done.late, verdict, done.trouble)


async def _wait_until_due(order: Take, queue: Any) -> str:
    """What came too early, in words."""
    if not order.due:
        return ""
    early = await queue.pull(1) if time.time() < order.due - SPREAD else ()
    await asyncio.sleep(max(0.0, order.due - time.time()))
    return "EARLY: a message came before its time" if early else ""


async def _empty(order: Take, queue: Any, incoming: Incoming, until: float, expected: int) -> float:
    """Pull on while the last batch is being acknowledged; when the last acknowledgement was there."""
    pulled: Callable[[], Awaitable[Any]] = lambda: queue.pull(order.batch, wait=EMPTY_WAIT)  # noqa: E731
    last = time.monotonic()
    batch = await pulled() if expected else ()
    while batch and time.monotonic() < until:
        incoming.take([message.payload for message in batch])
        if incoming.received < expected:
            _, batch = await asyncio.gather(queue.ack(batch), pulled())
        else:
            await queue.ack(batch)
            batch = ()
        last = time.monotonic()
    return last
