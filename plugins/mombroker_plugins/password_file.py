"""Users from a password file of Mosquitto's.

The file is read again at the first login after it has changed. If it cannot be used then, the log says why and the
users are those that were read last: a slip of the hand locks nobody out.
"""

import os
import threading
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mombroker.hooks import ConnectRequest, PluginContext, hookimpl
from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD
from mombroker_plugins.password_lines import Hash, LineError, read_lines
from mombroker_plugins.user_passwords import Recognised
from mombroker_plugins.user_turns import PasswordThreads

Role = Annotated[str, Meta(min_length=1)]
Stamp = tuple[int, int, int]

REFUSED = Refusal(BAD_USER_NAME_OR_PASSWORD, "bad user name or password")


class PasswordFileSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.password_file]``"""

    path: Annotated[str, Meta(min_length=1, description="The file, as mosquitto_passwd writes it.")]
    roles: Annotated[tuple[Role, ...], Meta(description="Roles of all users of the file.")] = ()
    user_roles: Annotated[
        dict[str, tuple[Role, ...]], Meta(description="Further roles of single users, under their names.")
    ] = {}
    unknown_users: Annotated[
        Literal["refuse", "pass"],
        Meta(
            description="What becomes of a username that is not in the file: it is refused like a wrong password, or "
            "passed on to the next plugin. With `pass`, whoever tries can find out which users are in the file."
        ),
    ] = "refuse"
    max_concurrent: Annotated[
        int, Meta(ge=1, le=64, description="Passwords checked at a time; the others wait for their turn.")
    ] = 2
    remember_seconds: Annotated[
        float,
        Meta(
            ge=0.0,
            le=86_400.0,
            description="Seconds for which a client that reconnects is recognised without the slow check. A changed "
            "file counts at once all the same. 0: never.",
        ),
    ] = 300.0


class PasswordFile:
    """The plugin ``password_file``."""

    Settings = PasswordFileSettings

    def __init__(self, settings: PasswordFileSettings, context: PluginContext) -> None:
        self._settings = settings
        self._users = UsersOfFile(settings.path, context.log)
        self._recognised = Recognised(settings.remember_seconds)
        self._threads = PasswordThreads(settings.max_concurrent)

    @hookimpl
    def mombroker_shutdown(self) -> None:
        """Nobody waits for a password any more."""
        self._threads.close()

    @hookimpl
    async def mombroker_authenticate(self, request: ConnectRequest) -> Identity | Refusal | None:
        """The user with this name and password, or a refusal that does not tell which of the two is wrong."""
        name = request.username
        if name is None:
            return None
        password = request.password or b""
        users = await self._threads.run(self._users.now, request.address)
        hash = users.get(name)
        if hash is None:
            return await self._unknown(users, password, request.address)
        if not self._recognised.knows(hash.text, password):
            if not await self._threads.run(lambda: hash.matches(password), request.address):
                return REFUSED
            self._recognised.remember(hash.text, password)
        settings = self._settings
        roles = frozenset((*settings.roles, *settings.user_roles.get(name, ())))
        return Identity(request.client_id, name, roles, request.address)

    async def _unknown(self, users: dict[str, Hash], password: bytes, address: str) -> Refusal | None:
        """Turn down a name that is not in the file, no faster than a wrong password."""
        if self._settings.unknown_users == "pass":
            return None
        decoy = next(iter(users.values()), None)
        if decoy is not None:
            await self._threads.run(lambda: decoy.matches(password), address)
        return REFUSED


class UsersOfFile:
    """The users of a password file. Made for threads: several may ask at a time, and each waits for the disk."""

    def __init__(self, path: str, log: Any) -> None:
        self._path = path
        self._log = log
        self._reading = threading.Lock()
        try:
            self._stamp: Stamp | None = _stamp(path)
            self._users = _read(path)
        except (OSError, LineError) as error:
            raise ConfigurationError(f"[plugins.password_file] path: {path}: {_reason(error)}") from None

    def now(self) -> dict[str, Hash]:
        """The users that the file holds now, or held when it could be used last."""
        with self._reading:
            try:
                stamp = _stamp(self._path)
            except OSError as error:
                self._keep_old(None, error)
                return self._users
            if stamp != self._stamp:
                self._read_again(stamp)
            return self._users

    def _read_again(self, stamp: Stamp) -> None:
        try:
            self._users = _read(self._path)
        except (OSError, LineError) as error:
            self._keep_old(stamp, error)
            return
        self._stamp = stamp
        self._log.info("password file read again", path=self._path, users=len(self._users))

    def _keep_old(self, stamp: Stamp | None, error: Exception) -> None:
        """Go on with the users that are known; say so once for each state of the file."""
        if stamp != self._stamp:
            self._stamp = stamp
            self._log.error("password file not read again: the old users stay", path=self._path, error=_reason(error))


def _stamp(path: str) -> Stamp:
    """What changes when the file does. Taken before it is read: a change meanwhile is seen the next time."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: str) -> dict[str, Hash]:
    with open(path, encoding="utf-8", errors="strict") as file:
        try:
            return read_lines(file)
        except UnicodeDecodeError:
            raise LineError("it is no text in UTF-8; write it with mosquitto_passwd") from None


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
