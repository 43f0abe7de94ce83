"""Many connections at a time, opened with a bounded number of handshakes under way."""

import errno
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.load.connection import HOST, Refused
from bench.load.packets import connect_packet

UNDER_WAY = 64
_ACCEPTED = b"\x20\x02\x00\x00"


@dataclass
class Crowd:
    """Open connections by file descriptor. ``late`` is true when time ran out before all were there."""

    members: dict[int, socket.socket] = field(default_factory=dict)
    late: bool = False

    def close(self) -> None:
        """Close all of them."""
        for sock in self.members.values():
            sock.close()
        self.members.clear()


def start(port: int) -> socket.socket:
    """A non-blocking socket whose TCP handshake is under way."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    code = sock.connect_ex((HOST, port))
    if code not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(code, "connect")
    return sock


def gather(port: int, client_ids: Sequence[bytes], seconds: float) -> Crowd:
    """Connect all these clients, in order of their ids. Raises Refused when one is not let in."""
    crowd = Crowd()
    poll = select.epoll()
    waiting = list(reversed(client_ids))
    starting: dict[int, tuple[socket.socket, bytes]] = {}
    deadline = time.monotonic() + seconds
    try:
        while waiting or starting:
            while waiting and len(starting) < UNDER_WAY:
                sock = start(port)
                starting[sock.fileno()] = (sock, waiting.pop())
                poll.register(sock.fileno(), select.EPOLLOUT)
            if time.monotonic() > deadline:
                crowd.late = True
                break
            for number, _ in poll.poll(0.1):
                _advance(poll, number, starting, crowd)
    except BaseException:
        crowd.close()
        raise
    finally:
        poll.close()
        for sock, _ in starting.values():
            sock.close()
    return crowd


def _advance(poll: select.epoll, number: int, starting: dict[int, tuple[socket.socket, bytes]], crowd: Crowd) -> None:
    sock, client_id = starting[number]
    if client_id:
        sock.send(connect_packet(client_id))
        starting[number] = (sock, b"")
        poll.modify(number, select.EPOLLIN)
        return
    if sock.recv(4) != _ACCEPTED:
        raise Refused("a client of the crowd was not accepted")
    poll.unregister(number)
    del starting[number]
    crowd.members[number] = sock
