"""Very many subscriptions, and very many retained messages."""

import select
import socket
import time
from dataclasses import dataclass

from bench.load.board import Board
from bench.load.connection import connect, exactly
from bench.load.frames import PUBLISH, Inbox, Unreadable
from bench.load.naps import nap_after
from bench.load.packets import Layout, remaining_length, subscribe_packet
from bench.load.reports import Effort, Ready, Report
from bench.verify import Roll

PER_PACKET = 500


@dataclass(frozen=True)
class Subscribe:
    """Make ``count`` subscriptions from ``clients`` clients and hold them. ``seconds`` caps the making."""

    port: int
    count: int
    clients: int
    seconds: float
    most: float = 120.0


@dataclass(frozen=True)
class Collect:
    """Subscribe to a filter and take all the retained messages that match: ``expected`` of them, in any order."""

    port: int
    layout: Layout
    filter: bytes
    run: int
    expected: int
    seconds: float
    stall: float = 8.0


def filter_number(number: int) -> bytes:
    """One of very many different filters, of the kinds that fleets of devices make. None matches ``m/x/y``."""
    site, device = number // 1000 % 100, number % 1000
    serial = number // 100_000
    kinds = (
        b"m/%d/%d/state/%d" % (site, device, serial),
        b"m/%d/%d/+/%d" % (site, device, serial),
        b"m/+/%d/cmd/%d/%d" % (device, site, serial),
        b"f/%d/%d/%d/#" % (site, device, serial),
    )
    return kinds[number % 4]


def subscribe_many(order: Subscribe, board: Board, ready: Ready) -> Report:
    """Make the subscriptions, report on it, and hold them until released."""
    socks = [connect(order.port, b"bench-many-%d" % number) for number in range(order.clients)]
    try:
        effort = Effort()
        made = _subscribe(order, socks)
        report = effort.report(made, late=made < order.count)
        ready(report)
        until = time.monotonic() + order.most
        while not board.released and time.monotonic() < until:
            time.sleep(0.02)
        return report
    finally:
        for sock in socks:
            sock.close()


def _subscribe(order: Subscribe, socks: list[socket.socket]) -> int:
    """How many were granted. Two SUBSCRIBE packets are under way at a time, so that the broker need not wait."""
    deadline = time.monotonic() + order.seconds
    made = 0
    under_way: list[tuple[socket.socket, int]] = []
    for turn, first in enumerate(range(0, order.count, PER_PACKET)):
        numbers = range(first, min(first + PER_PACKET, order.count))
        if time.monotonic() > deadline:
            break
        sock = socks[turn % len(socks)]
        sock.settimeout(order.seconds)
        sock.sendall(subscribe_packet(turn % 65535 + 1, map(filter_number, numbers), 0))
        under_way.append((sock, len(numbers)))
        if len(under_way) == 2:
            made += _granted(*under_way.pop(0))
    return made + sum(_granted(*one) for one in under_way)


def _granted(sock: socket.socket, count: int) -> int:
    answer = exactly(sock, 1 + len(remaining_length(2 + count)) + 2 + count)
    return sum(code == 0 for code in answer[-count:])


def collect(order: Collect, board: Board, ready: Ready) -> Report:
    """Subscribe and take the retained messages. ``seconds`` of the report runs from SUBSCRIBE to the last of them."""
    roll = Roll(order.layout, order.run, order.expected)
    inbox = Inbox(order.layout.size, 1 << 20)
    sock = connect(order.port, b"bench-collect")
    try:
        ready()
        effort = Effort()
        deadline = effort.began + order.seconds
        last = effort.began
        sock.sendall(subscribe_packet(1, [order.filter], 0))
        trouble = ""
        while roll.received < order.expected and (now := time.monotonic()) < deadline and now - last < order.stall:
            if not select.select([sock], [], [], 0.1)[0]:
                continue
            count = sock.recv_into(inbox.space())
            if not count:
                trouble = "the broker closed the connection"
                break
            try:
                found = inbox.arrived(count)
            except Unreadable as error:
                trouble = f"UNREADABLE: {error}"
                break
            for piece in found:
                if piece.kind == PUBLISH:
                    roll.take(inbox.rows(piece, order.layout.row))
            last = time.monotonic()
            nap_after(count)
        if not roll.received and not trouble:
            trouble = "nothing was delivered"
        return effort.report(roll.received, last, verdict=roll.verdict(), trouble=trouble)
    finally:
        sock.close()
