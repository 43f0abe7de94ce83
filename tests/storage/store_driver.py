"""What the storage tests drive a store with: units in few words, and pages read to the end."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mombroker.model.message import Message
from mombroker.model.store import Damage, Page, Store, StoredRecord
from mombroker.model.unit import Unit, record_head

TIMEOUT = 60.0
HEAD = record_head(0, b"")


class Place:
    """A store that can be closed and opened again, as often as a test likes."""

    def __init__(self, factory: Callable[[Path], Store], directory: Path) -> None:
        self.factory = factory
        self.directory = directory
        self.reported: list[Damage] = []
        self._store: Store | None = None
        self._number = 0

    @property
    def store(self) -> Store:
        """The store, opened when first asked for."""
        if self._store is None:
            self._store = self.factory(self.directory)
            self._store.on_damage(self.reported.append)
        return self._store

    def close(self) -> None:
        """Close the store if it is open."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def reopen(self) -> None:
        """Close and open again, if the store is one that survives it."""
        if self.store.durable:
            self.close()

    def unit(self) -> Unit:
        """The next unit."""
        self._number += 1
        return Unit(self._number)

    def commit(self, unit: Unit) -> None:
        """Commit and wait; raises what the commit fails with."""
        self.store.commit(unit).result(TIMEOUT)

    def append(self, queue: int, positions: Iterable[int], body: bytes = b"", body_id: int = 0) -> None:
        """Commit messages at these positions; without a body each has its own, by position."""
        unit = self.unit()
        for position in positions:
            unit.append(queue, position, HEAD, message(body or payload(position), body_id))
        self.commit(unit)

    def settle(self, queue: int, positions: Iterable[int], body_id: int = 0) -> None:
        """Commit these positions as settled."""
        unit = self.unit()
        for position in positions:
            unit.settle(queue, position, body_id)
        self.commit(unit)

    def put(self, table: int, key: bytes, value: bytes | None) -> None:
        """Commit one state record."""
        unit = self.unit()
        if value is None:
            unit.delete(table, key)
        else:
            unit.put(table, key, value)
        self.commit(unit)

    def get(self, table: int, key: bytes) -> bytes | None:
        """One state record."""
        return self.store.get(table, key).result(TIMEOUT)

    def page(self, queue: int, first: int = 0, max_records: int = 1000, max_bytes: int = 1 << 20) -> Page:
        """One page."""
        return self.store.read(queue, first, max_records, max_bytes).result(TIMEOUT)

    def records(self, queue: int, first: int = 0, **limits: Any) -> list[StoredRecord]:
        """All records of a queue, page by page."""
        return pages(self, queue, first, **limits)[0]

    def positions(self, queue: int) -> list[int]:
        """The positions that a queue has records at."""
        return [record.position for record in self.records(queue)]


def pages(place: Place, queue: int, first: int = 0, **limits: Any) -> tuple[list[StoredRecord], list[Damage]]:
    """All records and all damage of a queue, read to the end."""
    records: list[StoredRecord] = []
    damaged: list[Damage] = []
    while True:
        page = place.page(queue, first, **limits)
        assert page.next_position >= first
        assert page.at_end or page.next_position > first, "reading does not get on"
        assert not page.records or page.records[-1].position < page.next_position
        records += page.records
        damaged += page.damaged
        if page.at_end:
            return records, damaged
        first = page.next_position


def message(body: bytes, body_id: int = 0) -> Message:
    """A message with this payload, stored apart if it has a body id."""
    result = Message("t", body)
    result.body_id = body_id
    return result


def payload(position: int) -> bytes:
    """The payload that a position is given unless a test says otherwise."""
    return b"payload of %d." % position


def stored(body: bytes) -> bytes:
    """The body that a record with this payload reads back."""
    return message(body).body()


def environment() -> dict[str, str]:
    """The environment for scripts of this folder."""
    return {**os.environ, "PYTHONUNBUFFERED": "1"}
