"""Who calls: HTTP Basic, a bearer token, or nobody in particular.

Basic asks the authenticate hooks at each call. They are the ones to remember passwords they have checked; the users
plugin does.
"""

import base64
import binascii

from mombroker.api.caller import Caller
from mombroker.api.ports import Native
from mombroker.api.tokens import Tokens
from mombroker.operations.problems import NOT_LOGGED_IN, Problem


class Logins:
    """Finds the caller from what stands in an ``Authorization`` header or in metadata of that name."""

    def __init__(self, native: Native, tokens: Tokens, transport: str) -> None:
        self._native = native
        self._transport = transport
        self.tokens = tokens

    async def caller(self, authorization: str, address: str) -> Caller:
        """Who calls from this address. Raises Problem (not-logged-in)."""
        scheme, _, credentials = authorization.strip().partition(" ")
        match scheme.lower():
            case "":
                return await self._native.login(None, None, address, self._transport)
            case "basic":
                return await self._native.login(*_name_and_password(credentials.strip()), address, self._transport)
            case "bearer":
                return self._bearer(credentials.strip())
        raise Problem(NOT_LOGGED_IN, f"there is no login with {scheme[:40]!r}: use Basic or Bearer")

    def _bearer(self, token: str) -> Caller:
        caller = self.tokens.find(token)
        if caller is None:
            raise Problem(NOT_LOGGED_IN, "the token is unknown, revoked or too old; get one with POST /v1/tokens")
        return caller


def _name_and_password(credentials: str) -> tuple[str, bytes]:
    try:
        name, colon, password = base64.b64decode(credentials, validate=True).partition(b":")
        username = name.decode("utf-8")
    except (binascii.Error, ValueError):
        raise Problem(NOT_LOGGED_IN, "the Basic credentials are not base64 of NAME:PASSWORD in UTF-8") from None
    if not colon or not username:
        raise Problem(NOT_LOGGED_IN, "the Basic credentials are no NAME:PASSWORD")
    return username, password
