"""Who sends a request: HTTP Basic, a bearer token, or nobody in particular.

Basic asks the authenticate hooks at each request. They are the ones to remember passwords they have checked; the users
plugin does.
"""

import base64
import binascii
from typing import Final

from starlette.requests import Request

from mombroker.api.caller import Caller
from mombroker.api.http.tokens import Tokens
from mombroker.api.native import NativeApi
from mombroker.operations.problems import NOT_LOGGED_IN, Problem

TRANSPORT: Final = "http"


class Logins:
    """Finds the caller of a request."""

    def __init__(self, native: NativeApi, tokens: Tokens) -> None:
        self._native = native
        self.tokens = tokens

    async def caller(self, request: Request) -> Caller:
        """Who sends this request. Raises Problem (not-logged-in)."""
        scheme, credentials = authorization(request)
        if scheme == "bearer":
            caller = self.tokens.find(credentials)
            if caller is None:
                raise Problem(NOT_LOGGED_IN, "the token is unknown, revoked or too old; get one with POST /v1/tokens")
            return caller
        if scheme == "basic":
            return await self.with_password(request, credentials)
        if scheme:
            raise Problem(NOT_LOGGED_IN, f"there is no login with {scheme[:40]!r}: use Basic or Bearer")
        return await self._native.login(None, None, address(request), TRANSPORT)

    async def with_password(self, request: Request, credentials: str) -> Caller:
        """Who can show these Basic credentials."""
        username, password = _name_and_password(credentials)
        return await self._native.login(username, password, address(request), TRANSPORT)


def authorization(request: Request) -> tuple[str, str]:
    """The scheme of the Authorization header in small letters, and what follows it; both empty without one."""
    scheme, _, credentials = request.headers.get("authorization", "").strip().partition(" ")
    return scheme.lower(), credentials.strip()


def address(request: Request) -> str:
    """The address that the request comes from."""
    return "" if request.client is None else request.client.host


def _name_and_password(credentials: str) -> tuple[str, bytes]:
    try:
        name, colon, password = base64.b64decode(credentials, validate=True).partition(b":")
        username = name.decode("utf-8")
    except (binascii.Error, ValueError):
        raise Problem(NOT_LOGGED_IN, "the Basic credentials are not base64 of NAME:PASSWORD in UTF-8") from None
    if not colon or not username:
        raise Problem(NOT_LOGGED_IN, "the Basic credentials are no NAME:PASSWORD")
    return username, password
