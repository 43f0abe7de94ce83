"""Calls to a web server, bounded in time and in what is read. They block: make them in a thread.

Nothing is followed: a server that redirects could send a password, or the question for a key, anywhere.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


class CallFailed(Exception):
    """There is no answer; the message says why, and quotes nothing that was sent."""


class Target(NamedTuple):
    """Where a call goes. ``tls`` is None where nothing is encrypted."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None


class Answer(NamedTuple):
    """What a server has said."""

    status: int
    body: bytes


def target_of(url: str, ca: str = "", plain: bool = False) -> Target:
    """The target that an address stands for; ``ca`` is a file of authorities to trust instead of the usual ones.

    Raises ValueError for an address that is none, or that leaves the machine without encryption although not ``plain``,
    and OSError for a file that cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError(f"{url!r} is no address of a web page: write https://HOST/PATH")
    if parts.scheme == "http" and not plain and not is_this_machine(parts.hostname):
        raise ValueError(f"{url!r} is not encrypted: write https://, unless it is on this machine")
    tls = ssl.create_default_context(cafile=ca or None) if parts.scheme == "https" else None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.hostname, parts.port or _PORTS[parts.scheme], path, tls)


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine, whatever a name server says."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def call(
    target: Target,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    seconds: float = 5.0,
    most: int = 1 << 20,
) -> Answer:
    """Ask, and return the answer. Raises CallFailed after ``seconds``, and when it has more than ``most`` bytes."""
    connection = _connection(target, seconds)
    try:
        connection.connect()
        # Time-outs of a socket begin anew with every byte. This one does not.
        too_late = threading.Event()
        watchdog = threading.Timer(seconds, _cut, [connection.sock, too_late])
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.request(method, target.path, body, {"User-Agent": "mombroker", "Connection": "close", **headers})
            response = connection.getresponse()
            answer = Answer(response.status, response.read(most + 1))
        finally:
            watchdog.cancel()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CallFailed(f"{target.host}:{target.port} gives no answer ({_reason(error)})") from None
    finally:
        connection.close()
    if too_late.is_set():
        raise CallFailed(f"{target.host}:{target.port} gives no answer within {seconds:g} seconds")
    if len(answer.body) > most:
        raise CallFailed(f"{target.host}:{target.port} answers with more than {most} bytes")
    return answer


def _connection(target: Target, seconds: float) -> http.client.HTTPConnection:
    if target.tls is None:
        return http.client.HTTPConnection(target.host, target.port, timeout=seconds)
    return http.client.HTTPSConnection(target.host, target.port, timeout=seconds, context=target.tls)


def _cut(connection: socket.socket, too_late: threading.Event) -> None:
    """End a connection that another thread waits for; below TLS, whose state is that thread's."""
    too_late.set()  # what has been read by now may look like an answer that has come to its end
    with contextlib.suppress(OSError):  # the answer has come at the last moment, and it is closed
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
