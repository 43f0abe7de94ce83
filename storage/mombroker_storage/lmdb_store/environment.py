"""The LMDB environment: its databases, its transactions, and a map that grows.

LMDB's map must not change size while a transaction of this process is open, so writing and reading each hold a lock,
and whoever resizes holds both, in that order. Sync is always on, and pages are written with ``pwrite``, never through
the map: a full disk is an error code, not a SIGBUS.
"""

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb

from mombroker.model.errors import StoreError, StoreFormat

RECORDS: Final = b"records"
SETTLED: Final = b"settled"
BODIES: Final = b"bodies"
BODY_REFS: Final = b"bodyrefs"
TABLES: Final = b"tables"
DAMAGED: Final = b"damaged"
DROPPING: Final = b"dropping"
META: Final = b"meta"

DATA_FILE: Final = "data.mdb"

_LEEWAY: Final = 1 << 20


def _lay_out(directory: Path) -> None:
    """Make the data file, if there is none. It gets its name when it can be read: LMDB writes the first pages of a new
    file without a sync, and a power cut would leave one that nothing can open."""
    path = directory / DATA_FILE
    if path.exists():
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # An owner and visitors may come at the same time.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():
            return
        unnamed = directory / f"{DATA_FILE}.new"
        unnamed.unlink(missing_ok=True)
        with lmdb.open(str(unnamed), subdir=False, lock=False, map_size=_LEEWAY, mode=0o600) as env:
            env.sync(True)
        unnamed.rename(path)
    finally:
        os.close(descriptor)


def _first_map_size(directory: Path, map_size: int, max_map_size: int) -> int:
    """What to map when opening: LMDB would map a larger file to its very end, which leaves no room to begin in."""
    size = (directory / DATA_FILE).stat().st_size
    wanted = min(max(map_size, size + size // 2), max_map_size)
    # An owner has to be able to take over a store that is at its limit, and let it be drained.
    return -(-max(wanted, size + _LEEWAY) // mmap.PAGESIZE) * mmap.PAGESIZE


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Environment:
    """One opened data directory. Raises StoreFormat or StoreError if LMDB cannot make sense of it."""

    def __init__(self, directory: Path, map_size: int, max_map_size: int) -> None:
        self.directory: Path = directory
        self.max_map_size: int = max_map_size
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        try:
            _lay_out(directory)
            self._env = lmdb.open(
                str(directory),
                map_size=_first_map_size(directory, map_size, max_map_size),
                max_dbs=16,
                max_readers=126,
                mode=0o600,
                metasync=True,
                sync=True,
            )
        except (lmdb.InvalidError, lmdb.VersionMismatchError) as error:
            raise StoreFormat(f"{directory / DATA_FILE} is not a file that this LMDB can read: {error}") from error
        except lmdb.Error as error:
            raise StoreError(f"cannot open the store in {directory}: {error}") from error
        try:
            self._open_databases()
        except BaseException:
            self._env.close()
            raise

    def _open_databases(self) -> None:
        # Readers that were killed would keep old pages from being used again.
        self._env.reader_check()
        self.records = self._env.open_db(RECORDS)
        self.settled = self._env.open_db(SETTLED)
        self.bodies = self._env.open_db(BODIES)
        self.body_refs = self._env.open_db(BODY_REFS)
        self.tables = self._env.open_db(TABLES)
        self.damaged = self._env.open_db(DAMAGED)
        self.dropping = self._env.open_db(DROPPING)
        self.meta = self._env.open_db(META)
        self._databases = (
            self.records,
            self.settled,
            self.bodies,
            self.body_refs,
            self.tables,
            self.damaged,
            self.dropping,
            self.meta,
        )
        self.page_size: int = self._env.stat()["psize"]

    def map_size(self) -> int:
        """Bytes of the map now."""
        return int(self._env.info()["map_size"])

    def used_size(self) -> int:
        """Bytes of the data file that committed transactions have made use of at some time."""
        return (int(self._env.info()["last_pgno"]) + 1) * self.page_size

    def free_size(self) -> int:
        """Bytes of the data file that nothing uses any more, so that new transactions can."""
        used = 2
        with self.reading() as txn:
            for stat in (self._env.stat(), *[txn.stat(database) for database in self._databases]):
                used += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return self.used_size() - used * self.page_size

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction]:
        """A read-only transaction whose keys and values are views into the map: copy what must outlive it."""
        txn = self._begin_reading()
        try:
            yield txn
        finally:
            txn.abort()
            self._reading.release()

    def _begin_reading(self) -> lmdb.Transaction:
        while True:
            self._reading.acquire()
            try:
                return self._env.begin(buffers=True)
            except lmdb.MapResizedError:
                self._reading.release()
                self._adopt_map_size()
            except BaseException:
                self._reading.release()
                raise

    @contextmanager
    def writing(self) -> Iterator[lmdb.Transaction]:
        """A write transaction, committed if the block ends well and aborted if it raises."""
        txn = self._begin_writing()
        try:
            try:
                yield txn
            except BaseException:
                txn.abort()
                raise
            txn.commit()
        finally:
            self._writing.release()

    def _begin_writing(self) -> lmdb.Transaction:
        while True:
            self._writing.acquire()
            try:
                return self._env.begin(write=True)
            except lmdb.MapResizedError:
                self._writing.release()
                self._adopt_map_size()
            except BaseException:
                self._writing.release()
                raise

    def _adopt_map_size(self) -> None:
        """Another process has let the file grow beyond this one's map: take over its size."""
        with self._writing, self._reading:
            self._env.set_mapsize(0)

    def grow(self, draining: bool = False) -> bool:
        """Double the map, up to its limit. False if it is there already.

        ``draining``: for a unit that adds no messages the map goes beyond its limit, a little at a time. LMDB needs
        free pages even to delete, so a store that is full to the brim could never be emptied otherwise.
        """
        with self._writing, self._reading:
            self._env.reader_check()
            size = self.map_size()
            if size < self.max_map_size:
                self._env.set_mapsize(min(2 * size, self.max_map_size))
            elif draining:
                self._env.set_mapsize(size + _LEEWAY)
            else:
                return False
            return True

    def sync_directory(self) -> None:
        """Make the data file's directory entry durable, and those of the directories above, which may be as new."""
        device = self.directory.stat().st_dev
        _sync(self.directory)
        for place in self.directory.parents:
            # Nothing is new beyond a mount point, nor above a directory that this user cannot even read.
            if place.stat().st_dev != device or not os.access(place, os.R_OK):
                return
            _sync(place)

    def close(self) -> None:
        """Wait for transactions to end, then close the environment."""
        with self._writing, self._reading:
            self._env.close()
