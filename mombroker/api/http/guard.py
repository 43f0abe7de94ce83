"""What a browser must not be made to do: send requests here on behalf of another site's page.

Other clients send none of these headers and are not concerned. A browser says where a request comes from (Origin,
Sec-Fetch-Site); one that comes from elsewhere is refused, since it would carry the user's login or simply the user's
place inside the network. And where only this machine can reach the broker, the Host header has to name this machine:
a site whose name leads to 127.0.0.1 would count as the same origin.
"""

import functools
import ipaddress
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from mombroker.operations.problems import FORBIDDEN, Problem

OPEN: Final = frozenset({"same-origin", "none"})
API: Final = "/v1/"


class Guard:
    """``hosts`` are further names that this machine is known by, as behind a proxy."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)

    def check(self, scope: Scope) -> None:
        """Raises Problem (forbidden)."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if is_loopback((scope.get("server") or ("",))[0]) and not self._is_own(_name(host)):
            raise Problem(FORBIDDEN, f"{host[:100]!r} is no name of this machine; add it to http.hosts if it is one")
        if scope["path"].startswith(API):
            self._check_origin(headers, host)

    def _is_own(self, name: str) -> bool:
        return not name or name == "localhost" or name in self._hosts or is_loopback(name)

    def _check_origin(self, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise Problem(FORBIDDEN, f"a page of {origin[:100]!r} may not use this API in a browser")
        if headers.get("sec-fetch-site", "none") not in OPEN:
            raise Problem(FORBIDDEN, "a page of another site may not use this API in a browser")


def _name(host: str) -> str:
    """The Host header without its port and brackets, in small letters."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


@functools.lru_cache(1024)
def is_loopback(name: str) -> bool:
    """Whether this is an address that only this machine can reach."""
    if name[:1] not in "0123456789:" or not name:
        return False
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
