"""Every call is carried out here: its caller found, its problems told, and broken off when the broker stops."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from mombroker.api.caller import Caller
from mombroker.api.grpc.problems import broken, refuse, stopped
from mombroker.api.logins import Logins
from mombroker.operations.problems import TOO_LARGE, Problem

T = TypeVar("T")

AUTHORIZATION: Final = "authorization"


class Calls:
    """The calls under way. ``max_message`` bounds what a client may send at a time, in bytes."""

    def __init__(self, logins: Logins, max_message: int, log: Any) -> None:
        self._logins = logins
        self._max_message = max_message
        self._log = log
        self._under_way: set[asyncio.Task[Any]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._errands: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def carry_out(self, context: Any, work: Callable[[Caller], Awaitable[T]], waits: bool) -> T:
        """What ``work`` returns for the caller; whatever it raises ends the call with a problem.

        ``waits`` tells that the work may take as long as it likes: it is broken off when the broker stops, whereas
        other work is given the time to end.
        """
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        if waits:
            self._waiting.add(task)
        try:
            if self._stopping:
                raise stopped()
            return await work(await self._logins.caller(_authorization(context), host_of(context.peer())))
        except Problem as error:
            problem = error
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
            problem = stopped()
        except Exception as error:
            if task.cancelling():
                # The client has gone in the middle of it, and writing to it failed.
                raise asyncio.CancelledError from error
            self._log.error("a call over gRPC failed", exc_info=error)
            problem = broken(error)
        finally:
            self._under_way.discard(task)
            self._waiting.discard(task)
        await refuse(context, problem)

    def check_size(self, data: bytes) -> None:
        """Raises Problem (too-large)."""
        if len(data) > self._max_message:
            raise Problem(
                TOO_LARGE,
                f"the message has {len(data)} bytes, and grpc.max_message allows {self._max_message}; send it in parts",
            )

    def run_errand(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something for a call that is over. Problems with it concern nobody any more."""
        task = asyncio.ensure_future(_without_problem(work))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def stop(self, grace: float) -> None:
        """Refuse new calls, break off those that wait, and return when the others have ended, or after ``grace``
        seconds."""
        self._stopping = True
        for task in self._waiting:
            task.cancel()
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=grace)

    async def wait_for_errands(self) -> None:
        """Return when no errand is under way."""
        while self._errands:
            await asyncio.wait(self._errands)


async def _without_problem(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Problem:
        return


def _authorization(context: Any) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == AUTHORIZATION:
            return value if isinstance(value, str) else value.decode("latin-1")
    return ""


def host_of(peer: str) -> str:
    """The address in what gRPC calls a peer: ``ipv4:127.0.0.1:5000``, ``ipv6:%5B::1%5D:5000``."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return rest.rpartition(":")[0].strip("[]")
