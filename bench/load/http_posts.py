"""Publishing over HTTP: a few connections that are kept open, each with one request under way."""

import select
import socket
import time
from dataclasses import dataclass, field

from bench.load.board import Board
from bench.load.connection import HOST
from bench.load.payloads import Payloads, form
from bench.load.reports import Effort, Ready, Report

BLOCK = 1000
_END = b"\r\n\r\n"
_CREATED = b"HTTP/1.1 201 "
_LENGTH = b"content-length:"


@dataclass(frozen=True)
class Post:
    """Post messages to a queue for ``seconds``. Each connection is a publisher of its own."""

    port: int
    queue: str
    run: int
    payload: int
    seconds: float
    connections: int = 8
    stall: float = 3.0


@dataclass
class Poster:
    """One connection: its socket, what it has posted, and what there is of an answer."""

    sock: socket.socket
    head: bytes
    payloads: Payloads
    count: int = 0
    answered: int = 0
    _waiting: list[bytes] = field(default_factory=list)
    _answer: bytes = b""

    def post(self) -> None:
        """Send the next request."""
        if not self._waiting:
            self._waiting = self.payloads.make(self.count, BLOCK)[::-1]
        self.count += 1
        self.sock.sendall(self.head + self._waiting.pop())

    def hear(self) -> bool:
        """Read once; whether the answer is there as a whole. Raises ConnectionError for any but 201."""
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the broker closed a connection")
        self._answer += data
        head, found, body = self._answer.partition(_END)
        if not found:
            return False
        if not head.startswith(_CREATED):
            raise ConnectionError(self._answer[:200].decode(errors="replace"))
        lower = head.lower()
        if len(body) < int(lower[lower.index(_LENGTH) + len(_LENGTH) :].split(b"\r\n", 1)[0]):
            return False
        self._answer = b""
        self.answered += 1
        return True


def post(order: Post, board: Board, ready: Ready) -> Report:
    """Post. What was accepted is on the board, by connection."""
    head = (
        f"POST /v1/queues/{order.queue}/messages HTTP/1.1\r\nHost: {HOST}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {order.payload}\r\n\r\n"
    ).encode()
    layout = form(order.payload)
    posters: dict[int, Poster] = {}
    poll = select.epoll()
    try:
        for number in range(order.connections):
            sock = socket.create_connection((HOST, order.port), timeout=order.stall)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            posters[sock.fileno()] = Poster(sock, head, Payloads(layout, order.run, number))
            poll.register(sock.fileno(), select.EPOLLIN)
        ready()
        effort = Effort()
        trouble = _keep_posting(order, poll, posters, effort.began + order.seconds)
        board.announce([poster.answered for poster in posters.values()])
        return effort.report(sum(poster.answered for poster in posters.values()), trouble=trouble)
    finally:
        poll.close()
        for poster in posters.values():
            poster.sock.close()


def _keep_posting(order: Post, poll: select.epoll, posters: dict[int, Poster], until: float) -> str:
    """Until time is over and all answers are there; what went wrong."""
    for poster in posters.values():
        poster.post()
    under_way = len(posters)
    while under_way:
        events = poll.poll(order.stall)
        if not events:
            return f"UNANSWERED {under_way}"
        going_on = time.monotonic() < until
        for number, _ in events:
            if posters[number].hear():
                if going_on:
                    posters[number].post()
                else:
                    under_way -= 1
    return ""
