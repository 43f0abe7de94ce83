"""The PROXY protocol, versions 1 and 2: how a load balancer tells whose connection it passes on.

https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt. Without I/O: whoever reads asks :func:`wanted` how much, so
that not a byte is taken that belongs to what follows, which may be the handshake of TLS.
"""

import ipaddress
import struct
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""What version 2 begins with."""

LONGEST_1: Final = 107
"""The longest line of version 1, in bytes."""

SHORTEST_1: Final = len(b"PROXY UNKNOWN\r\n")
HEADER_2: Final = 16
LONGEST_2: Final = HEADER_2 + 4096
"""Longer than any address and what balancers add to it; the format would allow 64 KiB."""

_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21


class BadHeader(Exception):
    """What came first is no PROXY header. The message says why."""


def wanted(data: bytes) -> int:
    """How many bytes more belong to the header for certain; 0 when it is complete. Raises BadHeader."""
    if len(data) < len(SIGNATURE):
        _check_beginning(data)
        return len(SIGNATURE) - len(data)
    if data.startswith(SIGNATURE):
        return _wanted_2(data)
    _check_beginning(data)
    if data.endswith(b"\r\n"):
        return 0
    if len(data) >= LONGEST_1:
        raise BadHeader(f"a line of more than {LONGEST_1} bytes")
    return max(SHORTEST_1 - len(data), 1)


def _check_beginning(data: bytes) -> None:
    if not (SIGNATURE.startswith(data) or data.startswith(b"PROXY ") or b"PROXY ".startswith(data)):
        raise BadHeader("the connection does not begin with a PROXY header")


def _wanted_2(data: bytes) -> int:
    if len(data) < HEADER_2:
        return HEADER_2 - len(data)
    whole = HEADER_2 + int.from_bytes(data[14:16], "big")
    if whole > LONGEST_2:
        raise BadHeader(f"a header of {whole} bytes")
    return whole - len(data)


def source(header: bytes) -> tuple[str, int] | None:
    """The client's host and port by a complete header; None: the balancer speaks for itself, or does not know.

    Raises BadHeader.
    """
    return _source_2(header) if header.startswith(SIGNATURE) else _source_1(header)


def _source_1(header: bytes) -> tuple[str, int] | None:
    words = header[:-2].split(b" ")
    if len(words) >= 2 and words[1] == b"UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise BadHeader("a line that is not PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT")
    try:
        host = ipaddress.ip_address(words[2].decode("ascii"))
        ipaddress.ip_address(words[3].decode("ascii"))
        ports = [_port(word) for word in words[4:]]
    except ValueError as error:
        raise BadHeader(f"a line with an address that is none: {error}") from None
    if host.version != int(words[1][3:]):
        raise BadHeader("an address of another family than the line says")
    return str(host), ports[0]


def _port(word: bytes) -> int:
    if not word.isdigit() or len(word) > 5 or int(word) > 65_535:
        raise ValueError("a port that is none")
    return int(word)


def _source_2(header: bytes) -> tuple[str, int] | None:
    command, family = header[12], header[13]
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise BadHeader(f"version and command 0x{command:02X}")
    body = header[HEADER_2:]
    if family == _TCP4 and len(body) >= 12:
        return str(ipaddress.IPv4Address(body[:4])), int(struct.unpack_from("!H", body, 8)[0])
    if family == _TCP6 and len(body) >= 36:
        return str(ipaddress.IPv6Address(body[:16])), int(struct.unpack_from("!H", body, 32)[0])
    if family in (_TCP4, _TCP6):
        raise BadHeader("a header that is too short for its addresses")
    return None
