"""The hooks of all plugins, as the core calls them: answered at once where that is possible, never raising, and with a
fault of a plugin turned into the safe answer.

========================  =====================================================================
a fault, or no answer     what the core gets
========================  =====================================================================
authenticate              a refusal: 0x88 after a fault, 0x87 if no plugin knows the client
authorize                 no after a fault; the default if no plugin has an opinion
on_publish                a refusal (0x83)
on_deliver                the message is withheld
user_directory            none; what fails in one is a problem of the code internal
queue_policy, overflow    the default
event                     nothing: it is counted and logged
========================  =====================================================================
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import pluggy

from mombroker.core.ports import Exchange, Hooks
from mombroker.hooks.events import Event
from mombroker.hooks.requests import AuthExchange, ConnectRequest, UserDirectory
from mombroker.model.errors import PluginError
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.model.reasons import IMPLEMENTATION_SPECIFIC_ERROR, NOT_AUTHORIZED
from mombroker.wiring import hook_answers
from mombroker.wiring.hook_calls import HookFailed, HookPoint, HookRecord, Implementation, Waiting
from mombroker.wiring.hook_directory import PluginDirectory
from mombroker.wiring.hook_exchange import UNAVAILABLE, FailedExchange, PluginExchange
from mombroker.wiring.hook_observers import Observers
from mombroker.wiring.hook_questions import Questions

T = TypeVar("T")

UNKNOWN_CLIENT: Final = Refusal(NOT_AUTHORIZED, "no authentication plugin of this broker knows this client")
PUBLISH_FAILED: Final = Refusal(IMPLEMENTATION_SPECIFIC_ERROR, "a plugin of this broker failed on this message")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a question comes to: ``conclude`` tells it from the plugins' answer (None: nobody had one)."""

    conclude: Callable[[Any], T]
    fault: T


_AUTHENTICATION: Final = Outcome[Identity | Refusal](lambda who: UNKNOWN_CLIENT if who is None else who, UNAVAILABLE)
_ALLOWED: Final = Outcome[bool](lambda opinion: opinion is not False, False)
_FORBIDDEN: Final = Outcome[bool](lambda opinion: opinion is True, False)
_PUBLISH: Final = Outcome[Message | Refusal](lambda message: message, PUBLISH_FAILED)


@dataclass(frozen=True)
class QueueDefaults:
    """The policies of queues that no plugin has an opinion on."""

    session: QueuePolicy = field(default_factory=lambda: QueuePolicy(overflow=Overflow.DROP_OLDEST))
    other: QueuePolicy = field(default_factory=QueuePolicy)

    def of(self, queue: QueueSpec) -> QueuePolicy:
        """The default policy of this queue."""
        return self.session if queue.kind == "session" else self.other


class HookHost(Hooks):
    """Asks the plugins on behalf of the core. ``faults`` and ``slow`` count by hook."""

    def __init__(
        self,
        plugins: pluggy.PluginManager,
        loop: asyncio.AbstractEventLoop,
        time_budget: float,
        log: Any,
        queue_defaults: QueueDefaults | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        record = HookRecord(log, clock)
        self.faults: dict[str, int] = record.faults
        self.slow: dict[str, int] = record.slow
        self._plugins = plugins
        self._log = log
        self._defaults = queue_defaults or QueueDefaults()
        self._questions = Questions(loop, time_budget)
        self._make_points(plugins, record)
        self.authorizes = bool(self._authorize.implementations)
        self.sees_publish = bool(self._on_publish.implementations)
        self.sees_deliver = bool(self._on_deliver.implementations)
        self.decides_overflow = bool(self._overflow.implementations)
        self.sees_events = len(self._observers) > 0

    def _make_points(self, plugins: pluggy.PluginManager, record: HookRecord) -> None:
        def point(hook: str, *details: Any, **options: Any) -> HookPoint:
            return HookPoint(plugins, f"mombroker_{hook}", record, *details, **options)

        messages = (Message, Refusal)
        self._authenticate = point("authenticate", (Identity, Refusal), hook_answers.authentication_answer)
        self._enhanced = point("enhanced_authentication", plain=True)
        self._authorize = point("authorize", (bool,))
        self._directory = point("user_directory", plain=True)
        self._policy = point("queue_policy", (QueuePolicy,), hook_answers.policy_answer)
        self._overflow = point("overflow", (Overflow,), hook_answers.overflow_answer, plain=True)
        self._on_publish = point("on_publish", messages, hook_answers.publish_answer, chained=True)
        self._on_deliver = point("on_deliver", messages, hook_answers.deliver_answer, plain=True, chained=True)
        self._observers = Observers(point("event"), self._questions)
        self._startup = point("startup")
        self._shutdown = point("shutdown")

    # -- authentication

    def authenticate(self, request: ConnectRequest, answer: Callable[[Identity | Refusal], None]) -> None:
        """Ask who the client is. A client that no plugin knows is refused."""
        found = self._ask(self._authenticate, (request,), _AUTHENTICATION, answer)
        if found is not None:
            answer(found)

    def begin_exchange(self, method: str, request: ConnectRequest) -> Exchange | None:
        """The exchange of the first plugin that knows the method, None if there is no such plugin."""
        try:
            offer = self._enhanced.offer((method, request), AuthExchange.__name__, ("step",))
        except HookFailed:
            return FailedExchange()
        return None if offer is None else PluginExchange(*offer, request, self._questions)

    def authorize(
        self, identity: Identity, action: str, resource: str, answer: Callable[[bool], None], default: bool = True
    ) -> bool | None:
        """The first opinion counts; where nobody has one, the default."""
        outcome = _ALLOWED if default else _FORBIDDEN
        return self._ask(self._authorize, (identity, action, resource), outcome, answer)

    def user_directory(self) -> UserDirectory | None:
        """The users that can be administered, None if there is no plugin that offers any."""
        try:
            offer = self._directory.offer((), UserDirectory.__name__, ("list", "put", "remove"))
        except HookFailed:
            return None
        return None if offer is None else PluginDirectory(*offer, self._questions)

    # -- queues

    def queue_policy(self, queue: QueueSpec, answer: Callable[[QueuePolicy], None]) -> QueuePolicy:
        """The policy of a new queue; the default for now if a plugin takes its time."""
        default = self._defaults.of(queue)
        found = self._ask(self._policy, (queue,), Outcome(lambda policy: policy or default, default), answer)
        return default if found is None else found

    def overflow(self, queue: QueueSpec, message: Message, default: Overflow) -> Overflow:
        """What to do with one message too many."""
        try:
            found = self._overflow.ask((queue, message))
        except HookFailed:
            return default
        return found if isinstance(found, Overflow) else default

    # -- messages

    def on_publish(
        self, message: Message, identity: Identity, answer: Callable[[Message | Refusal], None]
    ) -> Message | Refusal | None:
        """The message as the last plugin leaves it, or the first refusal."""
        return self._ask(self._on_publish, (message, identity), _PUBLISH, answer)

    def on_deliver(self, message: Message, identity: Identity) -> Message | None:
        """The message as the last plugin leaves it, or None to withhold it."""
        try:
            found = self._on_deliver.ask((message, identity))
        except HookFailed:
            return None
        return found if isinstance(found, Message) else None

    def event(self, event: Event) -> None:
        """Tell the observers. Never raises."""
        self._observers.tell(event)

    # -- start and end

    async def startup(self) -> None:
        """Let every plugin start, in order. Raises PluginError if one fails; then the broker must not start."""
        for implementation in self._startup.implementations:
            try:
                await self._started(implementation)
            except HookFailed as failed:
                raise PluginError(f"{failed}; the broker does not start without it: see the log") from failed

    async def _started(self, implementation: Implementation) -> None:
        answer = implementation.call(())
        if not inspect.isawaitable(answer):
            return
        task = self._questions.begin(implementation, answer)
        # No budget here: to connect to something may take a while. But nobody should wonder what is waited for.
        done, _ = await asyncio.wait({task}, timeout=self._questions.time_budget)
        if not done:
            self._log.warning("still waiting for a plugin to start", plugin=implementation.plugin)
        outcome = await task
        if isinstance(outcome, HookFailed):
            raise outcome

    async def shutdown(self) -> None:
        """Let the observers finish and every plugin stop, the last one first, within the time budget each."""
        await self._observers.finish(self._questions.time_budget)
        for implementation in reversed(self._shutdown.implementations):
            try:
                answer = implementation.call(())
                if inspect.isawaitable(answer):
                    await self._questions.timed(implementation, answer)
            except HookFailed:
                continue  # counted and logged; the others have to be stopped as well

    async def close(self) -> None:
        """Cancel every question that is still open. It gets no answer: by now nobody is connected that could ask."""
        await self._questions.close()

    def plugin_names(self) -> list[str]:
        """The plugins in the order in which they are asked."""
        return [name for name, _ in reversed(self._plugins.list_name_plugin())]

    # -- asking

    def _ask(
        self,
        point: HookPoint,
        arguments: tuple[Any, ...],
        outcome: Outcome[T],
        answer: Callable[[T], None],
    ) -> T | None:
        """What is concluded from the plugins' answer, if it is there at once; else None, and ``answer`` is called."""
        try:
            found = point.ask(arguments)
        except HookFailed:
            return outcome.fault
        if not isinstance(found, Waiting):
            return outcome.conclude(found)
        if self._questions.closed:
            self._questions.discard(found.answer)
            return outcome.fault
        self._questions.start(self._later(point, found, outcome), found.answer, answer)
        return None

    async def _later(self, point: HookPoint, waiting: Waiting, outcome: Outcome[T]) -> T:
        try:
            return outcome.conclude(await self._questions.answer_to(point, waiting))
        except HookFailed:
            return outcome.fault
