"""Requests whose replies are fetched later: on disk from the moment their caller has an id, and so is each part."""

import heapq
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec
from mypy_extensions import mypyc_attr

from mombroker.core.named.service import RUNNING, WAITING, Caller
from mombroker.model.unit import TABLE_REQUEST

if TYPE_CHECKING:
    from mombroker.core.named.requests import Requests
    from mombroker.model.store import Store

DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
ENDED: Final = (DONE, FAILED, CANCELLED)

_PART: Final = struct.Struct(">I")


class Kept(Caller):
    """A request and its reply as they are kept. ``parts`` counts those in the store; ``void_at`` is when all of it is
    thrown away (Unix seconds), 0.0 while the request is pending."""

    def __init__(
        self, requests: "Requests", id: str, service: str, username: str | None, deadline: float, keep: float
    ) -> None:
        self.requests: Requests = requests
        self.id: str = id
        self.service: str = service
        self.username: str | None = username
        self.deadline: float = deadline
        self.keep: float = keep
        self.state: str = WAITING
        self.parts: int = 0
        self.void_at: float = 0.0
        self.code: str = ""
        self.detail: str = ""
        self.worker_code: str = ""
        self.watchers: list[Watcher] = []

    def taken(self) -> None:
        """A worker has it. That is not worth a write, but that parts of one who has gone are void is."""
        self.state = RUNNING
        if self.parts:
            unit = self.requests.engine.barrier.unit
            for part in range(self.parts):
                unit.delete(TABLE_REQUEST, part_key(self.id, part))
            self.parts = 0
            self.put()

    def can_begin_anew(self) -> bool:
        """Yes: nobody is told of parts before the end."""
        return True

    def answered(self, payload: bytes, properties: bytes, more: bool) -> None:
        """Keep a part."""
        unit = self.requests.engine.barrier.unit
        unit.put(TABLE_REQUEST, part_key(self.id, self.parts), msgspec.msgpack.encode((payload, properties)))
        self.parts += 1
        if not more:
            self._end(DONE)
        self.put()

    def failed(self, code: str, detail: str, worker_code: str) -> None:
        """Keep the failure."""
        self.code = code
        self.detail = detail
        self.worker_code = worker_code
        self._end(FAILED)
        self.put()

    def cancelled(self) -> None:
        """Keep that it was cancelled."""
        self._end(CANCELLED)
        self.put()

    def _end(self, state: str) -> None:
        self.state = state
        self.void_at = self.requests.engine.now + self.keep
        self.requests.later.keep_until(self)
        self.requests.sweep_by(self.void_at)
        watchers = self.watchers
        self.watchers = []
        for watcher in watchers:
            watcher.ended()

    def put(self) -> None:
        """Put its record into the open unit."""
        fields = (
            self.id,
            self.service,
            self.username,
            self.deadline,
            self.keep,
            self.state,
            self.parts,
            self.void_at,
            self.code,
            self.detail,
            self.worker_code,
        )
        self.requests.engine.barrier.unit.put(TABLE_REQUEST, self.id.encode(), msgspec.msgpack.encode(fields))


@mypyc_attr(allow_interpreted_subclasses=True)
class Watcher:
    """Waits for the end of a kept request."""

    def ended(self) -> None:
        """It has ended; its record is in the open unit."""
        raise NotImplementedError


class LaterRequests:
    """All kept requests, by id."""

    def __init__(self, requests: "Requests") -> None:
        self.requests: Requests = requests
        self.kept: dict[str, Kept] = {}
        self._ends: list[tuple[float, str]] = []

    def begin(self, id: str, service: str, username: str | None, deadline: float, keep: float) -> Kept:
        """Keep a request from now on."""
        kept = self.kept[id] = Kept(self.requests, id, service, username, deadline, keep)
        kept.put()
        return kept

    def keep_until(self, kept: Kept) -> None:
        """A request has ended and is kept until its ``void_at``."""
        heapq.heappush(self._ends, (kept.void_at, kept.id))

    def drop(self, kept: Kept) -> None:
        """Throw a kept request and its reply away."""
        unit = self.requests.engine.barrier.unit
        del self.kept[kept.id]
        unit.delete(TABLE_REQUEST, kept.id.encode())
        for part in range(kept.parts):
            unit.delete(TABLE_REQUEST, part_key(kept.id, part))

    def expire(self) -> float:
        """Throw away what was kept long enough; returns when to look again, 0.0 for never."""
        ends = self._ends
        while ends and ends[0][0] <= self.requests.engine.now:
            kept = self.kept.get(heapq.heappop(ends)[1])
            if kept is not None:
                self.drop(kept)
        return ends[0][0] if ends else 0.0

    def restore(self, store: "Store") -> list[Kept]:
        """Take over what the store has; returns those that have not ended."""
        open_ones: list[Kept] = []
        for key, value in store.items(TABLE_REQUEST):
            if b"@" in key:
                continue
            kept = _kept_from(self.requests, msgspec.msgpack.decode(value))
            self.kept[kept.id] = kept
            if kept.state not in ENDED:
                kept.state = WAITING
                open_ones.append(kept)
            else:
                self.keep_until(kept)
        return open_ones


def part_key(id: str, part: int) -> bytes:
    """The key of one part of a reply."""
    return id.encode() + b"@" + _PART.pack(part)


def part_from(value: bytes) -> tuple[bytes, bytes]:
    """(payload, block of properties) of a stored part."""
    payload, properties = msgspec.msgpack.decode(value)
    return payload, properties


def _kept_from(requests: "Requests", fields: list[Any]) -> Kept:
    kept = Kept(requests, fields[0], fields[1], fields[2], fields[3], fields[4])
    kept.state = fields[5]
    kept.parts = fields[6]
    kept.void_at = fields[7]
    kept.code = fields[8]
    kept.detail = fields[9]
    kept.worker_code = fields[10]
    return kept
