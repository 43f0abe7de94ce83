"""Connections for their own sake: how fast they come and go, and what an idle one costs."""

import select
import socket
import time
from dataclasses import dataclass

from bench.load.board import Board
from bench.load.crowd import UNDER_WAY, gather, start
from bench.load.packets import DISCONNECT, connect_packet
from bench.load.reports import Effort, Ready, Report

MOST = 10_000
"""Connections in one measurement: more, and the machine runs out of ports."""


@dataclass(frozen=True)
class Churn:
    """Connect, be accepted, disconnect, close; for so many seconds, 64 at a time. ``client`` begins the client ids."""

    port: int
    seconds: float
    client: bytes = b"bench-churn"
    stall: float = 3.0


@dataclass(frozen=True)
class Hold:
    """Hold so many idle connections; ``seconds`` is how long opening them may take, ``most`` how long they are held."""

    port: int
    clients: int
    seconds: float
    most: float = 60.0


def churn(order: Churn, board: Board, ready: Ready) -> Report:
    """Count the connections that were accepted and closed."""
    poll = select.epoll()
    open_now: dict[int, tuple[socket.socket, bytes]] = {}
    ready()
    effort = Effort()
    deadline = effort.began + order.seconds
    begun = done = 0
    heard, trouble = effort.began, ""
    try:
        while True:
            now = time.monotonic()
            while now < deadline and begun < MOST and len(open_now) < UNDER_WAY:
                sock = start(order.port)
                open_now[sock.fileno()] = (sock, order.client + b"-%d" % begun)
                poll.register(sock.fileno(), select.EPOLLOUT)
                begun += 1
            if not open_now:
                break
            for number, _ in poll.poll(0.1):
                heard = now
                done += _advance(poll, number, open_now)
            if now - heard > order.stall:
                trouble = f"UNANSWERED {len(open_now)}"
                break
    finally:
        poll.close()
        for sock, _ in open_now.values():
            sock.close()
    return effort.report(done, trouble=trouble)


def _advance(poll: select.epoll, number: int, open_now: dict[int, tuple[socket.socket, bytes]]) -> int:
    sock, client_id = open_now[number]
    if client_id:
        sock.send(connect_packet(client_id))
        open_now[number] = (sock, b"")
        poll.modify(number, select.EPOLLIN)
        return 0
    if sock.recv(4) != b"\x20\x02\x00\x00":
        raise ConnectionError("a connection was not accepted")
    sock.send(DISCONNECT)
    sock.close()
    del open_now[number]
    return 1


def hold(order: Hold, board: Board, ready: Ready) -> Report:
    """Open the connections, report how many there are, and hold them until released."""
    effort = Effort()
    crowd = gather(order.port, [b"bench-idle-%d" % number for number in range(order.clients)], order.seconds)
    try:
        report = effort.report(len(crowd.members), late=crowd.late)
        ready(report)
        until = time.monotonic() + order.most
        while not board.released and time.monotonic() < until:
            time.sleep(0.02)
        return report
    finally:
        crowd.close()
