"""What is kept of a password for SCRAM-SHA-256: a verifier, which proves nothing to anybody else.

It is written as PostgreSQL does, ``SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY``. scramp is an extra and is
imported late: the command line knows the plugin without it.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

from mombroker.model.errors import PluginError
from mombroker_plugins.user_records import UserError

MECHANISM: Final = "SCRAM-SHA-256"
ITERATIONS: Final = 32_768
LEAST: Final = 4_096
MOST: Final = 10_000_000
_KEY_BYTES: Final = 32
_LEAST_SALT: Final = 12


@dataclass(frozen=True)
class Verifier:
    """Salt, stored key, server key and number of iterations (RFC 5802, section 3)."""

    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int

    def __str__(self) -> str:
        salt, stored, server = (base64.b64encode(one).decode() for one in (self.salt, self.stored_key, self.server_key))
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"


def scramp() -> ModuleType:
    """The library. Raises PluginError where it is not installed."""
    try:
        import scramp
    except ImportError:
        raise PluginError("the plugin scram needs scramp: pip install 'mombroker[scram]'") from None
    return scramp  # type: ignore[no-any-return]


def verifier_of(name: str, password: bytes, iterations: int = ITERATIONS) -> Verifier:
    """The verifier of a new password. Slow, as it is meant to be. Raises UserError, PluginError."""
    library = scramp()
    try:
        text = password.decode()
        prepared = str(library.ScramClient([MECHANISM], name, text).username)
        salt, stored, server, count = library.ScramMechanism(MECHANISM).make_auth_info(text, iterations)
    except (UnicodeDecodeError, library.ScramException) as error:
        raise UserError(f"SCRAM cannot do with this name or password ({error}): choose others") from None
    if prepared != name:
        raise UserError(f"clients will send the name {name} as {prepared}: add the user by that name")
    return Verifier(salt, stored, server, count)


def parse_verifier(text: str) -> Verifier:
    """A verifier as it is kept. Raises UserError."""
    try:
        mechanism, parameters, keys = text.split("$")
        iterations, salt = parameters.split(":")
        stored, server = keys.split(":")
        found = Verifier(_decoded(salt), _decoded(stored), _decoded(server), int(iterations))
    except (ValueError, binascii.Error):
        raise UserError("the verifier is damaged: set the password anew") from None
    sizes_fit = len(found.salt) >= _LEAST_SALT and {len(found.stored_key), len(found.server_key)} == {_KEY_BYTES}
    if mechanism != MECHANISM or not sizes_fit or not LEAST <= found.iterations <= MOST:
        raise UserError("the verifier is damaged: set the password anew")
    return found


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def made_up(secret: bytes, name: str, iterations: int) -> Verifier:
    """The verifier of a user who is not there: always the same for a name, and nobody's password."""

    def chance(purpose: bytes) -> bytes:
        return hmac.digest(secret, purpose + name.encode(), hashlib.sha256)

    return Verifier(chance(b"salt"), chance(b"stored"), chance(b"server"), iterations)
