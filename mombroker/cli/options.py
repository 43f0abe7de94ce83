"""Options that set settings. They hand nothing to the command: they leave their values in the CliContext."""

from pathlib import Path
from typing import Any

import click

from mombroker.cli.context import CliContext

_FILE = click.Path(path_type=Path, dir_okay=False)


def setting(flag: str, name: str, help: str, **details: Any) -> click.Option:
    """An option that sets ``section.key``."""

    def keep(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        context = ctx.find_root().ensure_object(CliContext)
        if value is not None and value != ():
            context.give(name, value)

    return click.Option([flag], help=help, expose_value=False, callback=keep, **details)


def places() -> list[click.Parameter]:
    """``--config`` and ``--data``, which stand before or after the name of a command; after is stronger."""

    def keep(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
        context = ctx.find_root().ensure_object(CliContext)
        if value is not None:
            context.read_from(value)

    config = click.Option(
        ["--config"],
        type=_FILE,
        metavar="FILE",
        expose_value=False,
        callback=keep,
        help="The settings file (TOML). Without it: the one that MOMBROKER_CONFIG names, or none.",
    )
    return [config, setting("--data", "storage.data", "The data directory.", metavar="DIR")]


def add_places(command: click.Command) -> None:
    """Let a plugin's command, and the commands below it, take ``--config`` and ``--data`` where they have no such
    options of their own."""
    taken = {option for parameter in command.params for option in parameter.opts}
    command.params.extend(option for option in places() if taken.isdisjoint(option.opts))
    if isinstance(command, click.Group):
        for below in command.commands.values():
            add_places(below)
