"""The one thread that writes: takes units in order, writes those that wait in one transaction, completes their futures.

Between units it sets damage aside and sweeps dropped queues. An error that leaves the outcome of a commit open ends
all writing: the broker cannot tell any more what is on disk.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Final

import lmdb

from mombroker.model.errors import StoreError, StoreFenced, StoreFull
from mombroker.model.unit import TABLE_RETAINED, Unit
from mombroker_storage.lmdb_store import failures
from mombroker_storage.lmdb_store.changes import Changes
from mombroker_storage.lmdb_store.damage import Finding, Listener
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.format import EPOCH_KEY, pack_epoch
from mombroker_storage.lmdb_store.space import Room

_MOST_UNITS: Final = 64
_MOST_BYTES: Final = 32 << 20
_MOST_STATE: Final = 1 << 20
_WORTH_WAITING: Final = 4
_PATIENCE: Final = 0.0005

Job = tuple[Unit, "Future[None]"]
Work = Callable[[lmdb.Transaction], None]


def _drains(unit: Unit) -> bool:
    """Whether a unit adds no messages, but settles some or keeps account of clients."""
    if unit.segments or unit.bodies or unit.size > _MOST_STATE:
        return False
    return not any(table == TABLE_RETAINED and value is not None for (table, _), value in unit.puts.items())


class Committer:
    """Writes units for an owner, or state records only for a visitor (``epoch`` None). ``report`` must not raise."""

    def __init__(self, environment: Environment, epoch: int | None, report: Listener) -> None:
        self._environment: Environment = environment
        self._place: str = str(environment.directory)
        self._epoch: bytes | None = None if epoch is None else pack_epoch(epoch)
        self._report: Listener = report
        self._changes: Changes = Changes(environment)
        self._room: Room = Room(environment)
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._findings: SimpleQueue[Finding] = SimpleQueue()
        self._unrepaired: list[Finding] = []
        self._resting: bool = False
        self._failure: StoreError | None = None
        self._closing: bool = False
        self._entrance = threading.Lock()
        # Taken by whoever brings a unit, let go when it has been applied.
        self._applied = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mombroker-store-writer", daemon=True)
        self._thread.start()

    def commit(self, unit: Unit) -> "Future[None]":
        """Queue a unit for writing.

        With a unit of some size, returns when its writes have been made and only the disk is to be waited for, or half
        a millisecond later. A loop that has so much to write has much else to do, and would keep the interpreter from
        this thread meanwhile: the sync would begin when the loop has nothing more to do beside it.
        """
        future: Future[None] = Future()
        # Running from the start: nobody can cancel what may be half-way to the disk.
        future.set_running_or_notify_cancel()
        with self._entrance:
            if self._closing:
                future.set_exception(StoreError(f"the store in {self._place} is closed; nothing of the unit was kept"))
            else:
                self._applied.acquire(blocking=False)
                self._jobs.put((unit, future))
        if unit.writes >= _WORTH_WAITING:
            self._applied.acquire(timeout=_PATIENCE)
        return future

    def set_aside(self, finding: Finding) -> None:
        """Have a reader's finding taken out of the way, soon."""
        if self._epoch is not None:
            self._findings.put(finding)
            self._jobs.put(None)

    def is_dropped(self, queue_id: int) -> bool:
        """Whether the queue has been dropped, though not all of it is gone from the file yet."""
        return queue_id in self._changes.dropping.unswept

    def close(self) -> None:
        """Write what was queued, then end the thread."""
        with self._entrance:
            self._closing = True
        self._jobs.put(None)
        self._thread.join()
        self._room.close()

    def _run(self) -> None:
        while True:
            jobs = self._next_jobs()
            try:
                if jobs:
                    self._write_jobs(jobs)
                if self._failure is None and not self._resting:
                    self._tidy(sweeping=not jobs)
            except Exception as error:
                self._abandon(jobs, error)
            # What can still be queued behind this is a wake-up call at most.
            if self._closing and self._jobs.empty():
                return

    def _next_jobs(self) -> list[Job]:
        """Wait for units and take all that are there; empty when woken for something else, or to sweep."""
        jobs: list[Job] = []
        size = 0
        try:
            job = self._jobs.get(block=not self._has_sweeping())
            while job is not None:
                jobs.append(job)
                size += job[0].size
                if len(jobs) >= _MOST_UNITS or size >= _MOST_BYTES:
                    break
                job = self._jobs.get_nowait()
        except Empty:
            pass
        return jobs

    def _has_sweeping(self) -> bool:
        if self._failure is not None or self._resting or self._closing or self._epoch is None:
            return False
        return bool(self._changes.dropping.unswept)

    def _write_jobs(self, jobs: list[Job]) -> None:
        error = self._write([unit for unit, _ in jobs])
        if isinstance(error, StoreFull) and len(jobs) > 1:
            # One unit too large must not refuse those that fit.
            for job in jobs:
                self._write_jobs([job])
            return
        if error is None:
            self._resting = False
        for _, future in jobs:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def _abandon(self, jobs: list[Job], error: Exception) -> None:
        """A fault of this module: no future may be left pending, and nothing more is written."""
        self._failure = failures.unknown_outcome(self._place, error)
        self._failure.__cause__ = error
        for _, future in jobs:
            if not future.done():
                future.set_exception(self._failure)

    def _write(self, units: list[Unit]) -> StoreError | None:
        if self._failure is not None:
            return self._failure
        if self._epoch is None:
            return self._write_as_visitor(units)

        def work(txn: lmdb.Transaction) -> None:
            self._room.ensure(units)
            for unit in units:
                self._changes.apply(txn, unit)
            if self._changes.dropping.unswept:
                self._changes.sweep(txn)
            if self._applied.locked():
                self._applied.release()

        return self._transact(work, units, draining=all(map(_drains, units)))

    def _write_as_visitor(self, units: list[Unit]) -> StoreError | None:
        if any(unit.segments or unit.settled or unit.dropped_queues or unit.body_refs for unit in units):
            return StoreError(
                f"the store in {self._place} was opened without owning it: only state records can be written, "
                "and nothing of the unit was kept"
            )

        def work(txn: lmdb.Transaction) -> None:
            for unit in units:
                self._changes.put(txn, unit)

        return self._transact(work, units)

    def _transact(self, work: Work, units: list[Unit], draining: bool = False) -> StoreError | None:
        """Run ``work`` in a transaction, with a larger map if it takes one; the error that it came to.

        ``draining``: it adds no messages, and may use the room beyond the map's limit.
        """
        while True:
            try:
                with self._environment.writing() as txn:
                    self._check_epoch(txn)
                    work(txn)
            except lmdb.MapFullError:
                self._changes.rolled_back()
                refusal = self._enlarge(draining)
                if refusal is not None:
                    return refusal
            except Exception as error:
                self._changes.rolled_back()
                return self._judge(error, units)
            else:
                for damage in self._changes.committed():
                    self._report(damage)
                return None

    def _enlarge(self, draining: bool) -> StoreError | None:
        try:
            if self._environment.grow(draining):
                return None
        except lmdb.Error as error:
            return self._judge(error, [])
        return failures.map_full(self._place, self._environment.max_map_size)

    def _check_epoch(self, txn: lmdb.Transaction) -> None:
        if self._epoch is not None and txn.get(EPOCH_KEY, db=self._environment.meta) != self._epoch:
            raise StoreFenced(f"a newer owner has opened the store in {self._place}: this one must stop writing")

    def _judge(self, error: Exception, units: list[Unit]) -> StoreError:
        """What an error means: a full disk passes, a newer owner and everything else ends all writing."""
        if isinstance(error, lmdb.Error | OSError):
            full = failures.is_no_room(error) or (failures.is_short_write(error) and self._room.is_disk_full(units))
            if full and self._is_usable():
                return failures.disk_full(self._place, error)
            if isinstance(error, lmdb.TxnFullError):
                return failures.unit_too_large(self._place)
        failure = error if isinstance(error, StoreFenced) else failures.unknown_outcome(self._place, error)
        failure.__cause__ = error if failure is not error else None
        self._failure = failure
        return failure

    def _is_usable(self) -> bool:
        """Whether LMDB still takes transactions; after a failed write of the root it does not."""
        try:
            with self._environment.writing():
                return True
        except lmdb.Error:
            return False

    def _tidy(self, sweeping: bool) -> None:
        """Set aside what readers found, or sweep some of a dropped queue; on a full disk, rest until a unit fits."""
        while not self._findings.empty():
            self._unrepaired.append(self._findings.get())
        findings = self._unrepaired

        def repair(txn: lmdb.Transaction) -> None:
            for finding in findings:
                self._changes.set_aside(txn, finding)

        if findings:
            self._resting = self._transact(repair, [], draining=True) is not None
            if not self._resting:
                self._unrepaired = []
        elif sweeping and self._has_sweeping():
            self._resting = self._transact(self._changes.sweep, [], draining=True) is not None
