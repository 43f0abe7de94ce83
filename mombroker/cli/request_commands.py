"""``mombroker request`` and ``mombroker serve-echo``."""

from typing import TYPE_CHECKING, Any

import click

from mombroker.cli.client_options import client, client_options, run
from mombroker.cli.mqtt_properties import GivenProperties, PropertiesCommand, given_properties
from mombroker.cli.output import remark, show_payload
from mombroker.cli.payloads import Payloads, payload_options

if TYPE_CHECKING:
    from mombroker.client import ServiceRequest


@click.command("request", cls=PropertiesCommand)
@click.argument("service")
@click.option(
    "-W", "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, help="Seconds to wait for the reply."
)
@click.option("--patient", is_flag=True, help="Wait for a worker if there is none.")
@click.option("-N", "--no-newline", is_flag=True, help="Print no line end after a part of the reply.")
@payload_options
@client_options
def request(
    connection: dict[str, Any], payloads: Payloads, service: str, timeout: float, patient: bool, no_newline: bool
) -> None:
    """Ask SERVICE and print its reply, each part as it comes."""
    given = given_properties(click.get_current_context())
    end = b"" if no_newline else b"\n"
    run(_request(connection, payloads, service, timeout, patient, given, end))


async def _request(
    connection: dict[str, Any],
    payloads: Payloads,
    service: str,
    timeout: float,
    patient: bool,
    given: GivenProperties,
    end: bytes,
) -> None:
    options = {name: value for name, value in given.publish().items() if name in ("content_type", "properties")}
    async with client(connection) as mom:
        for payload in payloads:
            parts = await mom.request_parts(service, payload, timeout=timeout, patient=patient, **options)
            async for part in parts:
                show_payload(part.content(), end)


@click.command("serve-echo", cls=PropertiesCommand)
@click.argument("service", default="echo")
@client_options
def serve_echo(connection: dict[str, Any], service: str) -> None:
    """Answer each request to SERVICE with what it carries, until Ctrl-C. To try things out with."""
    run(_serve_echo(connection, service))


async def _serve_echo(connection: dict[str, Any], service: str) -> None:
    async with client(connection) as mom:
        await mom.serve(service, _echo, concurrency=1000, threads=False)
        remark(f"serving {service} at {mom.address}; Ctrl-C ends it")
        await mom.serve_forever()


def _echo(request: "ServiceRequest") -> bytes:
    return request.payload
