"""A request whose reply is fetched later: ``later = await mom.request_later("thumbs", payload)``."""

from typing import Any, Protocol

from msgspec import Struct

from mombroker.client.requests import Reply
from mombroker.operations import Problem
from mombroker.operations.problems import CANCELLED, DEADLINE_PASSED, SERVICE_FAILED
from mombroker.operations.services import CancelRequest, FetchReply, ReplyState

LONGEST_WAIT = 60.0
"""Seconds that one fetch waits at the broker; longer waits are made of several."""


class Caller(Protocol):
    """Carries out operations."""

    async def call(self, request: Struct, *, timeout: float = 30.0) -> Any:
        """As :meth:`mombroker.client.Mom.call`."""
        ...


class Later:
    """A request that was sent, known by its ``id``: the id works from any client of the same user, and after
    restarts."""

    def __init__(self, caller: Caller, id: str) -> None:
        self.id = id
        self._caller = caller

    async def state(self, wait: float = 0.0) -> ReplyState:
        """How far it is; waits up to ``wait`` seconds (at most 300) for the end. Raises Problem (no-such-request)."""
        state: ReplyState = await self._caller.call(FetchReply(id=self.id, wait=wait), timeout=wait + 30.0)
        return state

    async def wait(self, timeout: float) -> bool:
        """Wait for the end, whatever it is, ``timeout`` seconds at the most; whether it has come."""
        return _is_over(await self._until_over(timeout))

    async def result(self, timeout: float | None = None) -> Reply:
        """The reply, waited for without limit, or for ``timeout`` seconds.

        Raises Problem: service-failed, cancelled, or deadline-passed (the request's own deadline or this timeout).
        """
        state = await self._until_over(timeout)
        if state.state == "done":
            return Reply(state.parts)
        if state.state == "cancelled":
            raise Problem(CANCELLED, state.detail or f"the request {self.id} was cancelled")
        if state.state == "failed":
            raise Problem(state.code or SERVICE_FAILED, state.detail, state.worker_code)
        raise Problem(DEADLINE_PASSED, state.detail or f"the request {self.id} is {state.state}")

    async def cancel(self) -> None:
        """Nobody wants the reply any more. Raises Problem (no-such-request)."""
        await self._caller.call(CancelRequest(id=self.id))

    async def _until_over(self, timeout: float | None) -> ReplyState:
        left = timeout
        while True:
            wait = LONGEST_WAIT if left is None else min(LONGEST_WAIT, left)
            state = await self.state(wait)
            if left is not None:
                left -= wait
            if _is_over(state) or left is not None and left <= 0:
                return state

    def __repr__(self) -> str:
        return f"Later(id={self.id!r})"


def _is_over(state: ReplyState) -> bool:
    return state.state not in ("waiting", "running")
