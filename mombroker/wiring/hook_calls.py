"""Calling one hook of one plugin: in order, timed, and with every way of failing turned into one error.

A hook's implementations are called one by one, in the order of the configuration. pluggy's own call is not used: it
asks every plugin before anybody could wait for the first one's answer.
"""

import inspect
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pluggy

from mombroker.hooks import PROJECT
from mombroker.hooks.specs import Specifications
from mombroker.model.errors import MombrokerError, PluginError

SLOW_CALL: Final = 0.05
"""Seconds that a plain function may keep the loop, and with it every client, waiting before it is reported."""
QUIET: Final = 60.0
"""Seconds between two log lines about the same hook of the same plugin."""
LONGEST_TEXT: Final = 300
"""Characters of an exception's text that are logged."""
OPEN_HOOKS: Final = frozenset({"mombroker_startup", "mombroker_shutdown", "mombroker_queue_policy"})
"""Hooks that are handed nothing secret, so that the text of an exception may be logged."""

ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    name: tuple(inspect.signature(spec).parameters)[1:]
    for name, spec in vars(Specifications).items()
    if name.startswith(f"{PROJECT}_")
}
"""The hooks there are, and the names of their arguments."""


class HookFailed(PluginError):
    """A hook raised, took too long or answered with something it must not. Counted and logged when it was raised."""


class HookRecord:
    """How the hooks behave: faults and slow calls counted by hook, and logged without flooding the log."""

    def __init__(self, log: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.faults: dict[str, int] = {}
        self.slow: dict[str, int] = {}
        self._log = log
        self._clock = clock
        self._quiet_until: dict[tuple[str, str, str], float] = {}
        self._unsaid: dict[tuple[str, str, str], int] = {}

    def fault(self, hook: str, plugin: str, cause: str, **details: object) -> HookFailed:
        """Count and log a fault; the error to raise."""
        self.faults[hook] = self.faults.get(hook, 0) + 1
        self._say("plugin hook failed", hook, plugin, cause=cause, **details)
        return HookFailed(f"the hook {hook} of the plugin {plugin} failed: {cause}")

    def raised(self, hook: str, plugin: str, error: BaseException) -> HookFailed:
        """Count and log an exception. Most hooks see secrets or payloads, which its text may quote: it is left out."""
        text = f": {error}"[:LONGEST_TEXT] if hook in OPEN_HOOKS and str(error) else ""
        return self.fault(hook, plugin, f"raised {type(error).__name__}{text}", where=_place(error))

    def slow_call(self, hook: str, plugin: str, seconds: float) -> None:
        """Count and log a plain function that kept everybody waiting."""
        self.slow[hook] = self.slow.get(hook, 0) + 1
        self._say("plugin hook is slow and holds up all clients", hook, plugin, milliseconds=round(seconds * 1000))

    def _say(self, event: str, hook: str, plugin: str, **details: object) -> None:
        key = (event, hook, plugin)
        now = self._clock()
        if now < self._quiet_until.get(key, now):
            self._unsaid[key] = self._unsaid.get(key, 0) + 1
            return
        self._quiet_until[key] = now + QUIET
        unsaid = self._unsaid.pop(key, 0)
        if unsaid:
            details["times_since_last_report"] = unsaid + 1
        self._log.warning(event, hook=hook, plugin=plugin, **details)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


@dataclass(frozen=True)
class Waiting:
    """An answer that has to be awaited: which implementation gave it, and to which arguments."""

    index: int
    answer: Awaitable[object]
    arguments: tuple[Any, ...]


class UnfitAnswer(MombrokerError):
    """An answer of the right type that the broker cannot use; the text says why."""


Check = Callable[[Any, tuple[Any, ...]], object]
"""Takes an answer of an accepted type and the arguments; gives the answer to use, or raises UnfitAnswer."""


class Implementation:
    """One plugin's function for one hook. It may take fewer arguments than the specification has (as in pluggy)."""

    __slots__ = ("_picks", "_record", "function", "hook", "plugin")

    def __init__(self, hook: str, found: pluggy.HookImpl, record: HookRecord) -> None:
        self.hook = hook
        self.plugin: str = found.plugin_name
        self.function: Callable[..., object] = found.function
        self._record = record
        names = ARGUMENTS[hook]
        picks = tuple(names.index(name) for name in found.argnames)
        self._picks: tuple[int, ...] | None = None if picks == tuple(range(len(names))) else picks

    def call(self, arguments: Sequence[Any]) -> object:
        """Call the function. Raises what :meth:`run` does."""
        picks = self._picks
        return self.run(self.function, arguments if picks is None else [arguments[pick] for pick in picks])

    def run(self, function: Callable[..., object], arguments: Sequence[Any]) -> object:
        """Call another function of the plugin, on behalf of this hook. Raises HookFailed, and nothing else but
        KeyboardInterrupt."""
        begin = time.perf_counter()
        try:
            return function(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # SystemExit and CancelledError as well: whatever a plugin runs into stays with the plugin.
            raise self.raised(error) from None
        finally:
            seconds = time.perf_counter() - begin
            if seconds > SLOW_CALL:
                self._record.slow_call(self.hook, self.plugin, seconds)

    def fault(self, cause: str, **details: object) -> HookFailed:
        """Count and log a fault; the error to raise."""
        return self._record.fault(self.hook, self.plugin, cause, **details)

    def raised(self, error: BaseException) -> HookFailed:
        """Count and log an exception; the error to raise."""
        return self._record.raised(self.hook, self.plugin, error)


class HookPoint:
    """All implementations of one hook, in the order in which they are asked, and what they may answer.

    The first answer that is not None counts. When the point is ``chained``, an answer of the first argument's type
    takes that argument's place for the plugins that follow, and is the answer if none of them has another.
    """

    __slots__ = ("_accepts", "_chained", "_check", "_plain", "hook", "implementations")

    def __init__(
        self,
        plugins: pluggy.PluginManager,
        hook: str,
        record: HookRecord,
        accepts: tuple[type, ...] = (),
        check: Check | None = None,
        *,
        plain: bool = False,
        chained: bool = False,
    ) -> None:
        found = getattr(plugins.hook, hook).get_hookimpls()
        self.hook = hook
        # pluggy keeps them in reverse order of calling.
        self.implementations = tuple(Implementation(hook, one, record) for one in reversed(found))
        self._accepts = accepts
        self._check = check
        self._plain = plain
        self._chained = chained

    def ask(self, arguments: tuple[Any, ...], start: int = 0) -> object:
        """The answer of the plugins from number ``start`` on, or a Waiting. Raises HookFailed."""
        implementations = self.implementations
        for index in range(start, len(implementations)):
            implementation = implementations[index]
            answer = implementation.call(arguments)
            if answer is None:
                continue
            if not self._plain and not isinstance(answer, self._accepts) and inspect.isawaitable(answer):
                return Waiting(index, answer, arguments)
            answer = self._checked(implementation, answer, arguments)
            if not self._passes_on(answer):
                return answer
            arguments = (answer, *arguments[1:])
        return arguments[0] if self._chained else None

    def go_on(self, waiting: Waiting, answer: object) -> object:
        """The same, now that the awaited answer is there. Raises HookFailed."""
        arguments = waiting.arguments
        if answer is not None:
            answer = self._checked(self.implementations[waiting.index], answer, arguments)
            if not self._passes_on(answer):
                return answer
            arguments = (answer, *arguments[1:])
        return self.ask(arguments, waiting.index + 1)

    def offer(
        self, arguments: tuple[Any, ...], kind: str, methods: tuple[str, ...]
    ) -> tuple[Implementation, Any] | None:
        """The first object that a plugin answers with, and which one it was. Raises HookFailed, also for an object
        that has not all of these methods."""
        for implementation in self.implementations:
            found = implementation.call(arguments)
            if found is None:
                continue
            if all(callable(getattr(found, method, None)) for method in methods):
                return implementation, found
            if inspect.iscoroutine(found):
                found.close()
            raise implementation.fault(f"answered with {type(found).__name__}, which is no {kind}")
        return None

    def _passes_on(self, answer: object) -> bool:
        return self._chained and isinstance(answer, self._accepts[0])

    def _checked(self, implementation: Implementation, answer: object, arguments: tuple[Any, ...]) -> object:
        if not isinstance(answer, self._accepts):
            expected = " or ".join(kind.__name__ for kind in self._accepts)
            given = type(answer).__name__
            if inspect.iscoroutine(answer):
                answer.close()
            raise implementation.fault(f"answered with {given} instead of {expected} or None")
        if self._check is None:
            return answer
        try:
            return self._check(answer, arguments)
        except UnfitAnswer as error:
            raise implementation.fault(str(error)) from None
        except Exception as error:
            # Plugins can derive from our classes: reading their answer may run into anything.
            raise implementation.raised(error) from None
