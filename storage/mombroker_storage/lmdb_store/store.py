"""The LMDB store: opens a data directory, and hands each call of the contract to the thread that serves it."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import lmdb

from mombroker.model.errors import StoreError
from mombroker.model.store import Damage, Page
from mombroker.model.unit import Unit
from mombroker_storage.address import MAP_SIZE, MAX_MAP_SIZE
from mombroker_storage.lmdb_store import failures
from mombroker_storage.lmdb_store.committer import Committer
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.format import FORMAT, take_over
from mombroker_storage.lmdb_store.ownership import Ownership
from mombroker_storage.lmdb_store.paging import DamageBook
from mombroker_storage.lmdb_store.reader import Reader

_log = logging.getLogger(__name__)


class LmdbStore:
    """The Store contract on one LMDB file. Futures are completed in the store's own threads.

    With ``exclusive`` the caller becomes the owner of the directory, which is created if it is missing. Without, it
    is a visitor beside whatever owner there is: it may read, and commit units that hold state records only.
    Opening raises StoreLocked (another owner is alive), StoreFormat, StoreFull, or StoreError.
    """

    def __init__(
        self,
        directory: Path | str,
        exclusive: bool = True,
        map_size: int = MAP_SIZE,
        max_map_size: int = MAX_MAP_SIZE,
    ) -> None:
        self.durable: bool = True
        self._directory: Path = Path(directory).absolute()
        self._exclusive: bool = exclusive
        self._listeners: list[Callable[[Damage], None]] = []
        self._closed: bool = False
        self._make_directory()
        self._ownership: Ownership | None = Ownership(self._directory) if exclusive else None
        try:
            self._open(map_size, max_map_size)
        except BaseException:
            if self._ownership is not None:
                self._ownership.release()
            raise

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create the data directory {self._directory}: {error}") from error

    def _open(self, map_size: int, max_map_size: int) -> None:
        place = str(self._directory)
        environment: Environment | None = None
        try:
            environment = Environment(self._directory, map_size, max_map_size)
            self.epoch: int = take_over(environment, self._exclusive)
            environment.sync_directory()
            self._environment: Environment = environment
            self._committer: Committer = Committer(environment, self.epoch if self._exclusive else None, self._report)
        except (lmdb.Error, OSError) as error:
            if environment is not None:
                environment.close()
            if failures.is_no_room(error) or isinstance(error, lmdb.MapFullError):
                raise failures.disk_full(place, error) from error
            raise StoreError(f"cannot open the store in {place}: {error}") from error
        except StoreError:
            if environment is not None:
                environment.close()
            raise
        book = DamageBook(self._report, self._committer.set_aside)
        self._reader: Reader = Reader(environment, book, self._committer.is_dropped)

    def _report(self, damage: Damage) -> None:
        for listener in self._listeners:
            try:
                listener(damage)
            except Exception:
                # The thread that found the damage has units to write; it cannot fall for a listener.
                _log.exception("a damage listener failed on %s", damage)

    def describe(self) -> str:
        """One line for the start-up log."""
        size = self._environment.map_size() >> 20
        role = f"epoch {self.epoch}" if self._exclusive else "as a visitor"
        return f"LMDB in {self._directory}, format {FORMAT}, {role}, map {size} MiB, every commit synced"

    def items(self, table: int) -> Iterator[tuple[bytes, bytes]]:
        """Every (key, value) of a table in key order. Reads in the calling thread; raises StoreError."""
        try:
            yield from self._reader.items(table)
        except lmdb.Error as error:
            raise StoreError(f"reading table {table} of the store in {self._directory} failed: {error}") from error

    def get(self, table: int, key: bytes) -> "Future[bytes | None]":
        """One state record, or None."""
        return self._reader.get(table, key)

    def commit(self, unit: Unit) -> "Future[None]":
        """Write the unit and sync it."""
        return self._committer.commit(unit)

    def read(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> "Future[Page]":
        """Unsettled records of a queue from position ``first`` on."""
        return self._reader.read(queue_id, first, max_records, max_bytes)

    def on_damage(self, listener: Callable[[Damage], None]) -> None:
        """Call ``listener`` for damage found outside :meth:`read`, in the thread that found it."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish what was asked for, then let go of the directory. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        self._reader.close()
        self._committer.close()
        self._environment.close()
        if self._ownership is not None:
            self._ownership.release()
