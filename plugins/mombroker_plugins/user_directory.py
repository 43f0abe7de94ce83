"""The users as administrators edit them through the API, by the same rules as with ``mombroker user``."""

from collections.abc import Iterator
from contextlib import contextmanager

from mombroker.hooks import UserDirectory
from mombroker.model.errors import StoreFull
from mombroker.operations import Problem
from mombroker.operations.problems import BAD_REQUEST, NO_SUCH_USER, STORE_FULL
from mombroker_plugins.user_passwords import Passwords
from mombroker_plugins.user_records import NoSuchUser, UserError, UserRecords, check_name, check_roles


class Directory(UserDirectory):
    """The users of one broker. Whoever calls has been found to be an administrator."""

    def __init__(self, records: UserRecords, passwords: Passwords) -> None:
        self._records = records
        self._passwords = passwords

    async def list(self) -> list[tuple[str, tuple[str, ...]]]:
        """All users by name. One whose record is damaged has no roles: nobody can log in as that user."""
        return [(name, () if record is None else record.roles) for name, record in await self._records.all()]

    async def put(self, name: str, password: str | None, roles: tuple[str, ...] | None) -> None:
        """Add a user, or change the password, the roles or both. Connections that are open stay open."""
        with _problems(name):
            check_name(name, "user")
            check_roles(roles or ())
            if password is None:
                await self._records.change(name, None, roles)
            else:
                await self._records.change(name, await self._passwords.hash(_encoded(password)), roles)

    async def remove(self, name: str) -> bool:
        """Remove a user, also one whose record is damaged. Connections that are open stay open."""
        try:
            await self._records.remove(name)
        except NoSuchUser:
            return False
        return True


def _encoded(password: str) -> bytes:
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        raise Problem(BAD_REQUEST, "the password is no Unicode text: give one that can be written in UTF-8") from None
    if not encoded:
        raise Problem(BAD_REQUEST, "the password is empty: give one of at least one character")
    return encoded


@contextmanager
def _problems(name: str) -> Iterator[None]:
    """Tell what went wrong with a user as a problem, in words that fit every transport."""
    try:
        yield
    except NoSuchUser:
        raise Problem(NO_SUCH_USER, f"there is no user {name}: give a password to add it") from None
    except UserError as error:
        raise Problem(BAD_REQUEST, str(error)) from None
    except StoreFull:
        raise Problem(STORE_FULL, f"the user {name} was not written, for the disk is full: make room") from None
