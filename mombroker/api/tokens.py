"""Bearer tokens: made for a user who has logged in with a password, kept in memory as digests only."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mombroker.api.caller import Caller

PER_USER: Final = 100
"""Tokens that one user may have; one more takes the place of the oldest."""


@dataclass(frozen=True)
class _Token:
    caller: Caller
    user: str
    until: float


class Tokens:
    """All tokens of a broker, gone when it stops. ``lifetime`` is seconds; ``clock`` tells seconds that never go
    back, ``calendar`` those since the Unix epoch, in which logins expire."""

    def __init__(self, lifetime: float, clock: Callable[[], float], calendar: Callable[[], float] = time.time) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._calendar = calendar
        self._tokens: dict[bytes, _Token] = {}
        self._of_user: dict[str, list[bytes]] = {}

    def lifetime_for(self, caller: Caller) -> float:
        """How long a token for this login would live: no longer than the login."""
        expires = caller.identity.expires_at
        return min(self.lifetime, expires - self._calendar()) if expires else self.lifetime

    def issue(self, caller: Caller, user: str) -> str:
        """A new token for a user."""
        text = secrets.token_urlsafe(32)
        digest = _digest(text)
        self._forget_old(user)
        self._tokens[digest] = _Token(caller, user, self._clock() + self.lifetime_for(caller))
        self._of_user.setdefault(user, []).append(digest)
        return text

    def find(self, text: str) -> Caller | None:
        """Whose token this is; None if it is unknown, revoked or too old."""
        token = self._tokens.get(_digest(text))
        if token is None or token.until <= self._clock() or token.caller.identity.has_expired(self._calendar()):
            return None
        return token.caller

    def revoke(self, text: str) -> bool:
        """Make a token worthless; tells whether it was worth anything."""
        digest = _digest(text)
        token = self._tokens.pop(digest, None)
        if token is None:
            return False
        self._of_user[token.user].remove(digest)
        return token.until > self._clock()

    def revoke_user(self, user: str) -> None:
        """Make all tokens of a user worthless."""
        for digest in self._of_user.pop(user, ()):
            del self._tokens[digest]

    def _forget_old(self, user: str) -> None:
        now = self._clock()
        kept = [digest for digest in self._of_user.get(user, ()) if self._tokens[digest].until > now][-PER_USER + 1 :]
        for digest in set(self._of_user.get(user, ())) - set(kept):
            del self._tokens[digest]
        self._of_user[user] = kept


def _digest(text: str) -> bytes:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(text.encode()).digest()
