"""The processes of the generator, and how work is given to them.

They are started once and serve a whole run. A process that does not answer in time is ended and replaced.
"""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from bench.load import (
    asking,
    connections,
    filters,
    grpc_streams,
    http_posts,
    latency,
    loops,
    publishing,
    queue_client,
    receiving,
)
from bench.load.board import Board
from bench.load.connection import Refused
from bench.load.reports import Report

Order = Any
_WORK: dict[type, Callable[..., Report]] = {
    receiving.Receive: receiving.receive,
    publishing.Publish: lambda order, board, ready: (
        publishing.publish if order.publishers == 1 else publishing.publish_in_turn
    )(order, board, ready),
    loops.Loop: loops.loop,
    latency.Trips: latency.trips,
    connections.Churn: connections.churn,
    connections.Hold: connections.hold,
    filters.Subscribe: filters.subscribe_many,
    filters.Collect: filters.collect,
    asking.Serve: asking.serve,
    asking.Ask: asking.ask,
    queue_client.Make: queue_client.make,
    queue_client.Put: queue_client.put,
    queue_client.Take: queue_client.take,
    grpc_streams.Produce: grpc_streams.produce,
    grpc_streams.Consume: grpc_streams.consume,
    http_posts.Post: http_posts.post,
}


class WorkFailed(Exception):
    """A piece of work could not be done: the broker hung up or did not answer in time."""


class Declined(WorkFailed):
    """The broker said no, in the way that MQTT has for it, and can be asked other things."""


def work(order: Order, board: Board, ready: Callable[..., None]) -> Report:
    """Do what an order says, in this process."""
    return _WORK[type(order)](order, board, ready)


def _serve(pipe: "Connection[Any, Any]", cells: Any) -> None:
    """What a process of the generator does: work on orders until None comes."""
    # Ctrl-C is for the harness, which ends this process when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    board = Board(cells)
    while (order := pipe.recv()) is not None:
        try:
            pipe.send(("done", work(order, board, lambda report=None: pipe.send(("ready", report)))))
        except Refused as error:
            pipe.send(("declined", str(error)))
        except OSError as error:
            pipe.send(("failed", f"{type(order).__name__}: {error or type(error).__name__}"))
        except Exception:
            pipe.send(("failed", traceback.format_exc()))


class Worker:
    """One process of the generator."""

    def __init__(self, cells: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, cells), daemon=True)
        self._process.start()
        other.close()

    def begin(self, order: Order, seconds: float) -> Report | None:
        """Give an order and wait until it is ready; what it reports about that. Raises WorkFailed."""
        self._pipe.send(order)
        return self._expect("ready", seconds)

    def finish(self, seconds: float) -> Report:
        """The report on the order. Raises WorkFailed."""
        report = self._expect("done", seconds)
        assert report is not None
        return report

    def _expect(self, kind: str, seconds: float) -> Report | None:
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"no answer within {seconds:.0f} s")
        found, what = self._pipe.recv()
        if found != kind:
            raise (Declined if found == "declined" else WorkFailed)(what)
        report: Report | None = what
        return report

    def end(self) -> None:
        """Stop the process, busy or not."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


class Generator:
    """Three processes that share a board."""

    PROCESSES = 3

    def __init__(self) -> None:
        self.board = Board()
        self._workers: list[Worker] = []

    def __enter__(self) -> "Generator":
        self._workers = [Worker(self.board.cells) for _ in range(self.PROCESSES)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()

    def work(
        self, *orders: Order, seconds: float, first: int = 0, begun: Callable[[], None] = lambda: None
    ) -> list[Report]:
        """Let the orders be worked on, each begun when the one before is ready; their reports.

        ``first``: the first process to use; those before it may hold connections. ``begun`` is called when all are at
        work. Raises WorkFailed, also after ``seconds``; then the processes that were at work have been replaced.
        """
        deadline = time.monotonic() + seconds
        places = range(first, first + len(orders))
        try:
            for place, order in zip(places, orders, strict=True):
                self._workers[place].begin(order, deadline - time.monotonic())
            begun()
            # The publisher's answer first: when it failed, the receiver would wait in vain.
            reports = [self._workers[place].finish(max(0.1, deadline - time.monotonic())) for place in reversed(places)]
            return reports[::-1]
        except (WorkFailed, TimeoutError) as error:
            for place in places:
                self._replace(place)
            raise error if isinstance(error, Declined) else WorkFailed(str(error)) from None

    def hold(self, order: Order, seconds: float) -> Report:
        """Let the first process make ready and hold what it has; its report. Raises WorkFailed."""
        try:
            report = self._workers[0].begin(order, seconds)
        except (WorkFailed, TimeoutError) as error:
            self._replace(0)
            raise WorkFailed(str(error)) from None
        assert report is not None
        return report

    def let_go(self) -> None:
        """End what the first process holds."""
        self.board.release()
        try:
            self._workers[0].finish(10)
        except (WorkFailed, TimeoutError):
            self._replace(0)

    def _replace(self, place: int) -> None:
        self._workers[place].end()
        self._workers[place] = Worker(self.board.cells)
