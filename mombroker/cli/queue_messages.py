"""``mombroker queue put | pull | consume | peek | ack | nack``."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from mombroker.cli.client_options import client, client_options, run
from mombroker.cli.output import progress, show_payload, show_table
from mombroker.cli.payloads import Payloads, payload_options
from mombroker.operations.messages import Ack, InMessage, Nack, OutMessage, Settled

if TYPE_CHECKING:
    from mombroker.client import Queue

DRAIN_BATCH = 1000


@click.command("put")
@click.argument("name")
@click.option("--message-id", "id", default="", help="The message's id, for a queue that recognises duplicates.")
@click.option("--priority", type=click.IntRange(0, 9), default=0, help="9 goes before 0.")
@click.option("--key", default="", help="Messages with the same key are handled in order.")
@click.option("--delay", type=click.FloatRange(min=0), default=0.0, help="Seconds before any consumer gets it.")
@click.option("--ttl", type=click.FloatRange(min=0), default=0.0, help="Seconds after which it is worthless.")
@click.option("--content-type", default="", help="What the payload is.")
@payload_options
@client_options
def put(connection: dict[str, Any], payloads: Payloads, name: str, **options: Any) -> None:
    """Put messages into the queue NAME; it ends when they are on disk."""
    run(_put(connection, payloads, name, options))


async def _put(connection: dict[str, Any], payloads: Payloads, name: str, options: dict[str, Any]) -> None:
    async with client(connection) as mom:
        queue = mom.queue(name)
        if not payloads.is_bulk:
            for payload in payloads:
                click.echo(await queue.put(payload, **options))
            return
        if options["id"]:
            raise click.UsageError("--message-id is for a single message")
        plain = not any(options.values())
        with progress("put", payloads.size, in_bytes=True) as advance:
            async with queue.publisher() as publisher:
                for payload in payloads:
                    if plain:
                        await publisher.send(payload)
                    else:
                        await publisher.send(OutMessage(payload=payload, **options))
                    advance(1, len(payload) + 1)


@click.command("pull")
@click.argument("name")
@click.option("-C", "--count", type=click.IntRange(1, 10_000), default=1, help="Messages at the most.")
@click.option("-W", "--timeout", type=click.FloatRange(0, 300), default=0.0, help="Seconds to wait for the first one.")
@click.option("--lease", type=click.FloatRange(min=0), default=0.0, help="Seconds to have them for, with --keep.")
@click.option(
    "--keep",
    "unsettled",
    is_flag=True,
    help="Do not acknowledge: print the lease before each message, for `queue ack`.",
)
@client_options
def pull(connection: dict[str, Any], name: str, count: int, timeout: float, lease: float, unsettled: bool) -> None:
    """Take messages out of the queue NAME and print them. Fails if there is none."""
    run(_pull(connection, name, count, timeout, lease, unsettled))


async def _pull(
    connection: dict[str, Any], name: str, count: int, timeout: float, lease: float, unsettled: bool
) -> None:
    async with client(connection) as mom:
        queue = mom.queue(name)
        messages = await queue.pull(count, wait=timeout, lease=lease)
        if not messages:
            raise click.ClickException(f"there is no message in the queue {name}")
        for message in messages:
            show_payload((f"{message.content.lease} ".encode() if unsettled else b"") + message.payload)
        if not unsettled:
            await queue.ack(messages)


@click.command("consume")
@click.argument("name")
@click.option("-C", "--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option("-W", "--timeout", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("--credit", type=click.IntRange(1, 65_535), default=100, help="Unacknowledged messages at a time.")
@click.option("-v", "--verbose", is_flag=True, help="Print the topic before each message.")
@click.option("--drain", is_flag=True, help="Take what is there, and end.")
@click.option("-o", "--output", type=click.File("wb"), help="Write the messages there, one a line.")
@client_options
def consume(
    connection: dict[str, Any],
    name: str,
    count: int | None,
    timeout: float | None,
    credit: int,
    verbose: bool,
    drain: bool,
    output: BinaryIO | None,
) -> None:
    """Print the messages of the queue NAME as they come; each is acknowledged when it is printed."""
    if drain and timeout is not None:
        raise click.UsageError("--drain ends by itself: give it no --timeout")
    out = output or sys.stdout.buffer
    if drain:
        run(_drain(connection, name, count, out))
    else:
        run(_consume(connection, name, count, timeout, credit, verbose, out))


async def _consume(
    connection: dict[str, Any],
    name: str,
    count: int | None,
    timeout: float | None,
    credit: int,
    verbose: bool,
    out: BinaryIO,
) -> None:
    seen = 0
    async with client(connection) as mom:
        credit = credit if count is None else min(credit, count)
        try:
            async with asyncio.timeout(timeout), mom.queue(name).consume(credit) as messages:
                async for message in messages:
                    out.write((f"{message.topic} ".encode() if verbose else b"") + message.payload + b"\n")
                    out.flush()
                    await message.ack()
                    seen += 1
                    if seen == count:
                        return
        except TimeoutError:
            if count is not None:
                raise click.ClickException(f"{seen} of {count} messages came in {timeout:g} s") from None


async def _drain(connection: dict[str, Any], name: str, count: int | None, out: BinaryIO) -> None:
    async with client(connection) as mom:
        queue = mom.queue(name)
        ready = (await queue.info()).numbers.ready
        total = ready if count is None else min(ready, count)
        with progress("drained", total) as advance:
            left = count
            while left is None or left > 0:
                took = await _take_batch(queue, DRAIN_BATCH if left is None else min(DRAIN_BATCH, left), out)
                if not took:
                    return
                advance(took)
                left = None if left is None else left - took


async def _take_batch(queue: "Queue", limit: int, out: BinaryIO) -> int:
    """Print and acknowledge a batch, in this order: what was printed twice was not lost."""
    messages = await queue.pull(limit)
    out.write(b"".join([message.payload + b"\n" for message in messages]))
    out.flush()
    await queue.ack(messages)
    return len(messages)


@click.command("peek")
@click.argument("name")
@click.option("-C", "--count", type=click.IntRange(1, 1000), default=10, help="Messages at the most.")
@client_options
def peek(connection: dict[str, Any], name: str, count: int) -> None:
    """Show the messages in front of the queue NAME without taking them."""

    async def work() -> list[InMessage]:
        async with client(connection) as mom:
            return await mom.queue(name).peek(count)

    rows = [
        (found.id, found.priority, found.deliveries, len(found.content()), _shown(found.content()))
        for found in run(work())
    ]
    show_table(("id", "priority", "deliveries", "bytes", "payload"), rows)


def _shown(payload: bytes) -> str:
    """The payload on one line, as far as it is text."""
    text = payload.decode(errors="backslashreplace")
    return "".join(character if character.isprintable() else " " for character in text)


@click.command("ack")
@click.argument("leases", nargs=-1, required=True)
@client_options
def ack(connection: dict[str, Any], leases: tuple[str, ...]) -> None:
    """Acknowledge messages that were pulled with --keep."""
    click.echo(f"{run(_settle(connection, Ack(leases=leases)))} messages acknowledged")


@click.command("nack")
@click.argument("leases", nargs=-1, required=True)
@click.option("--delay", type=click.FloatRange(min=0), help="Seconds to wait first.")
@click.option("--dead-letter", is_flag=True, help="Nobody will ever handle them.")
@click.option("--reason", default="", help="Why.")
@client_options
def nack(
    connection: dict[str, Any], leases: tuple[str, ...], delay: float | None, dead_letter: bool, reason: str
) -> None:
    """Give back messages that were pulled with --keep."""
    request = Nack(leases=leases, delay=delay, dead_letter=dead_letter, reason=reason)
    click.echo(f"{run(_settle(connection, request))} messages given back")


async def _settle(connection: dict[str, Any], request: Ack | Nack) -> int:
    async with client(connection) as mom:
        settled: Settled = await mom.call(request)
    return settled.settled
