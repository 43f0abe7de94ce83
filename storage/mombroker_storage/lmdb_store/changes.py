"""Applying a unit within a write transaction: appends, settles, drops, shared bodies, state records, in this order.

Every LMDB call gives the interpreter away and may wait milliseconds to get it back from a busy broker loop, so the
number of calls per unit is what counts: one put for a segment, one delete for a segment that is settled as a whole.
"""

import lmdb

from mombroker.model.store import Damage
from mombroker.model.unit import Unit
from mombroker_storage.lmdb_store import damage, marks
from mombroker_storage.lmdb_store.bodies import change_references
from mombroker_storage.lmdb_store.dropping import Dropping
from mombroker_storage.lmdb_store.environment import Environment
from mombroker_storage.lmdb_store.ledger import Entry, Ledger
from mombroker_storage.lmdb_store.segments import KEY, StoredSegment, UnreadableSegment, encode
from mombroker_storage.lmdb_store.tables import encode_key, encode_value
from mombroker_storage.masks import run_mask


class Changes:
    """Applies units and findings. ``damaged`` collects what was met on the way, to be reported after the commit."""

    def __init__(self, environment: Environment) -> None:
        self._environment: Environment = environment
        self._ledger: Ledger = Ledger()
        self._touched: dict[bytes, tuple[int, Entry]] = {}
        self.dropping: Dropping = Dropping(environment)
        self.damaged: list[Damage] = []

    def rolled_back(self) -> None:
        """The transaction was aborted: nothing of it holds."""
        self._ledger.clear()
        self._touched.clear()
        self.dropping.rolled_back()
        self.damaged.clear()

    def committed(self) -> list[Damage]:
        """The transaction is on disk; returns the damage to report."""
        self.dropping.committed()
        found = self.damaged
        self.damaged = []
        return found

    def apply(self, txn: lmdb.Transaction, unit: Unit) -> None:
        """Apply one unit."""
        self._ledger.trim()
        if unit.segments:
            self._append(txn, unit)
        if unit.settled:
            self._settle(txn, unit)
        changes = unit.body_refs
        if unit.dropped_queues:
            changes = dict(changes)
            for queue_id in unit.dropped_queues:
                self._ledger.forget(queue_id)
                self.dropping.drop(txn, queue_id, changes)
        if changes:
            change_references(txn, self._environment, unit.bodies, changes)
        if unit.puts:
            self.put(txn, unit)

    def _append(self, txn: lmdb.Transaction, unit: Unit) -> None:
        pairs = []
        may_share = bool(unit.body_refs)
        for queue_id, segments in unit.segments.items():
            for segment in segments:
                encoded = encode(queue_id, segment, may_share)
                if encoded is not None:
                    pairs.append((encoded.key, encoded.value))
                    entry = Entry(encoded.key, encoded.first, encoded.last, encoded.present, 0, False)
                    self._ledger.add(queue_id, entry)
        if pairs:
            txn.cursor(self._environment.records).putmulti(pairs)

    def _settle(self, txn: lmdb.Transaction, unit: Unit) -> None:
        for queue_id, runs in unit.settled.items():
            for index in range(0, len(runs), 2):
                self._settle_run(txn, queue_id, runs[index], runs[index + 1])
        self._write_touched(txn)

    def _settle_run(self, txn: lmdb.Transaction, queue_id: int, low: int, high: int) -> None:
        while low <= high:
            entry = self._ledger.find(queue_id, low)
            if entry is None:
                entry = self._look_up(txn, queue_id, low)
                if entry is None or entry.first > high:
                    return
            entry.done |= run_mask(max(low, entry.first) - entry.first, min(high, entry.last) - entry.first)
            self._touched[entry.key] = (queue_id, entry)
            low = entry.last + 1

    def _look_up(self, txn: lmdb.Transaction, queue_id: int, position: int) -> Entry | None:
        """The first segment that ends at ``position`` or later, from the file."""
        while True:
            cursor = txn.cursor(self._environment.records)
            if not cursor.set_range(KEY.pack(queue_id, position)):
                return None
            key, value = map(bytes, cursor.item())
            found, last = KEY.unpack(key)
            if found != queue_id:
                return None
            known = self._ledger.find(queue_id, last)
            if known is not None:
                return known
            try:
                stored = StoredSegment(key, value)
            except UnreadableSegment as error:
                self._set_segment_aside(txn, key, value, error, position)
                continue
            entry = self._entry(txn, key, stored)
            self._ledger.add(queue_id, entry)
            return entry

    def _entry(self, txn: lmdb.Transaction, key: bytes, stored: StoredSegment) -> Entry:
        kept = txn.get(key, db=self._environment.settled)
        done = 0
        if kept is not None:
            decoded = marks.decode(key, kept)
            if decoded is None:
                self._set_marks_aside(txn, key, bytes(kept), stored)
            else:
                done = decoded
        return Entry(key, stored.first, stored.last, stored.present, done, kept is not None)

    def _write_touched(self, txn: lmdb.Transaction) -> None:
        environment = self._environment
        for key, (queue_id, entry) in self._touched.items():
            if entry.present & ~entry.done:
                txn.put(key, marks.encode(key, entry.done), db=environment.settled)
                entry.marked = True
                continue
            txn.delete(key, db=environment.records)
            if entry.marked:
                txn.delete(key, db=environment.settled)
            self._ledger.remove(queue_id, entry)
        self._touched.clear()

    def put(self, txn: lmdb.Transaction, unit: Unit) -> None:
        """Apply the unit's state records."""
        pairs = []
        for (table, key), value in unit.puts.items():
            stored_key = encode_key(table, key)
            if value is None:
                txn.delete(stored_key, db=self._environment.tables)
            else:
                pairs.append((stored_key, encode_value(stored_key, key, value)))
        if pairs:
            # Neighbours share pages: in key order each page is found once.
            pairs.sort()
            txn.cursor(self._environment.tables).putmulti(pairs)

    def sweep(self, txn: lmdb.Transaction) -> None:
        """Delete some more of the queues that were dropped."""
        changes: dict[int, int] = {}
        self.dropping.sweep(txn, changes)
        change_references(txn, self._environment, {}, changes)

    def set_aside(self, txn: lmdb.Transaction, finding: damage.Finding) -> None:
        """Take what a reader found damaged out of the way, if it is still there."""
        if isinstance(finding, damage.DamagedState):
            damage.move_state(txn, self._environment, finding)
        elif isinstance(finding, damage.DamagedSegment):
            value = txn.get(finding.key, db=self._environment.records)
            if value is not None:
                self._ledger.forget(KEY.unpack(finding.key)[0])
                damage.move_segment(txn, self._environment, finding.key, bytes(value))
        else:
            self._set_record_aside(txn, finding)

    def _set_record_aside(self, txn: lmdb.Transaction, found: damage.DamagedRecord) -> None:
        entry = self._ledger.find(found.queue_id, found.position)
        if entry is None:
            entry = self._look_up(txn, found.queue_id, found.position)
        if entry is None or entry.first > found.position or entry.done >> (found.position - entry.first) & 1:
            return
        damage.keep_record(txn, self._environment, found)
        self._settle_run(txn, found.queue_id, found.position, found.position)
        self._write_touched(txn)
        if found.body_id:
            change_references(txn, self._environment, {}, {found.body_id: -1})

    def _set_segment_aside(
        self, txn: lmdb.Transaction, key: bytes, value: bytes, error: UnreadableSegment, position: int
    ) -> None:
        self.damaged.append(damage.segment_damage(key, error.first, position, error.detail))
        damage.move_segment(txn, self._environment, key, value)

    def _set_marks_aside(self, txn: lmdb.Transaction, key: bytes, kept: bytes, stored: StoredSegment) -> None:
        self.damaged.append(damage.marks_damage(key, stored.first))
        damage.keep_marks(txn, self._environment, key, kept)
