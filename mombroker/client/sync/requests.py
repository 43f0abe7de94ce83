"""Requests without a loop."""

from typing import Self

from mombroker.client.later import Later
from mombroker.client.requests import Parts, Reply
from mombroker.client.sync.loop_thread import LoopThread
from mombroker.operations.services import Part, ReplyState


class SyncParts:
    """The parts of a reply, each as soon as it comes."""

    def __init__(self, thread: LoopThread, parts: Parts) -> None:
        self._thread = thread
        self._parts = parts

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Part:
        part = self._thread.run(self._next())
        if part is None:
            raise StopIteration
        return part

    async def _next(self) -> Part | None:
        return await anext(self._parts, None)


class SyncLater:
    """As :class:`mombroker.client.Later`."""

    def __init__(self, thread: LoopThread, later: Later) -> None:
        self.id = later.id
        self._thread = thread
        self._later = later

    def state(self, wait: float = 0.0) -> ReplyState:
        """How far it is."""
        return self._thread.run(self._later.state(wait))

    def wait(self, timeout: float) -> bool:
        """Wait for the end; whether it has come."""
        return self._thread.run(self._later.wait(timeout))

    def result(self, timeout: float | None = None) -> Reply:
        """The reply, waited for."""
        return self._thread.run(self._later.result(timeout))

    def cancel(self) -> None:
        """Nobody wants the reply any more."""
        self._thread.run(self._later.cancel())

    def __repr__(self) -> str:
        return f"SyncLater(id={self.id!r})"
