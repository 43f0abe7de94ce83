"""What hooks are handed, and what they hand back."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Protocol

from mombroker.model.certificate import ClientCertificate
from mombroker.model.identity import Identity, Refusal


@dataclass(frozen=True)
class ConnectRequest:
    """A CONNECT that waits for its answer. ``version`` is the protocol level: 3 (3.1), 4 (3.1.1) or 5.

    ``client_id`` is the one the client sent, or the one the broker has assigned to it. ``certificate`` is what it has
    shown, if it was asked for one. ``repr`` hides the password.
    """

    client_id: str
    username: str | None
    password: bytes | None = field(repr=False)
    version: int
    address: str
    port: int = 0
    keep_alive: int = 0
    clean_start: bool = True
    will_topic: str | None = None
    listener: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()
    certificate: ClientCertificate | None = None


@dataclass(frozen=True)
class AuthContinue:
    """Enhanced authentication goes on: send ``data`` to the client in an AUTH packet (MQTT-4.12.0-2)."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class AuthDone:
    """Enhanced authentication succeeded; ``data`` goes out with the CONNACK, or with the last AUTH."""

    identity: Identity
    data: bytes | None = field(default=None, repr=False)


class AuthExchange(Protocol):
    """One enhanced authentication of one client, from its first data to the verdict."""

    def step(
        self, data: bytes | None
    ) -> AuthContinue | AuthDone | Refusal | Awaitable[AuthContinue | AuthDone | Refusal]:
        """Answer the client's authentication data; may be a coroutine. None: the client sent no data."""
        ...


class UserDirectory(Protocol):
    """The users that a plugin knows, for those who administer the broker.

    What cannot be done is a :class:`~mombroker.operations.Problem`: no-such-user, bad-request, store-full.
    """

    async def list(self) -> list[tuple[str, tuple[str, ...]]]:
        """The names and roles of all users, in order of their names."""
        ...

    async def put(self, name: str, password: str | None, roles: tuple[str, ...] | None) -> None:
        """Add a user, or change what is given (None: it stays as it is). A new user needs a password, and without
        roles has none."""
        ...

    async def remove(self, name: str) -> bool:
        """Remove a user; False if there is no such user."""
        ...


class PluginState(Protocol):
    """A plugin's own durable key-value table. Values are on disk when the await returns."""

    async def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        ...

    async def put(self, key: bytes, value: bytes) -> None:
        """Set a key. Raises :class:`~mombroker.model.errors.StoreFull` when there is no room."""
        ...

    async def delete(self, key: bytes) -> None:
        """Delete a key; one that is not there is allowed."""
        ...

    async def items(self) -> list[tuple[bytes, bytes]]:
        """All pairs in key order."""
        ...


@dataclass(frozen=True)
class PluginContext:
    """What a plugin gets from the broker that loads it: its name, its durable state, its logger."""

    name: str
    state: PluginState
    log: Any
