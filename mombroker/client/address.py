"""Where a broker is: ``mqtt://user:password@host:1883``, ``mqtts://host:8883`` or ``unix:/run/mombroker.sock``."""

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from mombroker.client.errors import BadAddress

DEFAULT: Final = "mqtt://127.0.0.1:1883"
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class Address:
    """A parsed URL. ``path`` is set for a Unix socket only, ``tls`` where the connection is encrypted."""

    host: str
    port: int
    path: str = ""
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_address(url: str, tls: ssl.SSLContext | None = None) -> Address:
    """The address behind a URL; ``tls`` takes the place of the system's trust for ``mqtts://``.

    Raises BadAddress.
    """
    if "://" not in url and not url.startswith("unix:"):
        raise BadAddress(f"{_shown(url)} is no address of a broker: write mqtt://HOST:PORT, mqtts:// or unix:PATH")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"{_shown(url)} is no address of a broker: {error}") from None
    username = unquote(parts.username) if parts.username is not None else None
    password = unquote(parts.password) if parts.password is not None else None
    if parts.scheme == "unix" and parts.path:
        return Address("", 0, parts.path)
    if parts.scheme not in PORTS:
        raise BadAddress(f"{_shown(url)} does not begin with mqtt://, mqtts:// or unix:")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise BadAddress(f"{_shown(url)} is not of the form {parts.scheme}://USER:PASSWORD@HOST:PORT")
    secure = parts.scheme == "mqtts"
    if tls is not None and not secure:
        raise BadAddress(f"{_shown(url)} is not encrypted: write mqtts:// to use the TLS context")
    context = (tls or ssl.create_default_context()) if secure else None
    return Address(parts.hostname, port or PORTS[parts.scheme], "", context, username, password)


def _shown(url: str) -> str:
    """The URL for an error message, without what stands before the @, which may be a password."""
    head, at, tail = url.rpartition("@")
    return f"'{head.partition('://')[0]}://...@{tail}'" if at else f"'{url}'"
