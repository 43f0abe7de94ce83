"""Requests that wait: broken off when the client goes away or the broker stops, with nothing lost."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from mombroker.api.http.context import Context, stopped
from mombroker.api.http.uploads import ClientGone

T = TypeVar("T")


async def while_connected(
    context: Context, request: Request, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]]
) -> T:
    """What ``work`` returns. Its body must have been read.

    If the client goes away first, ``work`` is cancelled, or ``undo`` is called with what it has returned already, and
    ClientGone is raised. Raises Problem (shutting-down) when the broker stops.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(disconnected(request))
    try:
        waited_for: set[asyncio.Future[Any]] = {task, gone, context.stopping}
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            if await _finished(task):
                await undo(task.result())
            raise ClientGone
        if not await _finished(task):
            raise stopped()
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _finished(task: "asyncio.Future[Any]") -> bool:
    """Cancel the task unless it is done, wait for its end, and tell whether it has a result. Raises its Problem."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if task.cancelled():
        return False
    task.result()
    return True


async def disconnected(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
