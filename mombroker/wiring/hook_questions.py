"""Hooks whose answer takes time: each waits in a task of its own, with a time budget, until the loop closes.

A late plugin costs its own client the wait, nobody else. What it still does after its budget is cancelled, and what
it answers then is not heard.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from mombroker.wiring.hook_calls import HookFailed, HookPoint, Implementation, Waiting

T = TypeVar("T")


class Questions:
    """The questions that are open on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, time_budget: float) -> None:
        self.time_budget = time_budget
        self.closed = False
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(
        self,
        work: Coroutine[Any, Any, T],
        answer: Awaitable[object] | None = None,
        then: Callable[[T], None] | None = None,
    ) -> asyncio.Task[T]:
        """Do ``work``, which awaits ``answer``, in a task; its result goes to ``then`` unless the task is cancelled.

        Nothing of it happens before this call returns. ``work`` must not raise.
        """
        # Not loop.create_task: an eager task factory would answer before the core knows that it has to wait.
        task = asyncio.Task(work, loop=self._loop)
        self._tasks.add(task)

        def ended(done: asyncio.Task[T]) -> None:
            self._tasks.discard(done)
            if done.cancelled():
                if answer is not None:
                    self.discard(answer)
            elif then is not None:
                then(done.result())

        task.add_done_callback(ended)
        return task

    async def answer_to(self, point: HookPoint, waiting: Waiting) -> object:
        """The answer of the plugin that is waited for, or of those after it. Raises HookFailed."""
        while True:
            given = await self.timed(point.implementations[waiting.index], waiting.answer)
            found = point.go_on(waiting, given)
            if not isinstance(found, Waiting):
                return found
            waiting = found

    async def timed(self, implementation: Implementation, answer: Awaitable[object]) -> object:
        """Await an answer for as long as the time budget allows. Raises HookFailed."""
        task = self.begin(implementation, answer)
        try:
            await asyncio.wait({task}, timeout=self.time_budget)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise implementation.fault(f"gave no answer within {self.time_budget:g} seconds")
        if task.cancelled():
            raise implementation.fault("was stopped before it had an answer")
        outcome = task.result()
        if isinstance(outcome, HookFailed):
            raise outcome
        return outcome

    def begin(self, implementation: Implementation, answer: Awaitable[object]) -> asyncio.Task[object]:
        """Await an answer in a task of its own, whose result is the answer or a HookFailed."""
        return self.start(_outcome(implementation, answer), answer)

    def discard(self, answer: Awaitable[object]) -> None:
        """Give up an answer; a coroutine that has begun is left to the task it runs in."""
        if inspect.iscoroutine(answer):
            if inspect.getcoroutinestate(answer) == inspect.CORO_CREATED:
                answer.close()
        elif isinstance(answer, asyncio.Future):
            answer.cancel()

    async def close(self) -> None:
        """Cancel everything that is open; none of it is answered any more. A plugin that clings on is left behind."""
        self.closed = True
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self.time_budget)


async def _outcome(implementation: Implementation, answer: Awaitable[object]) -> object:
    """What the awaitable gives, or the HookFailed that it ends in: as a result, since an exception of a task that
    nobody waits for any more would be reported a second time."""
    try:
        return await answer
    except KeyboardInterrupt:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return implementation.raised(error)
    except BaseException as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return None  # counted as late already
        return implementation.raised(error)
