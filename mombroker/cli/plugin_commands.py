"""Commands that installed plugins add through the hook ``mombroker_cli``.

Every installed plugin is asked, enabled or not: ``mombroker user add`` has to work before the first start. A plugin
that fails here costs its own commands and a warning, nothing else.
"""

from importlib.metadata import EntryPoint, entry_points

import click

from mombroker.cli.options import add_places
from mombroker.hooks import PROJECT

HOOK = "mombroker_cli"


def plugin_commands() -> dict[str, click.Command]:
    """The commands of all installed plugins by name; of two with the same name, the first plugin's (by name)."""
    found: dict[str, click.Command] = {}
    for entry in sorted(entry_points(group=PROJECT), key=lambda entry: entry.name):
        try:
            commands = _commands_of(entry)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            click.echo(f"mombroker: warning: the plugin {entry.name} adds no commands: {reason}", err=True)
            continue
        for name, command in commands.items():
            add_places(command)
            found.setdefault(name, command)
    return found


def _commands_of(entry: EntryPoint) -> dict[str, click.Command]:
    hook = getattr(entry.load(), HOOK, None)
    if hook is None:
        return {}
    group = click.Group()
    hook(cli=group)
    return dict(group.commands)
