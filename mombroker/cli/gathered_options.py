"""Options that several commands share, handed to each of them as one argument."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def gathered(name: str, options: Sequence[click.Option], make: Callable[..., Any]) -> Callable[[F], F]:
    """A decorator that adds these options to a command, which gets what ``make`` makes of them as argument ``name``."""
    destinations = [option.name for option in options]

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def called(**given: Any) -> Any:
            values = {str(destination): given.pop(str(destination)) for destination in destinations}
            return command(**{name: make(**values)}, **given)

        # click reads the options of a function from the last one to the first.
        parameters = getattr(command, "__click_params__", [])
        called.__click_params__ = [*parameters, *reversed(options)]  # type: ignore[attr-defined]
        return called  # type: ignore[return-value]

    return decorate
