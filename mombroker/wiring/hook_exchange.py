"""Enhanced authentication (MQTT 5, section 4.12) between a client and the plugin that knows its method."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mombroker.core.ports import AuthAnswer, Exchange
from mombroker.hooks.requests import AuthContinue, AuthDone, AuthExchange, ConnectRequest
from mombroker.model.identity import Refusal
from mombroker.model.reasons import SERVER_UNAVAILABLE
from mombroker.wiring.hook_answers import exchange_answer
from mombroker.wiring.hook_calls import HookFailed, Implementation, UnfitAnswer
from mombroker.wiring.hook_questions import Questions

UNAVAILABLE: Final = Refusal(SERVER_UNAVAILABLE, "authentication is not available, try again later")
"""The answer to a client whose plugin failed: it says nothing about the client's credentials."""


class FailedExchange(Exchange):
    """The exchange of a plugin that could not even begin it."""

    def step(self, data: bytes | None, answer: Callable[[AuthAnswer], None]) -> None:
        """Turn the client down."""
        answer(UNAVAILABLE)


class PluginExchange(Exchange):
    """One exchange; a step that fails or takes too long turns the client down."""

    def __init__(
        self, implementation: Implementation, exchange: AuthExchange, request: ConnectRequest, questions: Questions
    ) -> None:
        self._implementation = implementation
        self._exchange = exchange
        self._request = request
        self._questions = questions
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def step(self, data: bytes | None, answer: Callable[[AuthAnswer], None]) -> None:
        """Take the client's data; ``answer`` is called once, at once or later, unless the exchange is cancelled."""
        try:
            given = self._implementation.run(self._exchange.step, (data,))
            if inspect.isawaitable(given):
                self._wait_for(given, answer)
                return
            found = self._checked(given)
        except HookFailed:
            found = UNAVAILABLE
        answer(found)

    def cancel(self) -> None:
        """The connection is gone: the plugin is stopped, and nobody is answered."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _wait_for(self, given: Awaitable[object], answer: Callable[[AuthAnswer], None]) -> None:
        if self._questions.closed or self._cancelled:
            self._questions.discard(given)
            return
        self._task = self._questions.start(self._later(given), given, answer)

    async def _later(self, given: Awaitable[object]) -> AuthAnswer:
        try:
            return self._checked(await self._questions.timed(self._implementation, given))
        except HookFailed:
            return UNAVAILABLE

    def _checked(self, given: object) -> AuthAnswer:
        if not isinstance(given, (AuthContinue, AuthDone, Refusal)):
            raise self._implementation.fault(
                f"answered a step with {type(given).__name__} instead of AuthContinue, AuthDone or Refusal"
            )
        try:
            return exchange_answer(given, self._request)
        except UnfitAnswer as error:
            raise self._implementation.fault(str(error)) from None
        except Exception as error:
            raise self._implementation.raised(error) from None
