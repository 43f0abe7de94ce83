"""Whether what was received is what was sent: counts, order, content, duplicates.

Every message carries the number of the run, its publisher and a sequence number. All of these are checked for every
message, and the content of all short messages and of one in eight long ones. (Streams that are known byte for byte are
compared in :mod:`bench.load.script`, and come here when they are not what they should be.)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.load.packets import Layout

Rows = npt.NDArray[Any]

WHOLE_CONTENT = 256
"""Payloads up to this many bytes are compared in every message."""

SAMPLED = 8
"""Of longer ones, one message in this many is compared."""


@dataclass(frozen=True)
class Verdict:
    """What was wrong, in messages. ``received`` counts everything that arrived, wrong or not."""

    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0
    foreign: int = 0

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.received + other.received,
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.reordered + other.reordered,
            self.corrupted + other.corrupted,
            self.foreign + other.foreign,
        )

    def faults(self) -> tuple[str, ...]:
        """One text for each kind of fault; empty if all is well."""
        kinds = (
            ("LOST", self.lost),
            ("DUPLICATED", self.duplicated),
            ("REORDERED", self.reordered),
            ("CORRUPTED", self.corrupted),
            ("FOREIGN", self.foreign),
        )
        return tuple(f"{name} {count:,}" for name, count in kinds if count)


class Tally:
    """Checks the messages that one subscriber receives from ``publishers`` publishers, in the order of each."""

    def __init__(self, layout: Layout, run: int, publishers: int = 1) -> None:
        self._run = run
        self._head = np.frombuffer(layout.head, np.uint8)
        self._fill = layout.filler()
        self._step = 1 if layout.payload <= WHOLE_CONTENT else SAMPLED
        self._next = np.zeros(publishers, np.int64)
        self._missing: list[set[int]] = [set() for _ in range(publishers)]
        self._offset = 0
        self.received = 0
        self.duplicated = 0
        self.reordered = 0
        self.corrupted = 0
        self.foreign = 0

    def followed(self, count: int) -> None:
        """The first ``count`` messages of the one publisher have come, and were compared elsewhere."""
        self.received = count
        self._next[0] = count

    def take(self, rows: Rows) -> None:
        """Check messages that came one after the other."""
        self.received += len(rows)
        rows = self._genuine(rows)
        if not len(rows):
            return
        if len(self._next) == 1:
            self._take_ordered(0, rows["seq"].astype(np.int64))
            return
        publishers = rows["publisher"]
        order = np.argsort(publishers, kind="stable")
        sequences = rows["seq"].astype(np.int64)[order]
        publishers = publishers[order]
        starts = np.flatnonzero(np.diff(publishers)) + 1
        for publisher, group in zip(publishers[np.append(0, starts)], np.split(sequences, starts), strict=True):
            self._take_ordered(int(publisher), group)

    def verdict(self, sent: list[int]) -> Verdict:
        """The verdict, now that each publisher's number of messages is known."""
        late = sum(count - int(self._next[publisher]) for publisher, count in enumerate(sent))
        lost = max(late, 0) + sum(len(missing) for missing in self._missing)
        return Verdict(self.received, lost, self.duplicated, self.reordered, self.corrupted, self.foreign)

    def _genuine(self, rows: Rows) -> Rows:
        """The rows whose content is right; the others are counted."""
        own = (rows["run"] == self._run) & (rows["publisher"] < len(self._next))
        if not own.all():
            self.foreign += int((~own).sum())
            rows = rows[own]
        right = self._heads_are_right(rows)
        checked = slice(self._offset % self._step, None, self._step)
        self._offset += 1
        right[checked] &= (rows["fill"][checked] == self._fill).all(axis=1)
        if right.all():
            return rows
        self.corrupted += int((~right).sum())
        return rows[right]

    def _heads_are_right(self, rows: Rows) -> npt.NDArray[np.bool_]:
        head = rows["head"]
        same = head[:, 1:] == self._head[1:]
        # DUP and RETAIN may differ from what was sent: the verdict on repetitions is about sequence numbers.
        first = (head[:, 0] & 0xF6) == (self._head[0] & 0xF6)
        right: npt.NDArray[np.bool_] = same.all(axis=1) & first
        return right

    def _take_ordered(self, publisher: int, sequences: npt.NDArray[np.int64]) -> None:
        count = len(sequences)
        due = int(self._next[publisher])
        if int(sequences[0]) == due and np.array_equal(sequences, np.arange(due, due + count)):
            self._next[publisher] = due + count
            return
        missing = self._missing[publisher]
        for number in sequences.tolist():
            if number >= due:
                missing.update(range(due, number))
                due = number + 1
            elif number in missing:
                missing.remove(number)
                self.reordered += 1
            else:
                self.duplicated += 1
        self._next[publisher] = due


class Roll:
    """Checks a set of messages that may come in any order, each of ``expected`` sequence numbers once."""

    def __init__(self, layout: Layout, run: int, expected: int) -> None:
        self._layout = layout
        self._run = run
        self._seen = np.zeros(expected, np.int64)
        self.received = 0
        self.corrupted = 0
        self.foreign = 0

    def take(self, rows: Rows) -> None:
        """Check off messages."""
        self.received += len(rows)
        known = (rows["run"] == self._run) & (rows["seq"] < len(self._seen))
        self.foreign += int((~known).sum())
        rows = rows[known]
        right = (rows["fill"] == self._layout.filler()).all(axis=1)
        self.corrupted += int((~right).sum())
        np.add.at(self._seen, rows["seq"][right].astype(np.int64), 1)

    def verdict(self) -> Verdict:
        """The verdict. A corrupted message counts as that and as lost."""
        again = int(np.maximum(self._seen - 1, 0).sum())
        lost = int((self._seen == 0).sum())
        return Verdict(self.received, lost, again, 0, self.corrupted, self.foreign)
