"""Events on their way to the plugins that observe them.

A plain function is called at once. What an async observer still has to do is done one event after the other, so that
it sees them in order; a backlog that grows too long loses its newest events, never the broker's memory.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Final

from mombroker.hooks.events import Event
from mombroker.wiring.hook_calls import HookFailed, HookPoint, Implementation
from mombroker.wiring.hook_questions import Questions

LONGEST_BACKLOG: Final = 10_000
"""Events that may wait for one async observer."""


class Observer:
    """One plugin's implementation of the event hook, and the events it has not finished with."""

    def __init__(self, implementation: Implementation, questions: Questions) -> None:
        self._implementation = implementation
        self._questions = questions
        self._backlog: deque[Awaitable[object]] = deque()
        self._work: asyncio.Task[None] | None = None

    def tell(self, event: Event) -> None:
        """Call the plugin; never raises."""
        implementation = self._implementation
        try:
            answer = implementation.call((event,))
            if answer is None:
                return
            if not isinstance(answer, Awaitable):
                raise implementation.fault(f"answered with {type(answer).__name__}; an observer has no answer")
            if self._questions.closed or len(self._backlog) >= LONGEST_BACKLOG:
                self._questions.discard(answer)
                raise implementation.fault("lost an event: too many wait for it")
        except HookFailed:
            return  # counted and logged
        self._backlog.append(answer)
        if self._work is None:
            self._work = self._questions.start(self._drain())
            self._work.add_done_callback(self._stopped)

    @property
    def work(self) -> "asyncio.Task[None] | None":
        """What works the backlog off; None if there is none."""
        return self._work

    async def _drain(self) -> None:
        try:
            while self._backlog:
                try:
                    await self._questions.timed(self._implementation, self._backlog.popleft())
                except HookFailed:
                    continue  # counted and logged
        finally:
            self._work = None

    def _stopped(self, work: "asyncio.Task[None]") -> None:
        """Give up the backlog if the work on it was cancelled, perhaps before it began."""
        if work.cancelled():
            self._work = None
            while self._backlog:
                self._questions.discard(self._backlog.popleft())


class Observers:
    """Everybody who observes events."""

    def __init__(self, point: HookPoint, questions: Questions) -> None:
        self._observers = [Observer(one, questions) for one in point.implementations]

    def __len__(self) -> int:
        return len(self._observers)

    def tell(self, event: Event) -> None:
        """Tell all of them; never raises."""
        for observer in self._observers:
            observer.tell(event)

    async def finish(self, patience: float) -> None:
        """Wait until the backlogs are worked off, for as long as ``patience`` allows."""
        working = {observer.work for observer in self._observers if observer.work is not None}
        if working:
            await asyncio.wait(working, timeout=patience)
