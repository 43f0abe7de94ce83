"""Passwords and their argon2id hashes.

Hashing is meant to be slow, so it is done in a few threads of its own: logins wait for each other, the broker does
not wait for them. Addresses take turns, so that whoever guesses passwords from one of them does not keep the others
out. A client that reconnects is recognised from memory for a while, by a keyed digest that is worth
nothing outside this process.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from mombroker_plugins.user_turns import PasswordThreads


class Passwords:
    """Makes and checks hashes. ``close`` it when done."""

    def __init__(self, time_cost: int = 2, memory_kib: int = 19_456, parallelism: int = 1, threads: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost, memory_kib, parallelism, type=Type.ID)
        self._threads = PasswordThreads(threads)
        self._decoy: str | None = None

    async def hash(self, password: bytes) -> str:
        """The hash of a new password."""
        return await self._threads.run(lambda: self._hasher.hash(password))

    async def matches(self, hash: str, password: bytes, address: str = "") -> bool:
        """Whether this is the password; not, if the hash cannot be read. ``address``: where somebody claims so."""
        return await self._threads.run(lambda: self._matches(hash, password), address)

    async def matches_nobody(self, password: bytes, address: str = "") -> None:
        """Take as long as :meth:`matches` does, so that nobody learns from the time which users there are."""
        await self._threads.run(lambda: self._matches(self.decoy(), password), address)

    def decoy(self) -> str:
        """The hash of a password that nobody knows. Slow the first time."""
        if self._decoy is None:
            self._decoy = self._hasher.hash(secrets.token_bytes(32))
        return self._decoy

    async def prepare(self) -> None:
        """Do what is slow the first time."""
        await self._threads.run(self.decoy)

    def is_outdated(self, hash: str) -> bool:
        """Whether a hash was made with other parameters than are set now."""
        return self._hasher.check_needs_rehash(hash)

    def close(self) -> None:
        """Give up what has not begun yet."""
        self._threads.close()

    def _matches(self, hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(hash, password)
        except (VerificationError, InvalidHashError):
            return False


class Recognised:
    """Logins that succeeded lately. Holds no password, only digests under a key that dies with the process."""

    def __init__(self, seconds: float, size: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._until: dict[bytes, float] = {}

    def knows(self, hash: str, password: bytes) -> bool:
        """Whether this password was found to be the one behind this hash, not too long ago."""
        until = self._until.get(self._digest(hash, password))
        return until is not None and until > self._clock()

    def remember(self, hash: str, password: bytes) -> None:
        """The password is the one behind this hash, as was just found out the slow way."""
        if self._seconds <= 0:
            return
        while len(self._until) >= self._size:
            del self._until[next(iter(self._until))]
        digest = self._digest(hash, password)
        self._until.pop(digest, None)
        self._until[digest] = self._clock() + self._seconds

    def _digest(self, hash: str, password: bytes) -> bytes:
        # The hash holds a salt of its own, so that it stands for the user and for this very password of the user.
        return hmac.digest(self._key, hash.encode() + b"\0" + password, hashlib.sha256)
