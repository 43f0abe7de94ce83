"""Delayed messages: lanes by the time they are due, so that neither memory nor start-up grows with them.

A *bucket* is a lane for a stretch of time: one second, or, further away, about a minute, an hour, three days. When a
long bucket is about to begin, its messages are moved to shorter ones; when a short one begins, its messages are
handed out, each at its moment.
"""

from typing import Final

from mombroker.core.queue import Queue

WIDTHS: Final[list[float]] = [1.0, 64.0, 4096.0, 262144.0]
"""Seconds that a bucket of each level spans. A list: mypyc 2.4 takes a constant tuple of floats for unset."""

SPAN: Final = 64
"""Buckets of one level ahead before the next level is used."""

LEAD: Final = 2.0
"""Seconds before its beginning at which a long bucket is emptied into shorter ones."""


class Wheel:
    """The buckets of one queue, by level and number. Bucket ``n`` of a level begins at ``n`` times its width."""

    __slots__ = ("buckets", "due", "moving")

    def __init__(self) -> None:
        self.buckets: dict[tuple[int, int], Queue] = {}
        self.due: list[Queue] = []
        self.moving: list[Queue] = []

    def place(self, deliver_at: float, now: float) -> tuple[int, int]:
        """(level, number) of the bucket for a message that is due then, after now."""
        away = deliver_at - now
        for level in range(len(WIDTHS) - 1, 0, -1):
            width = WIDTHS[level]
            number = int(deliver_at // width)
            if away >= WIDTHS[level - 1] * SPAN and number * width - LEAD > now:
                return level, number
        return 0, int(deliver_at)

    def next_beginning(self) -> float:
        """When the next bucket has to be looked at; 0.0 if there is none."""
        earliest = 0.0
        for level, number in self.buckets:
            begins = begins_at(level, number)
            if earliest == 0.0 or begins < earliest:
                earliest = begins
        return earliest

    def begin(self, now: float) -> bool:
        """Take up the buckets whose time has come. Tells whether there were any."""
        begun = sorted([place for place in self.buckets if begins_at(place[0], place[1]) <= now])
        for place in begun:
            bucket = self.buckets.pop(place)
            if place[0]:
                self.moving.append(bucket)
            else:
                self.due.append(bucket)
        return bool(begun)

    def waiting(self) -> int:
        """How many messages wait for their time."""
        count = 0
        for bucket in self.buckets.values():
            count += bucket.count
        for bucket in self.moving:
            count += bucket.count
        return count

    def all(self) -> list[Queue]:
        """Every bucket there is."""
        return [*self.due, *self.moving, *self.buckets.values()]

    def forget(self, bucket: Queue) -> None:
        """A bucket is empty, and its time is over."""
        self.due = [other for other in self.due if other is not bucket]
        self.moving = [other for other in self.moving if other is not bucket]


def begins_at(level: int, number: int) -> float:
    """When a bucket has to be taken up, in Unix seconds."""
    begins = number * WIDTHS[level]
    return begins - LEAD if level else begins
