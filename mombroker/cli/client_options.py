"""The options of all commands that connect to a broker, named as mosquitto's."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mombroker.cli.gathered_options import gathered
from mombroker.cli.mqtt_properties import given_properties
from mombroker.cli.output import remark

if TYPE_CHECKING:
    from mombroker.client import Mom

T = TypeVar("T")

_OPTIONS = (
    click.Option(["-h", "--host"], help="Where the broker is.  [default: 127.0.0.1]"),
    click.Option(["-p", "--port"], type=click.IntRange(1, 65_535), help="Its port: 1883, or 8883 with --cafile."),
    click.Option(
        ["-L", "--url"],
        envvar="MOMBROKER_URL",
        help="Both in one, if neither is given: mqtt://HOST:PORT.",
    ),
    click.Option(["-u", "--username"], help="The user to log in as."),
    click.Option(["-P", "--pw", "password"], envvar="MOMBROKER_PASSWORD", help="The user's password."),
    click.Option(["-i", "--id", "client_id"], default="", help="The client identifier; without it, one is made up."),
    click.Option(
        ["-k", "--keepalive"], type=click.IntRange(0, 65_535), default=60, help="Seconds of silence at the most."
    ),
    click.Option(["-c", "--disable-clean-session", "keep_session"], is_flag=True, help="Go on with --id's session."),
    click.Option(
        ["--cafile"], type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Trust these, use TLS."
    ),
    click.Option(["-V", "--protocol-version", "version"], help="Taken for mosquitto's sake: it is always MQTT 5."),
)


client_options = gathered("connection", _OPTIONS, dict)
"""Adds the options; the command gets them together, as ``connection``."""


def client(connection: dict[str, Any]) -> "Mom":
    """The client that these options describe, to be entered. Raises BadAddress or ConfigurationError."""
    # Imported here: commands that need no client should be quick.
    from mombroker.client import connect

    version = str(connection["version"] or "5").lower()
    if version not in ("5", "mqttv5"):
        remark(f"-V {version} is ignored: this client speaks MQTT 5")
    cafile = connection["cafile"]
    tls = ssl.create_default_context(cafile=cafile) if cafile is not None else None
    given: dict[str, Any] = {"session_expiry": 0 if not connection["keep_session"] else 3600}
    given |= given_properties(click.get_current_context()).connect()
    return connect(
        _url(connection, tls is not None),
        client_id=connection["client_id"],
        username=connection["username"],
        password=connection["password"],
        keep_alive=connection["keepalive"],
        clean_start=not connection["keep_session"],
        tls=tls,
        **given,
    )


def _url(connection: dict[str, Any], secure: bool) -> str:
    host, port = connection["host"], connection["port"]
    if connection["url"] and host is None and port is None:
        return str(connection["url"])
    host = host or "127.0.0.1"
    if host.startswith("/"):
        return f"unix:{host}"
    shown = f"[{host}]" if ":" in host else host
    return f"{'mqtts' if secure else 'mqtt'}://{shown}{f':{port}' if port else ''}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine, in uvloop where there is one."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)
