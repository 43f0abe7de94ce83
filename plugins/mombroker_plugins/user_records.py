"""Users as they are kept: one record a user, in the plugin's own state, under the user's name. What is kept of the
password is the plugin's business; here it is a text."""

import asyncio
import time

import msgspec

from mombroker.hooks import PluginState
from mombroker.model.errors import MombrokerError

LONGEST_NAME = 200
"""Bytes of a user's or a role's name."""
NO_USER = "\0"
"""What the keys of other things in the same state begin with."""


class UserError(MombrokerError):
    """A user cannot be added, found or changed; the message names the user and says what to do."""


class NoSuchUser(UserError):
    """There is no user of this name."""


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a user. ``hash`` is made of the password, with its parameters and salt in the usual notation."""

    hash: str
    roles: tuple[str, ...] = ()
    created: float = 0.0


class UserRecords:
    """The users of one broker. Every change is on disk when the await returns. ``command`` is what edits them."""

    def __init__(self, state: PluginState, command: str = "mombroker user") -> None:
        self._state = state
        self._command = command
        self._changing = asyncio.Lock()
        """Held from reading a record to writing it, so that of two changes at a time none is lost."""

    async def find(self, name: str) -> UserRecord | None:
        """The record of a user, None if there is no such user. Raises UserError for a record that cannot be read."""
        if not is_name(name):
            return None
        value = await self._state.get(name.encode())
        return None if value is None else _decoded(name, value)

    async def get(self, name: str) -> UserRecord:
        """The record of a user. Raises UserError."""
        record = await self.find(name)
        if record is None:
            raise NoSuchUser(f"there is no user {name}: see {self._command} list, or add it with {self._command} add")
        return record

    async def add(self, name: str, hash: str, roles: tuple[str, ...]) -> None:
        """Add a user. Raises UserError if the name is taken, or no name."""
        check_name(name, "user")
        check_roles(roles)
        async with self._changing:
            if await self._state.get(name.encode()) is not None:
                raise UserError(
                    f"there is a user {name} already: change the password with {self._command} password {name}"
                )
            await self._put(name, UserRecord(hash=hash, roles=roles, created=time.time()))

    async def change(self, name: str, hash: str | None, roles: tuple[str, ...] | None) -> None:
        """Give a user another hash, other roles or both; add the user if there is a hash. Raises UserError."""
        check_name(name, "user")
        check_roles(roles or ())
        async with self._changing:
            record = await self.find(name)
            if record is None:
                if hash is None:
                    raise NoSuchUser(f"there is no user {name}: a new user needs a password")
                record = UserRecord(hash=hash, created=time.time())
            await self._put(
                name,
                msgspec.structs.replace(
                    record,
                    hash=record.hash if hash is None else hash,
                    roles=record.roles if roles is None else roles,
                ),
            )

    async def set_hash(self, name: str, hash: str, instead_of: str | None = None) -> None:
        """Give a user another hash; with ``instead_of``, only if the user still has that one. Raises UserError."""
        async with self._changing:
            record = await self.get(name)
            if instead_of is None or record.hash == instead_of:
                await self._put(name, msgspec.structs.replace(record, hash=hash))

    async def set_roles(self, name: str, roles: tuple[str, ...]) -> None:
        """Give a user these roles and no others. Raises UserError."""
        check_roles(roles)
        async with self._changing:
            await self._put(name, msgspec.structs.replace(await self.get(name), roles=roles))

    async def remove(self, name: str) -> None:
        """Remove a user, also one whose record is damaged. Raises UserError if there is none."""
        async with self._changing:
            if not is_name(name) or await self._state.get(name.encode()) is None:
                raise NoSuchUser(f"there is no user {name}: see {self._command} list")
            await self._state.delete(name.encode())

    async def all(self) -> list[tuple[str, UserRecord | None]]:
        """All users by name; None stands for a record that cannot be read."""
        found: list[tuple[str, UserRecord | None]] = []
        for key, value in await self._state.items():
            name = key.decode("utf-8", "replace")
            if name.startswith(NO_USER):
                continue
            try:
                found.append((name, _decoded(name, value)))
            except UserError:
                found.append((name, None))
        return found

    async def _put(self, name: str, record: UserRecord) -> None:
        await self._state.put(name.encode(), msgspec.json.encode(record))


def _decoded(name: str, value: bytes) -> UserRecord:
    try:
        return msgspec.json.decode(value, type=UserRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"the record of the user {name} is damaged ({error}): remove the user and add it anew"
        ) from None


def is_name(name: str) -> bool:
    """Whether a user can be called so: printable text, not empty, not too long, no space at either end."""
    return bool(name) and name.isprintable() and name == name.strip() and len(name.encode()) <= LONGEST_NAME


def check_name(name: str, what: str) -> None:
    """Raise UserError if no user or role can be called so."""
    if not is_name(name):
        raise UserError(f"{name[:40]!r} cannot be the name of a {what}: write 1 to {LONGEST_NAME} bytes of plain text")


def check_roles(roles: tuple[str, ...]) -> None:
    """Raise UserError if one of them is no name."""
    for role in roles:
        check_name(role, "role")
