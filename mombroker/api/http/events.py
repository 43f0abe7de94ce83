"""Server-Sent Events: a response that goes on until there is no more to tell, the client goes or the broker stops."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from mombroker.api.http.context import Context, stopped
from mombroker.api.http.problem_documents import problem_document
from mombroker.api.http.waiting import disconnected
from mombroker.api.http.writing import encoded
from mombroker.operations.problems import INTERNAL, Problem

EVENT_STREAM: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 15.0
"""A comment is sent when there was nothing else for so long: proxies keep the connection, and a dead one is noticed."""
READY: Final = b": ready\n\n"
"""A comment that shows that the stream has begun."""
STALLED_SECONDS: Final = 30.0
"""A client that reads nothing for so long has gone: what it holds is for others."""

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


Close = Callable[[], Awaitable[None]]


def event(name: str, data: Struct) -> bytes:
    """One event; its data is JSON in one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), encoded(data))


def _problem_event(problem: Problem) -> bytes:
    return b"event: problem\ndata: %s\n\n" % problem_document(problem)


class EventStream:
    """A response made of what ``events`` yields, after ``first``. ``close`` is called at the end, whatever the end is.

    A problem at the end is an event. What can be known before belongs into the status: ``first`` is for that.
    """

    def __init__(self, context: Context, events: AsyncGenerator[bytes, None], first: bytes, close: Close) -> None:
        self._context = context
        self._events = events
        self._first = first
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        gone = asyncio.ensure_future(disconnected(Request(scope, receive)))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await _send(send, self._first, True)
            await self._send_all(send, gone)
        except TimeoutError:
            self._context.log.info("a client that did not read its events is left", path=scope["path"][:200])
        finally:
            gone.cancel()
            await self._events.aclose()
            await self._close()

    async def _send_all(self, send: Send, gone: "asyncio.Future[None]") -> None:
        more = True
        following = asyncio.ensure_future(_next(self._events))
        waited_for: set[asyncio.Future[Any]] = {gone, self._context.stopping}
        try:
            while more and not gone.done():
                done, _ = await asyncio.wait(
                    {following, *waited_for}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if following in done:
                    chunk, more = self._outcome(following)
                    await _send(send, chunk, more)
                    following = asyncio.ensure_future(_next(self._events)) if more else following
                elif self._context.stopping in done:
                    more = False
                    await _send(send, _problem_event(stopped()), more)
                elif not done:
                    await _send(send, b": waiting\n\n", more)
        finally:
            following.cancel()
            await asyncio.wait({following})

    def _outcome(self, following: "asyncio.Future[bytes]") -> tuple[bytes, bool]:
        """The bytes to be sent, and whether more will come."""
        error = following.exception()
        if error is None:
            return following.result(), True
        if isinstance(error, StopAsyncIteration):
            return b"event: end\ndata: {}\n\n", False
        if isinstance(error, Problem):
            return _problem_event(error), False
        self._context.log.error("an event stream failed", exc_info=error)
        return _problem_event(Problem(INTERNAL, "the broker failed on this stream; its log tells more")), False


async def _next(events: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(events)


async def _send(send: Send, chunk: bytes, more: bool) -> None:
    """Raises TimeoutError if the client does not read."""
    async with asyncio.timeout(STALLED_SECONDS):
        await send({"type": "http.response.body", "body": chunk, "more_body": more})
