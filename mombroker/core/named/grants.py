"""Grants: which users may use whose queues, by patterns of names. Kept in the store."""

from typing import TYPE_CHECKING, Any

from mombroker.core.records import digest, dump, load
from mombroker.model.unit import TABLE_GRANT
from mombroker.operations.names import matches

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


class Grants:
    """By owner, then by (user, pattern): the rights given, some of ``configure``, ``write`` and ``read``."""

    def __init__(self, engine: "Engine") -> None:
        self.engine: Engine = engine
        self._given: dict[str, dict[tuple[str, str], list[str]]] = {}

    def put(self, owner: str, user: str, pattern: str, rights: list[str]) -> None:
        """Give rights, instead of those given before for the same user and pattern."""
        self._given.setdefault(owner, {})[(user, pattern)] = sorted(set(rights))
        record = {"owner": owner, "user": user, "pattern": pattern, "rights": sorted(set(rights))}
        self.engine.barrier.unit.put(TABLE_GRANT, _key(owner, user, pattern), dump(record))

    def delete(self, owner: str, user: str, pattern: str) -> bool:
        """Take rights back. Tells whether there were any."""
        given = self._given.get(owner)
        if given is None or given.pop((user, pattern), None) is None:
            return False
        self.engine.barrier.unit.delete(TABLE_GRANT, _key(owner, user, pattern))
        return True

    def of(self, owner: str) -> list[tuple[str, str, list[str]]]:
        """(user, pattern, rights) that an owner has given, in order."""
        return [(place[0], place[1], rights) for place, rights in sorted(self._given.get(owner, {}).items())]

    def allows(self, owner: str, user: str, right: str, name: str) -> bool:
        """Whether a user has been given a right to a queue."""
        given = self._given.get(owner)
        if given is None:
            return False
        for (grantee, pattern), rights in given.items():
            if grantee == user and right in rights and matches(pattern, name):
                return True
        return False

    def restore(self, value: bytes) -> None:
        """Take over what the store has."""
        record: dict[str, Any] = load(value)
        self._given.setdefault(record["owner"], {})[(record["user"], record["pattern"])] = record["rights"]


def _key(owner: str, user: str, pattern: str) -> bytes:
    return digest(f"{owner}\0{user}\0{pattern}")
