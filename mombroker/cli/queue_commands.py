"""``mombroker queue ...``: named queues from the command line."""

from typing import Any

import click
import msgspec

from mombroker.cli.client_options import client, client_options, run
from mombroker.cli.output import show_record, show_table
from mombroker.cli.queue_messages import ack, consume, nack, peek, pull, put
from mombroker.cli.queue_policy import policy_options
from mombroker.operations.queues import ListQueues, QueueInfo

_COLUMNS = ("queue", "owner", "depth", "ready", "leased", "delayed", "bytes", "consumers")

_bindings = click.option(
    "-b", "--bind", "bindings", multiple=True, metavar="FILTER", help="A topic filter whose messages it takes."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("queue")
def queue() -> None:
    """Make, fill, empty and look after named queues."""


for command in (put, pull, consume, peek, ack, nack):
    queue.add_command(command)


@queue.command("create")
@click.argument("name")
@_bindings
@policy_options
@client_options
def create(connection: dict[str, Any], policy: dict[str, Any], name: str, bindings: tuple[str, ...]) -> None:
    """Make the queue NAME."""

    async def work() -> None:
        async with client(connection) as mom:
            await mom.queue(name).create(bindings=bindings, **policy)

    run(work())
    click.echo(f"the queue {name} is there")


@queue.command("change")
@click.argument("name")
@_bindings
@click.option("--unbind-all", is_flag=True, help="Take its topic filters away.")
@policy_options
@client_options
def change(
    connection: dict[str, Any], policy: dict[str, Any], name: str, bindings: tuple[str, ...], unbind_all: bool
) -> None:
    """Change what is given of the queue NAME; --bind takes the place of all its topic filters."""
    if not policy and not bindings and not unbind_all:
        raise click.UsageError("say what to change")
    given: dict[str, Any] = dict(policy)
    if bindings or unbind_all:
        given["bindings"] = bindings

    async def work() -> QueueInfo:
        async with client(connection) as mom:
            return await mom.queue(name).change(**given)

    show_record(_record(run(work())))


@queue.command("list")
@click.argument("pattern", default="*")
@_json
@client_options
def list_(connection: dict[str, Any], pattern: str, as_json: bool) -> None:
    """List the queues whose names match PATTERN (* and ? are wildcards)."""
    queues = run(_all_queues(connection, pattern))
    if as_json:
        click.echo(msgspec.json.encode(queues))
        return
    rows = [(found.queue, found.owner, *(getattr(found.numbers, name) for name in _COLUMNS[2:])) for found in queues]
    show_table(_COLUMNS, rows)


async def _all_queues(connection: dict[str, Any], pattern: str) -> list[QueueInfo]:
    queues: list[QueueInfo] = []
    async with client(connection) as mom:
        more = True
        while more:
            after = queues[-1].queue if queues else ""
            page = await mom.call(ListQueues(pattern=pattern, after=after, limit=1000))
            queues += page.queues
            more = page.more and bool(page.queues)
    return queues


@queue.command("info")
@click.argument("name")
@_json
@client_options
def info(connection: dict[str, Any], name: str, as_json: bool) -> None:
    """Tell everything about the queue NAME."""

    async def work() -> QueueInfo:
        async with client(connection) as mom:
            return await mom.queue(name).info()

    found = run(work())
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        show_record(_record(found))


def _record(found: QueueInfo) -> dict[str, object]:
    record: dict[str, object] = {"queue": found.queue, "owner": found.owner, "bindings": found.bindings}
    policy = msgspec.structs.asdict(found.policy)
    record |= {f"policy.{name}": value for name, value in policy.items() if value is not msgspec.UNSET}
    return record | msgspec.structs.asdict(found.numbers)


@queue.command("purge")
@click.argument("name")
@client_options
def purge(connection: dict[str, Any], name: str) -> None:
    """Drop every message of the queue NAME that no consumer has."""

    async def work() -> int:
        async with client(connection) as mom:
            return await mom.queue(name).purge()

    click.echo(f"{run(work())} messages dropped")


@queue.command("delete")
@click.argument("name")
@click.option("--if-empty", is_flag=True, help="Only if it holds no message.")
@click.option("--if-unused", is_flag=True, help="Only if it has no consumer.")
@client_options
def delete(connection: dict[str, Any], name: str, if_empty: bool, if_unused: bool) -> None:
    """Delete the queue NAME with all its messages."""

    async def work() -> int:
        async with client(connection) as mom:
            return await mom.queue(name).delete(if_empty=if_empty, if_unused=if_unused)

    click.echo(f"the queue {name} is deleted, with {run(work())} messages")


@queue.command("redrive")
@click.argument("name")
@click.option("-C", "--count", type=click.IntRange(min=0), default=0, help="Messages at the most. 0: all.")
@client_options
def redrive(connection: dict[str, Any], name: str, count: int) -> None:
    """Move the dead letters in the queue NAME back to where they came from."""

    async def work() -> int:
        async with client(connection) as mom:
            return await mom.queue(name).redrive(count)

    click.echo(f"{run(work())} messages moved")
