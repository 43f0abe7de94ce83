"""``mombroker scram``: add, change, remove and list users, whether the broker runs or not."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from mombroker_plugins.scram_verifiers import ITERATIONS, LEAST, MOST, verifier_of
from mombroker_plugins.user_commands import (
    Context,
    add_upkeep,
    password_option,
    read_password,
    roles_option,
    with_records,
)
from mombroker_plugins.user_records import UserRecords, check_name, check_roles

T = TypeVar("T")


def add_scram_commands(cli: click.Group) -> None:
    """Add the group ``scram`` to the command line."""
    cli.add_command(scram)


@click.group()
def scram() -> None:
    """Users of this broker, for the plugin `scram`."""


_iterations = click.option(
    "--iterations",
    type=click.IntRange(LEAST, MOST),
    default=ITERATIONS,
    show_default=True,
    help="How slow a password is to check, for clients and for those who guess.",
)


@scram.command()
@click.argument("name")
@roles_option
@_iterations
@password_option
@click.pass_obj
def add(context: Context, name: str, roles: tuple[str, ...], iterations: int, password_stdin: bool) -> None:
    """Add a user."""
    check_name(name, "user")
    check_roles(roles)
    verifier = str(verifier_of(name, read_password(password_stdin), iterations))
    _with_records(context, lambda records: records.add(name, verifier, roles))
    click.echo(f"added the user {name}")


@scram.command()
@click.argument("name")
@_iterations
@password_option
@click.pass_obj
def password(context: Context, name: str, iterations: int, password_stdin: bool) -> None:
    """Change a user's password. Connections that are open stay open."""
    _with_records(context, lambda records: records.get(name))
    verifier = str(verifier_of(name, read_password(password_stdin), iterations))
    _with_records(context, lambda records: records.set_hash(name, verifier))
    click.echo(f"changed the password of {name}")


add_upkeep(scram, "scram", "mombroker scram")


def _with_records(context: Context, work: Callable[[UserRecords], Awaitable[T]]) -> T:
    return with_records(context, "scram", "mombroker scram", work)
