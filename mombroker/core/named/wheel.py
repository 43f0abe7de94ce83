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
"""Buckets of one level ahead before the next level is used. Whatever is further away than those of the last level
waits in the last one, to be moved on."""

LEAD: Final = 2.0
"""Seconds before its beginning at which a long bucket is emptied into shorter ones."""


class Wheel:
    """The buckets of one queue. ``buckets`` are those to come, by level and number; bucket ``n`` of a level begins at
    ``n`` times its width. Those that have begun are in one of the others, by their ids, the earliest first: ``due``
    are being handed out, ``out`` have been, but not all of it has left the queue yet, ``moving`` are being emptied
    into shorter ones. ``ended`` are empty. ``next_at`` is when the next bucket begins, 0.0 for never."""

    __slots__ = ("buckets", "due", "out", "moving", "ended", "next_at", "_last", "_last_place")

    def __init__(self) -> None:
        self.buckets: dict[tuple[int, int], Queue] = {}
        self.due: dict[int, Queue] = {}
        self.out: dict[int, Queue] = {}
        self.moving: dict[int, Queue] = {}
        self.ended: list[Queue] = []
        self.next_at: float = 0.0
        self._last: Queue | None = None
        self._last_place: tuple[int, int] = (0, 0)

    def is_turning(self, now: float) -> bool:
        """Whether there is anything to do."""
        return bool(0.0 < self.next_at <= now or self.due or self.moving or self.ended)

    def place(self, deliver_at: float, now: float) -> tuple[int, int]:
        """(level, number) of the bucket for a message that is due then, after now."""
        away = deliver_at - now
        for level in range(len(WIDTHS) - 1, 0, -1):
            width = WIDTHS[level]
            number = int(deliver_at // width)
            if level == len(WIDTHS) - 1:
                number = min(number, int(now // width) + SPAN)
            if away >= WIDTHS[level - 1] * SPAN and number * width - LEAD > now:
                return level, number
        return 0, int(deliver_at)

    def find(self, place: tuple[int, int]) -> Queue | None:
        """The bucket at a place, if messages can be added to it: the latest one of a second can when it has begun."""
        last = self._last
        if last is not None and place == self._last_place and not last.deleted:
            if self.out.pop(last.id, None) is not None:
                self.due[last.id] = last
            if last.id in self.due:
                return last
        return self.buckets.get(place)

    def add(self, place: tuple[int, int], bucket: Queue) -> None:
        """A bucket to come."""
        self.buckets[place] = bucket
        begins = begins_at(place[0], place[1])
        if self.next_at == 0.0 or begins < self.next_at:
            self.next_at = begins

    def begin(self, now: float) -> None:
        """Take up the buckets whose time has come."""
        if self.next_at == 0.0 or self.next_at > now:
            return
        self.next_at = 0.0
        begun: list[tuple[int, int]] = []
        for place in self.buckets:
            begins = begins_at(place[0], place[1])
            if begins <= now:
                begun.append(place)
            elif self.next_at == 0.0 or begins < self.next_at:
                self.next_at = begins
        for place in sorted(begun):
            bucket = self.buckets.pop(place)
            if place[0]:
                self.moving[bucket.id] = bucket
            else:
                self.due[bucket.id] = bucket
                self._last = bucket
                self._last_place = place

    def first_due(self) -> Queue | None:
        """The bucket that is being handed out."""
        for bucket in self.due.values():
            return bucket
        return None

    def handed_out(self, bucket: Queue) -> None:
        """All of a bucket is among what is ready, or with consumers, or done with."""
        del self.due[bucket.id]
        self.out[bucket.id] = bucket
        self.settled(bucket)

    def settled(self, bucket: Queue) -> None:
        """A message has left a bucket."""
        if bucket.count == 0 and bucket.id in self.out:
            self.ended.append(bucket)

    def put_away(self) -> None:
        """What has been handed out is to be handed out again; what is empty still is about to go."""
        out = self.out
        self.due = {**{id: bucket for id, bucket in out.items() if bucket.count}, **self.due}
        self.out = {id: bucket for id, bucket in out.items() if bucket.count == 0}

    def waiting(self) -> int:
        """How many messages wait for their time."""
        count = 0
        for bucket in self.buckets.values():
            count += bucket.count
        for bucket in self.moving.values():
            count += bucket.count
        return count

    def all(self) -> list[Queue]:
        """Every bucket there is."""
        return [*self.due.values(), *self.out.values(), *self.moving.values(), *self.buckets.values()]

    def forget(self, bucket: Queue) -> None:
        """A bucket is empty, and its time is over."""
        self.due.pop(bucket.id, None)
        self.out.pop(bucket.id, None)
        self.moving.pop(bucket.id, None)


def begins_at(level: int, number: int) -> float:
    """When a bucket has to be taken up, in Unix seconds."""
    begins = number * WIDTHS[level]
    return begins - LEAD if level else begins
