"""Lines of a password file as Mosquitto's ``mosquitto_passwd`` writes them: ``NAME:HASH``, blank or a comment.

A hash is ``$6$SALT$DIGEST`` (SHA-512 of password and salt), ``$7$ITERATIONS$SALT$DIGEST`` (PBKDF2 with SHA-512), or,
since Mosquitto 2.1, argon2id in its usual notation. Errors name the line and quote nothing of it.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

MOST_ITERATIONS: Final = 10_000_000
_DIGEST_BYTES: Final = 64
_ARGON2: Final = "$argon2id$"
_REMEDY: Final = "hash the passwords of the file with mosquitto_passwd -U"


class LineError(Exception):
    """A line of a password file cannot be used; the message tells which and why."""


@dataclass(frozen=True)
class Hash:
    """A password's hash as it stands in the file. ``iterations`` is 0 unless it is PBKDF2."""

    text: str = field(repr=False)
    iterations: int = 0
    salt: bytes = field(default=b"", repr=False)
    digest: bytes = field(default=b"", repr=False)

    def matches(self, password: bytes) -> bool:
        """Whether this is the password. Slow, as it is meant to be."""
        if self.text.startswith(_ARGON2):
            return _matches_argon2(self.text, password)
        if self.iterations:
            found = hashlib.pbkdf2_hmac("sha512", password, self.salt, self.iterations, _DIGEST_BYTES)
        else:
            found = hashlib.sha512(password + self.salt).digest()
        return hmac.compare_digest(found, self.digest)


def read_lines(lines: Iterable[str]) -> dict[str, Hash]:
    """The users and their hashes. Raises LineError."""
    found: dict[str, Hash] = {}
    for number, name, hash in _entries(lines):
        if name in found:
            raise LineError(f"line {number}: the user has a line already; remove one of them")
        try:
            found[name] = _parsed(hash)
        except ValueError as error:
            raise LineError(f"line {number}: {error}") from None
    return found


def _entries(lines: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, colon, hash = text.partition(":")
        if not name or not colon:
            raise LineError(f"line {number}: it is not NAME:HASH; write it with mosquitto_passwd")
        yield number, name, hash


def _parsed(text: str) -> Hash:
    """Raises ValueError, which says what is wrong."""
    match text.split("$"):
        case ["", "6", salt, digest]:
            return Hash(text, 0, _decoded(salt), _digest(digest))
        case ["", "7", iterations, salt, digest]:
            return Hash(text, _iterations(iterations), _decoded(salt), _digest(digest))
        case ["", "argon2id", *_]:
            return _parsed_argon2(text)
    # What looks like the name of another kind of hash may be the beginning of a password: it is not quoted.
    raise ValueError(f"the password is in plain text, or hashed in a way that is unknown here; {_REMEDY}")


def _parsed_argon2(text: str) -> Hash:
    try:
        extract_parameters(text)
    except InvalidHashError:
        raise ValueError("the argon2id hash is damaged; write it anew with mosquitto_passwd") from None
    return Hash(text)


def _iterations(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) <= MOST_ITERATIONS):
        raise ValueError(f"the hash has no number of iterations from 1 to {MOST_ITERATIONS}")
    return int(text)


def _decoded(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise ValueError("the hash is damaged; write it anew with mosquitto_passwd")
    return decoded


def _digest(text: str) -> bytes:
    digest = _decoded(text)
    if len(digest) != _DIGEST_BYTES:
        raise ValueError("the hash is not one of SHA-512; write it anew with mosquitto_passwd")
    return digest


def _matches_argon2(text: str, password: bytes) -> bool:
    try:
        return PasswordHasher().verify(text, password)
    except (VerificationError, InvalidHashError):
        return False
