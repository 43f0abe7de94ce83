"""A plugin's users as the API gets at them: within the time budget, and with every fault turned into a problem."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mombroker.hooks.requests import UserDirectory
from mombroker.operations.problems import INTERNAL, SHUTTING_DOWN, Problem
from mombroker.wiring.hook_calls import HookFailed, Implementation
from mombroker.wiring.hook_questions import Questions

_BROKEN: Final = "the plugin that keeps the users failed; the broker's log says where"


class PluginDirectory(UserDirectory):
    """The users of one plugin. Raises :class:`Problem`, and nothing else."""

    def __init__(self, implementation: Implementation, directory: UserDirectory, questions: Questions) -> None:
        self._implementation = implementation
        self._directory = directory
        self._questions = questions

    async def list(self) -> list[tuple[str, tuple[str, ...]]]:
        """The names and roles of all users, in order of their names."""
        users = await self._do(self._directory.list)
        try:
            return sorted((_text(name), tuple(_text(role) for role in roles)) for name, roles in users)
        except (TypeError, ValueError):
            self._implementation.fault("listed users that are not pairs of a name and its roles")
            raise Problem(INTERNAL, _BROKEN) from None

    async def put(self, name: str, password: str | None, roles: tuple[str, ...] | None) -> None:
        """Add a user, or change what is given."""
        await self._do(self._directory.put, name, password, roles)

    async def remove(self, name: str) -> bool:
        """Remove a user; False if there is no such user."""
        return bool(await self._do(self._directory.remove, name))

    async def _do(self, work: Callable[..., object], *arguments: object) -> Any:
        if self._questions.closed:
            raise Problem(SHUTTING_DOWN, "the broker is shutting down: try again when it is back")
        try:
            outcome: object = self._implementation.run(_begun, (work, *arguments))
            if inspect.isawaitable(outcome):
                outcome = await self._questions.timed(self._implementation, _told(outcome))
        except HookFailed:
            raise Problem(INTERNAL, _BROKEN) from None
        if isinstance(outcome, Problem):
            raise outcome
        return outcome


def _begun(work: Callable[..., object], *arguments: object) -> object:
    """What a call gives. A problem is what the plugin has to say, not a fault of it."""
    try:
        return work(*arguments)
    except Problem as problem:
        return problem


async def _told(outcome: Awaitable[object]) -> object:
    try:
        return await outcome
    except Problem as problem:
        return problem


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
