"""Where a listener listens: ``HOST:PORT``, with brackets around an IPv6 address, and in front of it what is spoken.

For MQTT that is nothing or ``mqtt://`` (TCP), ``mqtts://`` (TLS), ``ws://`` and ``wss://`` (WebSocket), and
``unix:PATH``; ``systemd:NAME`` in the place of HOST:PORT is a socket that systemd has opened. HTTP knows ``https://``,
and gRPC ``grpcs://``.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mombroker.model.errors import ConfigurationError

MQTT: Final = ("mqtt", "mqtts", "ws", "wss", "unix")
HTTP: Final = ("http", "https")
GRPC: Final = ("grpc", "grpcs")
"""What may be spoken at an address; the first of each is what goes without saying."""

ENCRYPTED: Final = frozenset({"mqtts", "wss", "https", "grpcs"})
WEB_SOCKETS: Final = frozenset({"ws", "wss"})
DEFAULT_PATH: Final = "/mqtt"
"""Where WebSocket clients look for MQTT, by custom."""

_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?"
    r"(?:systemd:(?P<socket>[A-Za-z_][A-Za-z0-9_.-]*)"
    r"|(?:\[(?P<ipv6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^\s\[\]:/]+)):(?P<port>[0-9]{1,5}))"
    r"(?P<path>/[!-~]*)?"
)
OFF: Final = "off"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_EXPECTED: Final = "write HOST:PORT, such as 127.0.0.1:1883, 0.0.0.0:1883 (every IPv4 address) or [::]:1883"
_FORMS: Final = {
    "mqtts": "mqtts://HOST:PORT (TLS)",
    "ws": "ws://HOST:PORT/PATH",
    "wss": "wss://HOST:PORT/PATH",
    "unix": "unix:PATH",
    "https": "https://HOST:PORT",
    "grpcs": "grpcs://HOST:PORT (TLS)",
}


@dataclass(frozen=True)
class Address:
    """A host (without brackets) and a port; port 0 lets the operating system choose a free one.

    ``scheme`` is empty for what goes without saying. ``path`` is the one of a URL for WebSockets, and the file's for
    ``unix``, where host and port mean nothing; nor do they where ``socket`` names one that systemd has opened.
    """

    host: str
    port: int
    scheme: str = ""
    path: str = ""
    socket: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than localhost may lead anywhere, and so may a socket
        that somebody else has opened."""
        if self.scheme == "unix":
            return True
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme in ENCRYPTED

    def at(self, port: int) -> "Address":
        """The same with the port that the operating system has chosen."""
        return replace(self, port=port)

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.path}"
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        if self.socket:
            where = f"systemd:{self.socket}"
        return f"{self.scheme}://{where}{self.path}" if self.scheme else where


def parse_address(text: str, schemes: Sequence[str] = MQTT) -> Address:
    """Read an address at which one of ``schemes`` may be spoken.

    Raises :class:`~mombroker.model.errors.ConfigurationError`.
    """
    if text.startswith("unix:") and "unix" in schemes:
        return _unix(text)
    match = _ADDRESS.fullmatch(text)
    scheme = (match["scheme"] or schemes[0]) if match else ""
    if match is None or scheme not in schemes or (match["path"] and scheme not in WEB_SOCKETS):
        raise ConfigurationError(f"{text!r} is not an address: {_expected(schemes)}")
    port = int(match["port"] or 0)
    if port > 65_535:
        raise ConfigurationError(f"the port of {text!r} is above 65535: {_expected(schemes)}")
    if match["socket"] and "unix" not in schemes:
        raise ConfigurationError(f"{text!r} is for MQTT only: {_expected(schemes)}")
    path = (match["path"] or DEFAULT_PATH) if scheme in WEB_SOCKETS else ""
    spoken = "" if scheme == schemes[0] else scheme
    return Address(match["ipv6"] or match["host"] or "", port, spoken, path, match["socket"] or "")


def parse_network(text: str) -> Network:
    """Read an address, or a network of them. Raises :class:`~mombroker.model.errors.ConfigurationError`."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no network: {error}; write 10.0.0.7, 10.0.0.0/8 or fd00::/8") from None


def _unix(text: str) -> Address:
    path = text.removeprefix("unix:")
    if not path or "\0" in path:
        raise ConfigurationError(f"{text!r} names no file: write unix:PATH, such as unix:/run/mombroker/mqtt.sock")
    return Address("", 0, "unix", path)


def _expected(schemes: Sequence[str]) -> str:
    forms = [_FORMS[scheme] for scheme in schemes if scheme in _FORMS]
    return f"{_EXPECTED}; or {', '.join(forms)}" if forms else _EXPECTED


def optional_addresses(text: str, schemes: Sequence[str] = MQTT) -> tuple[Address, ...]:
    """Read one address, several with commas between them, or ``off``, which is none, as nothing is. Raises
    :class:`~mombroker.model.errors.ConfigurationError`."""
    if text.strip() in ("", OFF):
        return ()
    return tuple(parse_address(part.strip(), schemes) for part in text.split(","))
