"""``mombroker user``: add, change, remove and list users, whether the broker runs or not.

A password is asked for, or read from standard input; never from the command line, where every process could see it.
"""

import asyncio
import datetime
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import click

from mombroker.hooks import PluginState
from mombroker_plugins.user_passwords import Passwords
from mombroker_plugins.user_records import UserError, UserRecord, UserRecords, check_name, check_roles

T = TypeVar("T")
PLUGIN = "users"
COMMAND = "mombroker user"


class Context(Protocol):
    """What the command line hands to a plugin's command as ``ctx.obj``."""

    def plugin_state(self, name: str) -> AbstractContextManager[PluginState]:
        """The durable state of a plugin, open for as long as the context is entered."""
        ...


def add_user_commands(cli: click.Group) -> None:
    """Add the group ``user`` to the command line."""
    cli.add_command(user)


@click.group()
def user() -> None:
    """Users of this broker, for the plugin `users`."""


password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)
roles_option = click.option(
    "--role", "roles", multiple=True, metavar="ROLE", help="A role of the user. May be repeated."
)


@user.command()
@click.argument("name")
@roles_option
@password_option
@click.pass_obj
def add(context: Context, name: str, roles: tuple[str, ...], password_stdin: bool) -> None:
    """Add a user."""
    check_name(name, "user")
    check_roles(roles)
    hash = _hash(read_password(password_stdin))
    _with_records(context, lambda records: records.add(name, hash, roles))
    click.echo(f"added the user {name}")


@user.command()
@click.argument("name")
@password_option
@click.pass_obj
def password(context: Context, name: str, password_stdin: bool) -> None:
    """Change a user's password. Connections that are open stay open."""
    _with_records(context, lambda records: records.get(name))
    hash = _hash(read_password(password_stdin))
    _with_records(context, lambda records: records.set_hash(name, hash))
    click.echo(f"changed the password of {name}")


def add_upkeep(group: click.Group, plugin: str, command: str) -> None:
    """Add what is the same for the users of every plugin that keeps some, however it keeps their passwords."""

    @group.command()
    @click.argument("name")
    @roles_option
    @click.pass_obj
    def roles(context: Context, name: str, roles: tuple[str, ...]) -> None:
        """Give a user these roles and no others."""
        with_records(context, plugin, command, lambda records: records.set_roles(name, roles))
        click.echo(f"{name} has the roles {', '.join(roles)}" if roles else f"{name} has no roles")

    @group.command()
    @click.argument("name")
    @click.pass_obj
    def remove(context: Context, name: str) -> None:
        """Remove a user. Connections that are open stay open."""
        with_records(context, plugin, command, lambda records: records.remove(name))
        click.echo(f"removed the user {name}")

    @group.command("list")
    @click.pass_obj
    def list_users(context: Context) -> None:
        """List the users, their roles and when they were added."""
        for name, record in with_records(context, plugin, command, lambda records: records.all()):
            click.echo(_shown(name, record))


add_upkeep(user, PLUGIN, COMMAND)


def _shown(name: str, record: UserRecord | None) -> str:
    """A user's line in a list."""
    if record is None:
        return f"{name}\t(damaged: remove the user and add it anew)"
    created = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return f"{name}\t{','.join(record.roles) or '-'}\t{created:%Y-%m-%d}"


def _with_records(context: Context, work: Callable[[UserRecords], Awaitable[T]]) -> T:
    return with_records(context, PLUGIN, COMMAND, work)


def with_records(context: Context, plugin: str, command: str, work: Callable[[UserRecords], Awaitable[T]]) -> T:
    """Do something with the users that a plugin keeps."""
    with context.plugin_state(plugin) as state:
        return asyncio.run(_do(work, UserRecords(state, command)))


async def _do(work: Callable[[UserRecords], Awaitable[T]], records: UserRecords) -> T:
    return await work(records)


def read_password(from_stdin: bool) -> bytes:
    """The password that is asked for, or comes on standard input. Raises UserError if it is empty."""
    given: bytes
    if from_stdin:
        given = sys.stdin.buffer.read().removesuffix(b"\n").removesuffix(b"\r")
    else:
        given = click.prompt("Password", type=str, hide_input=True, confirmation_prompt=True).encode()
    if not given:
        raise UserError("the password is empty: give one of at least one character")
    return given


def _hash(password: bytes) -> str:
    """The hash with the usual parameters; the broker renews it at the first login if it is set to others."""
    passwords = Passwords()
    try:
        return asyncio.run(passwords.hash(password))
    finally:
        passwords.close()
