"""``mombroker pub`` and ``mombroker sub``."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from mombroker.cli.client_options import client, client_options, run
from mombroker.cli.mqtt_properties import GivenProperties, PropertiesCommand, given_properties
from mombroker.cli.output import progress, show_payload
from mombroker.cli.payloads import Payloads, payload_options

if TYPE_CHECKING:
    from mombroker.client import Message, Subscription

FAILED = 1
_QOS = click.IntRange(0, 2)


@click.command("pub", cls=PropertiesCommand)
@click.option("-t", "--topic", required=True, help="The topic; $queue/NAME puts into a queue.")
@click.option("-q", "--qos", type=_QOS, default=1, show_default=True, help="Quality of service.")
@click.option("-r", "--retain", is_flag=True, help="The broker keeps it for later subscribers.")
@payload_options
@client_options
def pub(connection: dict[str, Any], payloads: Payloads, topic: str, qos: int, retain: bool) -> None:
    """Publish, and end when the broker has acknowledged."""
    run(_publish(connection, payloads, topic, qos, retain, given_properties(click.get_current_context())))


async def _publish(
    connection: dict[str, Any], payloads: Payloads, topic: str, qos: Any, retain: bool, given: GivenProperties
) -> None:
    options = given.publish()
    async with client(connection) as mom:
        if not payloads.is_bulk:
            for payload in payloads:
                await mom.publish(topic, payload, qos=qos, retain=retain, **options)
            return
        if {"response_topic", "correlation_data"} & options.keys():
            raise click.UsageError("a response topic and correlation data are for single messages")
        size = payloads.size
        with progress("published", size, in_bytes=True) as advance:
            async with mom.publisher(topic, qos=qos, retain=retain, **options) as publisher:
                for payload in payloads:
                    await publisher.send(payload)
                    advance(1, len(payload) + 1)


@click.command("sub", cls=PropertiesCommand)
@click.option("-t", "--topic", "topics", multiple=True, required=True, help="A topic filter. May be repeated.")
@click.option("-q", "--qos", type=_QOS, default=1, show_default=True, help="Quality of service, at the most.")
@click.option("-v", "--verbose", is_flag=True, help="Print the topic before each message.")
@click.option("-C", "--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option("-W", "--timeout", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.")
@click.option("-R", "--no-retained", is_flag=True, help="Without the messages that were kept for us.")
@click.option("-N", "--no-newline", is_flag=True, help="Print no line end after a message.")
@client_options
def sub(
    connection: dict[str, Any],
    topics: tuple[str, ...],
    qos: int,
    verbose: bool,
    count: int | None,
    timeout: float | None,
    no_retained: bool,
    no_newline: bool,
) -> int:
    """Subscribe and print what comes. Fails if --timeout ends it before --count messages came."""

    def show(message: "Message") -> None:
        head = f"{message.topic} ".encode() if verbose else b""
        show_payload(head + message.payload, b"" if no_newline else b"\n")

    return run(_subscribe(connection, topics, qos, no_retained, count, timeout, show))


async def _subscribe(
    connection: dict[str, Any],
    topics: tuple[str, ...],
    qos: Any,
    no_retained: bool,
    count: int | None,
    timeout: float | None,
    show: Any,
) -> int:
    async with client(connection) as mom:
        # Never unsubscribed from: with -c the broker is to keep what comes while we are away.
        messages = mom.subscribe(*topics, qos=qos, retain_handling=2 if no_retained else 0)
        await messages.open()
        try:
            async with asyncio.timeout(timeout):
                await _print(messages, count, show)
        except TimeoutError:
            if count is not None:
                raise click.ClickException(f"fewer than {count} messages came in {timeout:g} s") from None
    return 0


async def _print(messages: "Subscription", count: int | None, show: Any) -> None:
    seen = 0
    async for message in messages:
        show(message)
        seen += 1
        if seen == count:
            messages.ack_current()
            return
