"""Publishers: one that streams as fast as broker and receiver go along, and many that take turns."""

import select
import socket
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.load import naps
from bench.load.board import Board, Window
from bench.load.connection import connect, disconnect
from bench.load.crowd import gather
from bench.load.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, Layout, Outbox
from bench.load.reports import Effort, Ready, Report

UNACKNOWLEDGED = 1000
UNACKNOWLEDGED_BYTES = 4 << 20
_POLL = 0.0002


@dataclass(frozen=True)
class Publish:
    """Publish messages of a form for ``seconds``, or until there are ``most``.

    ``receivers`` take part in the window of messages under way; 0: nobody receives while this goes on. ``stall``:
    seconds without an acknowledgement after which the publisher gives up. ``topics`` go round in the varying part of
    the topic.
    """

    port: int
    layout: Layout
    run: int
    seconds: float
    most: int = 1 << 62
    receivers: int = 1
    stall: float = 3.0
    client: bytes = b"bench-pub"
    publishers: int = 1
    topics: npt.NDArray[np.bytes_] | None = None


class Handshakes:
    """Counts what the broker has acknowledged, and answers PUBREC with PUBREL."""

    def __init__(self, sock: socket.socket, qos: int) -> None:
        self._sock = sock
        self._last = PUBACK if qos == 1 else PUBCOMP
        self._rest = b""
        self.done = 0

    def take(self, wait: float) -> bool:
        """Read once, waiting so long at most; whether anything came."""
        if not select.select([self._sock], [], [], wait)[0]:
            return False
        data = self._sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the broker closed the publisher's connection")
        data = self._rest + data
        whole = len(data) & ~3
        self._rest = data[whole:]
        acks = np.frombuffer(data, np.uint8, whole).reshape(-1, 4)
        self.done += int((acks[:, 0] == self._last).sum())
        received = acks[acks[:, 0] == PUBREC]
        if len(received):
            received[:, 0] = PUBREL
            self._sock.sendall(received)
        return True


def publish(order: Publish, board: Board, ready: Ready) -> Report:
    """Stream from one publisher. What was sent is on the board when all of it is acknowledged."""
    sock = connect(order.port, order.client)
    try:
        outbox = Outbox(order.layout, order.run)
        if order.topics is not None:
            outbox.vary(order.topics)
        ready()
        effort = Effort()
        if order.layout.qos:
            sent, trouble, ended = _acknowledged(order, board, sock, outbox)
        else:
            sent, trouble, ended = _unacknowledged(order, board, sock, outbox)
        board.announce([sent])
        report = effort.report(sent, ended, trouble=trouble)
        _stay(order, board)
        return report
    finally:
        disconnect(sock)


def _stay(order: Publish, board: Board) -> None:
    """Keep the connection until everything has been received, or nothing is any more.

    Some brokers forget what they have of a publisher when it goes; how fast they are is a question of its own.
    """
    heard, before = time.monotonic(), -1
    while order.receivers and board.received < board.sent and time.monotonic() - heard < order.stall:
        if board.received != before:
            heard, before = time.monotonic(), board.received
        time.sleep(0.002)


def _room(order: Publish, board: Board, window: Window, sent: int, now: float) -> int:
    return window.room(sent, board.received, now) if order.receivers else order.most


def _window(order: Publish) -> Window:
    return Window.for_messages(order.layout.size, max(order.receivers, 1))


def _unacknowledged(order: Publish, board: Board, sock: socket.socket, outbox: Outbox) -> tuple[int, str, float]:
    window, sent = _window(order), 0
    now = time.monotonic()
    deadline = now + order.seconds
    while now < deadline and sent < order.most:
        count = min(_room(order, board, window, sent, now), outbox.most, order.most - sent)
        if count > 0:
            sock.sendall(outbox.messages(sent, count))
            sent += count
        elif window.stuck(now) > order.stall:
            return sent, f"STUCK: nothing was received for {order.stall:.0f} s", now
        else:
            time.sleep(_POLL)
        now = time.monotonic()
    return sent, "", now


def _acknowledged(order: Publish, board: Board, sock: socket.socket, outbox: Outbox) -> tuple[int, str, float]:
    shakes, window, sent = Handshakes(sock, order.layout.qos), _window(order), 0
    most_open = max(4, min(UNACKNOWLEDGED, UNACKNOWLEDGED_BYTES // order.layout.size))
    now = heard = time.monotonic()
    deadline = now + order.seconds
    while True:
        open_for = order.most if now < deadline else 0
        room = _room(order, board, window, sent, now)
        count = min(open_for - sent, outbox.most, most_open - (sent - shakes.done), room)
        # As long as there is plenty in flight, a few more are not worth a call: the broker has work meanwhile.
        plenty = sent - shakes.done > most_open // 2
        if count > 0 and not (plenty and count < min(most_open // 8, open_for - sent)):
            sock.sendall(outbox.messages(sent, count))
            sent += count
            wait = 0.0 if sent - shakes.done < most_open else 0.1
        elif sent == shakes.done and sent >= open_for:
            return sent, "", now
        elif plenty:
            time.sleep(naps.SECONDS)
            wait = 0.1
        else:
            # Full of unacknowledged messages, only acknowledgements help; otherwise the receiver may, too.
            wait = 0.1 if sent - shakes.done >= most_open or sent >= open_for else _POLL
        came = shakes.take(wait)
        now = time.monotonic()
        if came or (sent == shakes.done and now < deadline and window.stuck(now) < order.stall):
            heard = now
        elif now - heard > order.stall:
            return sent, f"STUCK: {sent - shakes.done:,} unacknowledged, {sent - board.received:,} not received", now


def publish_in_turn(order: Publish, board: Board, ready: Ready) -> Report:
    """Many publishers, each with a connection and numbers of its own, sending QoS 0 in turn, a few messages each."""
    names = [order.client + b"-%d" % number for number in range(order.publishers)]
    crowd = gather(order.port, names, order.seconds + 10)
    try:
        socks = list(crowd.members.values())
        for sock in socks:
            sock.setblocking(True)
        outboxes = [Outbox(order.layout, order.run, number, 64) for number in range(len(socks))]
        ready()
        effort = Effort()
        sent = _in_turn(order, board, socks, outboxes)
        ended = time.monotonic()
        board.announce(sent)
        report = effort.report(sum(sent), ended, late=crowd.late)
        _stay(order, board)
        return report
    finally:
        crowd.close()


def _in_turn(order: Publish, board: Board, socks: list[socket.socket], outboxes: list[Outbox]) -> list[int]:
    window, total, sent = _window(order), 0, [0] * len(socks)
    now = time.monotonic()
    deadline = now + order.seconds
    turn = 0
    while now < deadline:
        room = window.room(total, board.received, now)
        if room <= 0:
            time.sleep(_POLL)
        else:
            count = max(1, min(outboxes[turn].most, room // len(socks)))
            socks[turn].sendall(outboxes[turn].messages(sent[turn], count))
            sent[turn] += count
            total += count
            turn = (turn + 1) % len(socks)
        now = time.monotonic()
    return sent
