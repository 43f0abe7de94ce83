"""``mombroker acl test``: which rule decides what a client may do."""

import asyncio
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import click
import msgspec

from mombroker.hooks import PluginState
from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import ACTIONS, PUBLISH, RECEIVE, SUBSCRIBE, Identity
from mombroker_plugins.acl_rules import OwnRules, Rule
from mombroker_plugins.acl_settings import AclSettings
from mombroker_plugins.user_records import UserRecords

NOBODY: Final = "-"
TOPIC_ACTIONS: Final = (PUBLISH, SUBSCRIBE, RECEIVE)


class Context(Protocol):
    """What the command line hands to a plugin's command as ``ctx.obj``."""

    @property
    def settings(self) -> Any:
        """The broker's settings; ``plugins`` are the tables of the plugins."""
        ...

    def plugin_state(self, name: str) -> AbstractContextManager[PluginState]:
        """The durable state of a plugin, open for as long as the context is entered."""
        ...


def add_acl_commands(cli: click.Group) -> None:
    """Add the group ``acl`` to the command line."""
    cli.add_command(acl)


@click.group()
def acl() -> None:
    """The access rules of the plugin `acl`."""


@acl.command()
@click.argument("user")
@click.argument("client")
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("resource")
@click.option(
    "--role", "roles", multiple=True, metavar="ROLE", help="A role of the user, in place of those that are stored."
)
@click.pass_obj
def test(context: Context, user: str, client: str, action: str, resource: str, roles: tuple[str, ...]) -> None:
    """Tell what is decided, and by which rule. Exit code 1: it is denied.

    USER is - for a client without a user name. RESOURCE is a topic (to subscribe: a filter), queue:NAME, service:NAME,
    or broker for the action admin.
    """
    settings = _settings(context)
    held = roles or (() if user == NOBODY else _stored_roles(context, user))
    identity = Identity(client, None if user == NOBODY else user, frozenset(held))
    said, number = OwnRules(identity, settings.rules).reason(action, resource, settings.default == "allow")
    if held:
        click.echo(f"roles: {', '.join(held)}")
    click.echo(f"{_verdict(said)}: {_why(settings, action, said, number)}")
    if said is False:
        raise click.exceptions.Exit(1)


def _settings(context: Context) -> AclSettings:
    table = context.settings.plugins.get("acl")
    if table is None:
        raise ConfigurationError("the plugin acl is not enabled: write [plugins.acl] in the settings file (--config)")
    try:
        return msgspec.convert({key: value for key, value in table.items() if key != "enabled"}, AclSettings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"[plugins.acl]: {error}") from None


def _stored_roles(context: Context, user: str) -> tuple[str, ...]:
    """The roles that the plugin ``users`` has for this user, if it is the one that knows the users."""
    if "users" not in context.settings.plugins:
        return ()
    with context.plugin_state("users") as state:
        record = asyncio.run(_find(state, user))
    return () if record is None else tuple(record.roles)


async def _find(state: PluginState, user: str) -> Any:
    return await UserRecords(state).find(user)


def _verdict(said: bool | None) -> str:
    return {True: "allowed", False: "denied", None: "left open"}[said]


def _why(settings: AclSettings, action: str, said: bool | None, number: int) -> str:
    if number:
        return f"rule {number}, {_shown(settings.rules[number - 1])}"
    if said is None:
        return "no rule says anything; the owner and those with a grant may"
    if action in TOPIC_ACTIONS:
        return f"no rule says anything, and the default is {settings.default}"
    return "nothing of that kind can be allowed"


def _shown(rule: Rule) -> str:
    """A rule as it is written in the settings."""
    given = {name: value for name, value in msgspec.structs.asdict(rule).items() if value is not None}
    if not given["anyone"]:
        del given["anyone"]
    return ", ".join(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in given.items())
