"""The Store contract: what the broker asks of a persistence plugin.

A store keeps queues of records, message bodies that several queues share, and tables of small state records. It is
written in units of work only, from one owner. The contract is batched and asynchronous: the call returns at once
and a future tells when the unit is on disk, whatever that means for the store at hand.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

from mombroker.model.unit import Unit


class StoredRecord(Struct, frozen=True, gc=False):
    """One record of a queue as read back: its position, its head, and its message body."""

    position: int
    head: bytes
    body: bytes
    body_id: int = 0


@dataclass(frozen=True)
class Damage:
    """A record (or a run of them) that failed its checksum and was set aside."""

    queue_id: int
    first: int
    last: int
    detail: str


@dataclass(frozen=True)
class Page:
    """A range read: records in order of position, where to read on, and whether the queue ends before that.

    ``records`` may be empty although ``at_end`` is false (everything in the range was settled or damaged).
    """

    records: list[StoredRecord]
    next_position: int
    at_end: bool
    damaged: list[Damage]


class Store(Protocol):
    """A place where queues and state survive. Implementations pass the conformance tests in ``tests/storage``.

    ``epoch`` is this owner's number, greater than that of every earlier owner (1 to 2**32-1); every commit checks
    that no newer owner has opened the store. ``durable`` tells whether a completed commit survives power loss.
    Futures may be completed in any thread. Positions are given by the owner and grow within a queue.
    """

    epoch: int
    durable: bool

    def describe(self) -> str:
        """One line for the start-up log: kind, place, format version."""
        ...

    def items(self, table: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) of a table in key order; for start-up and tools, may block.

        A damaged record is passed to the store's damage listener and skipped.
        """
        ...

    def get(self, table: int, key: bytes) -> "Future[bytes | None]":
        """One state record, or None."""
        ...

    def commit(self, unit: Unit) -> "Future[None]":
        """Write the whole unit, or nothing of it; done once it is as durable as the store can make it.

        Units become durable in the order of the calls. Fails with :class:`StoreFull` (nothing was kept, the
        store stays usable), :class:`StoreFenced`, or :class:`StoreError` (the outcome is unknown).
        """
        ...

    def read(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> "Future[Page]":
        """Unsettled records of a queue from position ``first`` on; at least one if there is any.

        Reads see every unit whose future was done when the call was made.
        """
        ...

    def on_damage(self, listener: Callable[[Damage], None]) -> None:
        """Call ``listener`` (in any thread) for each damaged record found outside :meth:`read`."""
        ...

    def close(self) -> None:
        """Finish outstanding commits, then release the store. Blocks."""
        ...
