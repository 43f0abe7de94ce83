"""The reader thread: pages of queues and single state records, so that nobody else waits for the disk."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeVar
from zlib import crc32

import lmdb

from mombroker.model.errors import StoreError
from mombroker.model.store import Page
from mombroker_storage.lmdb_store import damage
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.paging import DamageBook, PageReader
from mombroker_storage.lmdb_store.tables import decode, encode_key, same_cut

_CHUNK_ITEMS: Final = 512
_CHUNK_BYTES: Final = 1 << 20

T = TypeVar("T")
Pair = tuple[bytes, bytes]


class Reader:
    """Reads in a thread of its own; :meth:`items` alone reads in the caller's."""

    def __init__(self, environment: Environment, book: DamageBook, is_dropped: Callable[[int], bool]) -> None:
        self._environment: Environment = environment
        self._book: DamageBook = book
        self._is_dropped: Callable[[int], bool] = is_dropped
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closing: bool = False
        self._entrance = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mombroker-store-reader", daemon=True)
        self._thread.start()

    def read(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> "Future[Page]":
        """A page of a queue."""
        return self._submit(lambda: self._page(queue_id, first, max_records, max_bytes))

    def get(self, table: int, key: bytes) -> "Future[bytes | None]":
        """One state record, or None."""
        return self._submit(lambda: self._state(table, key))

    def close(self) -> None:
        """Finish what was asked for, then end the thread."""
        with self._entrance:
            self._closing = True
        self._jobs.put(None)
        self._thread.join()

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        with self._entrance:
            if self._closing:
                future.set_exception(StoreError(f"the store in {self._environment.directory} is closed"))
            else:
                self._jobs.put(lambda: self._complete(future, work))
        return future

    def _run(self) -> None:
        job = self._jobs.get()
        while job is not None:
            job()
            job = self._jobs.get()

    def _complete(self, future: "Future[T]", work: Callable[[], T]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except lmdb.Error as error:
            failure = StoreError(f"reading the store in {self._environment.directory} failed: {error}")
            failure.__cause__ = error
            future.set_exception(failure)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _page(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> Page:
        # Asked before the transaction begins: if the sweep has ended by then, the transaction finds nothing.
        if self._is_dropped(queue_id):
            return Page([], first, True, [])
        with self._environment.reading() as txn:
            page = PageReader(txn, self._environment, self._book, max_records, max_bytes)
            return page.read(queue_id, first)

    def _state(self, table: int, key: bytes) -> bytes | None:
        stored_key = encode_key(table, key)
        with self._environment.reading() as txn:
            stored = txn.get(stored_key, db=self._environment.tables)
            pair = None if stored is None else self._checked(stored_key, bytes(stored))
        return None if pair is None else pair[1]

    def _checked(self, stored_key: bytes, stored: bytes) -> Pair | None:
        pair = decode(stored_key, stored)
        if pair is None and self._book.enter((stored_key, crc32(stored)), damage.DamagedState(stored_key, stored)):
            self._book.report(damage.state_damage(stored_key))
        return pair

    def items(self, table: int) -> Iterator[Pair]:
        """Every (key, value) of a table in key order, in chunks: no long transaction may hinder the writer."""
        after: bytes | None = bytes((table,))
        while after is not None:
            chunk, after = self._chunk(table, after)
            yield from chunk

    def _chunk(self, table: int, start: bytes) -> tuple[list[Pair], bytes | None]:
        """Pairs from the database key ``start`` on, and the key to go on from, None at the end of the table."""
        pairs: list[Pair] = []
        alike = 0
        previous = b""
        size = 0
        with self._environment.reading() as txn:
            cursor = txn.cursor(self._environment.tables)
            positioned = cursor.set_range(start)
            while positioned:
                stored_key = bytes(cursor.key())
                if stored_key[0] != table:
                    break
                if not same_cut(previous, stored_key):
                    # Long keys that begin alike are kept by their hashes.
                    pairs[alike:] = sorted(pairs[alike:])
                    alike = len(pairs)
                    if alike >= _CHUNK_ITEMS or size >= _CHUNK_BYTES:
                        return pairs, stored_key
                stored = bytes(cursor.value())
                size += len(stored)
                pair = self._checked(stored_key, stored)
                if pair is not None:
                    pairs.append(pair)
                previous = stored_key
                positioned = cursor.next()
        pairs[alike:] = sorted(pairs[alike:])
        return pairs, None
