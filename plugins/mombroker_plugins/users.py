"""Users with passwords, kept in the broker's own store.

A client that sends a username is this plugin's business: it is let in or refused, and no later plugin is asked. One
that sends none is not. Users are edited with ``mombroker user``, also while the broker runs, and through the API: the
record is read at every CONNECT.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from mombroker.hooks import ConnectRequest, PluginContext, UserDirectory, hookimpl
from mombroker.model.errors import StoreFull
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD
from mombroker_plugins.user_commands import add_user_commands
from mombroker_plugins.user_directory import Directory
from mombroker_plugins.user_passwords import Passwords, Recognised
from mombroker_plugins.user_records import UserError, UserRecord, UserRecords

REFUSED = Refusal(BAD_USER_NAME_OR_PASSWORD, "bad user name or password")


class UsersSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.users]``"""

    time_cost: Annotated[int, Meta(ge=1, le=100, description="Argon2id: passes over the memory.")] = 2
    memory_kib: Annotated[int, Meta(ge=8, le=1 << 22, description="Argon2id: KiB of memory for one password.")] = 19_456
    parallelism: Annotated[int, Meta(ge=1, le=64, description="Argon2id: lanes.")] = 1
    max_concurrent: Annotated[
        int, Meta(ge=1, le=64, description="Passwords checked at a time; addresses take turns.")
    ] = 2
    remember_seconds: Annotated[
        float,
        Meta(
            ge=0.0,
            le=86_400.0,
            description="Seconds for which a client that reconnects is recognised without the slow check. A changed "
            "password or a removed user counts at once all the same. 0: never.",
        ),
    ] = 300.0


class Users:
    """The plugin ``users``."""

    Settings = UsersSettings

    def __init__(self, settings: UsersSettings, context: PluginContext) -> None:
        self._records = UserRecords(context.state)
        self._log = context.log
        self._recognised = Recognised(settings.remember_seconds)
        self._passwords = Passwords(
            settings.time_cost, settings.memory_kib, settings.parallelism, settings.max_concurrent
        )
        self._directory = Directory(self._records, self._passwords)

    @hookimpl
    async def mombroker_startup(self) -> None:
        """Be ready, so that the first unknown user takes no longer than the next."""
        await self._passwords.prepare()

    @hookimpl
    def mombroker_shutdown(self) -> None:
        """Nobody waits for a password any more."""
        self._passwords.close()

    @hookimpl
    async def mombroker_authenticate(self, request: ConnectRequest) -> Identity | Refusal | None:
        """The user with this name and password, or a refusal that does not tell which of the two is wrong."""
        name = request.username
        if name is None:
            return None
        password = request.password or b""
        record = await self._find(name)
        if record is None:
            await self._passwords.matches_nobody(password, request.address)
            return REFUSED
        if not self._recognised.knows(record.hash, password):
            if not await self._passwords.matches(record.hash, password, request.address):
                return REFUSED
            self._recognised.remember(record.hash, password)
            if self._passwords.is_outdated(record.hash):
                await self._renew(name, record, password)
        return Identity(request.client_id, name, frozenset(record.roles), request.address)

    @hookimpl
    def mombroker_user_directory(self) -> UserDirectory:
        """The same users, for administrators."""
        return self._directory

    async def _find(self, name: str) -> UserRecord | None:
        try:
            return await self._records.find(name)
        except UserError as error:
            self._log.error("user cannot log in", username=name, error=str(error))
            return None

    async def _renew(self, name: str, record: UserRecord, password: bytes) -> None:
        """Keep the password under the parameters of today. It can wait for the next login if the disk is full."""
        try:
            await self._records.set_hash(name, await self._passwords.hash(password), instead_of=record.hash)
        except (StoreFull, UserError) as error:
            self._log.warning("password hash not renewed", username=name, error=str(error))

    @staticmethod
    @hookimpl
    def mombroker_cli(cli: Any) -> None:
        """Add ``mombroker user``."""
        add_user_commands(cli)
