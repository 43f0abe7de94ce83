"""Blocking connections, one at a time. Loopback only, by construction."""

import socket
import time
from collections.abc import Callable, Sequence

from bench.load.packets import DISCONNECT, connect_packet, subscribe_packet

HOST = "127.0.0.1"
PATIENCE = 10.0


class Refused(Exception):
    """The broker did not let a client in, or did not grant a subscription."""


def exactly(sock: socket.socket, count: int) -> bytes:
    """So many bytes. Raises Refused when the broker closes the connection first, TimeoutError when it dawdles."""
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise Refused("the broker closed the connection")
        data += piece
    return data


def connect(port: int, client_id: bytes, clean: bool = True, patience: float = PATIENCE) -> socket.socket:
    """An accepted MQTT connection, blocking, with ``patience`` seconds for every answer."""
    sock = socket.create_connection((HOST, port), timeout=patience)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(connect_packet(client_id, clean))
        answer = exactly(sock, 4)
        if answer[:2] != b"\x20\x02" or answer[3]:
            raise Refused(f"CONNACK {answer.hex()}")
    except BaseException:
        sock.close()
        raise
    return sock


def connect_when_there(port: int, client_id: bytes, patience: float) -> socket.socket:
    """A connection that resumes a session on a broker that is just starting. Raises OSError when it does not come."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return connect(port, client_id, False, max(0.1, deadline - time.monotonic()))
        except (OSError, Refused):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.003)


def subscribe(sock: socket.socket, filters: Sequence[bytes], qos: int) -> None:
    """Subscribe to a few filters. Only on a connection to which nothing is published yet. Raises Refused."""
    sock.sendall(subscribe_packet(1, filters, qos))
    answer = exactly(sock, 4 + len(filters))
    # RabbitMQ grants QoS 1 where 2 was asked for; then the broker is not measured for what was asked.
    if answer[0] != 0x90 or any(granted != qos for granted in answer[4:]):
        raise Refused(f"SUBACK {answer[:12].hex()}: QoS {qos} was asked for")


def disconnect(sock: socket.socket) -> None:
    """Say goodbye, and wait until the broker has taken note by closing."""
    try:
        sock.sendall(DISCONNECT)
        sock.settimeout(0.5)
        while sock.recv(1 << 16):
            pass
    except OSError:
        pass  # a goodbye that is not answered is one all the same
    finally:
        sock.close()


def forget_session(port: int, client_id: bytes) -> None:
    """Let the broker drop what it holds for this client."""
    disconnect(connect(port, client_id, clean=True))


def wait_until_it_answers(port: int, seconds: float, alive: Callable[[], bool]) -> bool:
    """Whether the broker accepts an MQTT connection within so many seconds. ``alive()`` false ends the wait."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            disconnect(connect(port, b"bench-hello", patience=2.0))
            return True
        except (OSError, Refused):
            if not alive():
                return False
            time.sleep(0.02)
    return False
