"""Where a listener listens: ``HOST:PORT``, with brackets around an IPv6 address."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from mombroker.model.errors import ConfigurationError

_ADDRESS: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^\s\[\]:]+)):(?P<port>[0-9]{1,5})")
_EXPECTED: Final = "write HOST:PORT, such as 127.0.0.1:1883, 0.0.0.0:1883 (every IPv4 address) or [::]:1883"


@dataclass(frozen=True)
class Address:
    """A host (without brackets) and a port; port 0 lets the operating system choose a free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than localhost may lead anywhere."""
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``. Raises :class:`~mombroker.model.errors.ConfigurationError`."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{text!r} is not an address: {_EXPECTED}")
    port = int(match["port"])
    if port > 65_535:
        raise ConfigurationError(f"the port of {text!r} is above 65535: {_EXPECTED}")
    return Address(match["ipv6"] or match["host"], port)


def optional_addresses(text: str) -> tuple[Address, ...]:
    """Read one ``HOST:PORT``, several with commas between them, or ``off``, which is none, as nothing is. Raises
    :class:`~mombroker.model.errors.ConfigurationError`."""
    if text.strip() in ("", "off"):
        return ()
    return tuple(parse_address(part.strip()) for part in text.split(","))
