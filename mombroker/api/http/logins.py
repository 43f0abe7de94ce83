"""Who sends a request, as HTTP says it; :mod:`mombroker.api.logins` tells who that is."""

from starlette.requests import Request

from mombroker.api.caller import Caller
from mombroker.api.logins import Logins

HEADER = "authorization"


async def caller_of(logins: Logins, request: Request) -> Caller:
    """Who sends this request. Raises Problem (not-logged-in)."""
    return await logins.caller(request.headers.get(HEADER, ""), address(request))


def authorization(request: Request) -> tuple[str, str]:
    """The scheme of the Authorization header in small letters, and what follows it; both empty without one."""
    scheme, _, credentials = request.headers.get(HEADER, "").strip().partition(" ")
    return scheme.lower(), credentials.strip()


def address(request: Request) -> str:
    """The address that the request comes from."""
    return "" if request.client is None else request.client.host
