"""Crowds: thousands of connections that come all at once, and what single ones of them do. Raw sockets, as the load
generator of the benchmark has them, without its limit to the handshakes under way."""

import select
import socket
import time

from bench.load.connection import HOST, Refused
from bench.load.crowd import Crowd, start
from bench.load.packets import connect_packet
from tests.processes.server import TIMEOUT

_ACCEPTED = b"\x20\x02\x00\x00"
SPARE = 200
"""Descriptors that are left for everything else."""


def rush(port: int, count: int, name: str = "crowd", patience: float = 2 * TIMEOUT) -> Crowd:
    """Open so many connections without waiting for one another, and let each send its CONNECT as soon as it can.

    ``late``: some were not let in within the time. Raises Refused for one that was turned away.
    """
    crowd, poll = Crowd(), select.epoll()
    opening = {}
    for number in range(count):
        sock = start(port)
        opening[sock.fileno()] = (sock, f"{name}-{number}".encode())
        poll.register(sock.fileno(), select.EPOLLOUT)
    deadline = time.monotonic() + patience
    try:
        while opening and time.monotonic() < deadline:
            for number, _ in poll.poll(1.0):
                sock, client_id = opening[number]
                if client_id:
                    sock.send(connect_packet(client_id))
                    opening[number] = (sock, b"")
                    poll.modify(number, select.EPOLLIN)
                    continue
                answer = sock.recv(4)
                if answer != _ACCEPTED:
                    raise Refused(f"one of the crowd got {answer.hex() or 'the end'} for a CONNACK")
                poll.unregister(number)
                del opening[number]
                crowd.members[number] = sock
        crowd.late = bool(opening)
    except BaseException:
        crowd.close()
        raise
    finally:
        poll.close()
        for sock, _ in opening.values():
            sock.close()
    return crowd


def ping(crowd: Crowd, patience: float = TIMEOUT) -> int:
    """Ask each for a sign of life, all at once; how many gave one."""
    poll, silent = select.epoll(), set(crowd.members)
    deadline = time.monotonic() + patience
    for number, sock in crowd.members.items():
        sock.send(b"\xc0\x00")
        poll.register(number, select.EPOLLIN)
    while silent and time.monotonic() < deadline:
        for number, _ in poll.poll(1.0):
            if crowd.members[number].recv(2) == b"\xd0\x00":
                silent.discard(number)
            poll.unregister(number)
    poll.close()
    return len(crowd.members) - len(silent)


def deaf(port: int, name: str, topic: bytes, qos: int) -> socket.socket:
    """A client that has subscribed and will never read again. Its window is small, so that it is noticed soon."""
    from bench.load.packets import subscribe_packet

    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(TIMEOUT)
    sock.connect((HOST, port))
    sock.sendall(connect_packet(name.encode(), clean=True))
    _expect(sock, _ACCEPTED)
    sock.sendall(subscribe_packet(1, [topic], qos))
    _expect(sock, b"\x90\x03\x00\x01" + bytes((qos,)))
    return sock


def _expect(sock: socket.socket, wanted: bytes) -> None:
    answer = b""
    while len(answer) < len(wanted):
        piece = sock.recv(len(wanted) - len(answer))
        if not piece:
            break
        answer += piece
    if answer != wanted:
        raise Refused(f"{answer.hex()} came where {wanted.hex()} was due")
