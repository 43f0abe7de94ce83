"""Subscribers: they take what comes, acknowledge it, check it, and say how far they are."""

import os
import select
import socket
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.load.board import UNKNOWN, Board
from bench.load.connection import connect, connect_when_there, disconnect, subscribe
from bench.load.frames import PUBLISH, Inbox, Piece, Unreadable
from bench.load.naps import nap_after
from bench.load.packets import PUBACK, PUBCOMP, PUBREC, Layout
from bench.load.reports import Effort, Ready, Report
from bench.load.script import Script
from bench.verify import Tally, Verdict

LINGER = 0.05
"""How long subscribers listen for messages too many after the last one."""


@dataclass(frozen=True)
class Receive:
    """Receive what is published in the form of ``layout``. Subscriber n has the n-th filter, round and round.

    ``client`` is the client id, with a number behind it if there are several ``subscribers``. ``resume`` takes up a
    session that has its subscription already. ``stall``: seconds without a message after which the rest counts as
    lost. ``most``: how many messages to take, if not all; what comes behind them is nobody's loss. ``seconds``: when to
    stop in any case. ``patience``: seconds to wait for a broker that is just starting; the subscription is resumed.
    """

    port: int
    layout: Layout
    filters: tuple[bytes, ...]
    run: int
    client: bytes = b"bench-sub"
    subscribers: int = 1
    publishers: int = 1
    clean: bool = True
    resume: bool = False
    stall: float = 2.0
    seconds: float = 20.0
    most: int = 0
    patience: float = 0.0


class Subscriber:
    """One connection, its buffer and its tally."""

    def __init__(self, sock: socket.socket, order: Receive) -> None:
        self.sock = sock
        self.qos = order.layout.qos
        self.tally = Tally(order.layout, order.run, order.publishers)
        self.row = order.layout.row
        self.completed = 0
        self.bytes = 0
        # Many subscribers share what the processor's cache holds; they read smaller pieces.
        self.inbox = Inbox(order.layout.size, 1 << 18 if order.subscribers == 1 else 1 << 14)

    def read(self) -> int:
        """Take what is there; how many messages it was. Raises Unreadable, or ConnectionError at its end."""
        try:
            # A socket with a timeout does not block underneath; its own recv would ask poll() first, every time.
            count = os.readv(self.sock.fileno(), [self.inbox.space()])
        except BlockingIOError:
            return 0
        if not count:
            raise ConnectionError("the broker closed a subscriber's connection")
        self.bytes += count
        before = self.tally.received
        for piece in self.inbox.arrived(count):
            self._take(piece)
        return self.tally.received - before

    def _take(self, piece: Piece) -> None:
        if piece.kind == PUBLISH:
            rows = self.inbox.rows(piece, self.row)
            self.tally.take(rows)
            if self.qos:
                self._answer(PUBACK if self.qos == 1 else PUBREC, rows["id"].view())
        elif piece.kind == 6:
            acks = self.inbox.acks(piece)
            self.completed += piece.count
            self._answer(PUBCOMP, acks[:, 2].astype(">u2") << 8 | acks[:, 3])

    def _answer(self, kind: int, identifiers: npt.NDArray[Any]) -> None:
        out = np.empty(len(identifiers), np.dtype([("head", "u1", (2,)), ("id", ">u2")]))
        out["head"] = (kind, 2)
        out["id"] = identifiers
        self.sock.sendall(out.view(np.uint8).data)


class Follower(Subscriber):
    """A subscriber whose stream is compared with what it should be, as long as it is that."""

    def __init__(self, sock: socket.socket, order: Receive, script: Script) -> None:
        super().__init__(sock, order)
        self._script: Script | None = script
        self._offset = 0

    def read(self) -> int:
        """Take what is there, as Subscriber does."""
        if self._script is None:
            return super().read()
        try:
            data = self._script.read(self.sock)
        except BlockingIOError:
            return 0
        if not len(data):
            raise ConnectionError("the broker closed a subscriber's connection")
        self.bytes += len(data)
        before = self._offset // self.inbox.publish_size
        if not self._script.follows(self._offset, data):
            return self._part_from_script(data)
        self._offset += len(data)
        now = self._offset // self.inbox.publish_size
        self.tally.followed(now)
        return now - before

    def _part_from_script(self, data: npt.NDArray[np.uint8]) -> int:
        """Look at the messages one by one from here on."""
        assert self._script is not None
        begun = self._script.begun(self._offset)
        self._script = None
        before = self.tally.received
        for piece in self.inbox.put(begun, data):
            self._take(piece)
        return self.tally.received - before


def receive(order: Receive, board: Board, ready: Ready) -> Report:
    """Receive until everything that ``board.sent`` announces is there, or nothing comes any more.

    The report's value ``first`` is the time of the first message.
    """
    subscribers = _subscribers(order)
    try:
        ready()
        return _receive(order, board, subscribers)
    finally:
        for subscriber in subscribers.values():
            if len(subscribers) == 1:
                disconnect(subscriber.sock)
            subscriber.sock.close()


def _subscribers(order: Receive) -> dict[int, Subscriber]:
    found: dict[int, Subscriber] = {}
    script = Script(order.layout, order.run) if Script.fits(order.layout, order.publishers) else None
    for number in range(order.subscribers):
        name = order.client if order.subscribers == 1 else order.client + b"-%d" % number
        if order.patience:
            sock = connect_when_there(order.port, name, order.patience)
        else:
            sock = connect(order.port, name, order.clean)
        if not order.resume:
            subscribe(sock, [order.filters[number % len(order.filters)]], order.layout.qos)
        found[sock.fileno()] = Subscriber(sock, order) if script is None else Follower(sock, order, script)
    return found


def _receive(order: Receive, board: Board, subscribers: dict[int, Subscriber]) -> Report:
    effort = Effort()
    poll = select.epoll()
    for number in subscribers:
        poll.register(number, select.EPOLLIN)
    total, last, trouble = 0, time.monotonic(), ""
    first: dict[str, float] = {}
    deadline = last + order.seconds
    try:
        while not _complete(order, board, subscribers, total):
            events = poll.poll(0.05)
            ready = [subscribers[number] for number, _ in events]
            bytes_before = sum(one.bytes for one in ready)
            got = sum(one.read() for one in ready)
            now = time.monotonic()
            if got:
                first = first or {"first": now}
                total += got
                last = now
                board.received = total // order.subscribers
            elif now - last > order.stall and board.sent != UNKNOWN:
                break
            if now > deadline:
                break
            nap_after(sum(one.bytes for one in ready) - bytes_before, len(ready))
        if not order.most:
            _linger(poll, subscribers)
    except (Unreadable, ConnectionError) as error:
        trouble = f"UNREADABLE: {error}" if isinstance(error, Unreadable) else str(error)
    finally:
        poll.close()
    done = effort.report(total, last, trouble=trouble, values=first, late=time.monotonic() > deadline)
    return _with_verdict(done, order, board, subscribers)


def _complete(order: Receive, board: Board, subscribers: dict[int, Subscriber], total: int) -> bool:
    sent = board.sent
    if order.most and total >= order.most:
        return True
    if sent == UNKNOWN or total < sent * order.subscribers:
        return False
    return order.layout.qos < 2 or all(one.completed >= sent for one in subscribers.values())


def _linger(poll: select.epoll, subscribers: dict[int, Subscriber]) -> None:
    until = time.monotonic() + LINGER
    while (left := until - time.monotonic()) > 0:
        for number, _ in poll.poll(left):
            subscribers[number].read()


def _with_verdict(done: Report, order: Receive, board: Board, subscribers: dict[int, Subscriber]) -> Report:
    sent = [board.sent_by(publisher) for publisher in range(order.publishers)]
    if order.most and done.count >= order.most:
        sent = [done.count]
    verdict = sum((one.tally.verdict(sent) for one in subscribers.values()), Verdict())
    if done.late:
        # They might have come yet: a broker that is too slow has lost nothing.
        rest = f"{verdict.lost:,} messages" if verdict.lost else "something"
        verdict = replace(verdict, lost=0)
        done = replace(done, trouble=done.trouble or f"TIME CAP: {rest} still to come after {order.seconds:.0f} s")
    return replace(done, verdict=verdict)
