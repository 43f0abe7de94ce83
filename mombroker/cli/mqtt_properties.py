"""``-D publish content-type text/plain``: MQTT 5 properties on the command line, as mosquitto_pub takes them.

Such an option has two or three values, depending on the second one, which click cannot express: they are taken out of
the arguments before click sees them.
"""

from dataclasses import dataclass, field
from typing import Any

import click

FLAGS = ("-D", "--property")
KEY = "mombroker.cli.properties"
KNOWN = {
    "publish": {"content-type", "message-expiry-interval", "response-topic", "correlation-data", "user-property"},
    "connect": {"session-expiry-interval", "receive-maximum", "user-property"},
}


@dataclass
class GivenProperties:
    """The properties by packet: single values by name, and the user properties."""

    values: dict[str, dict[str, str]] = field(default_factory=lambda: {packet: {} for packet in KNOWN})
    user: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {packet: [] for packet in KNOWN})

    def publish(self) -> dict[str, Any]:
        """As arguments of ``Mom.publish``."""
        values = self.values["publish"]
        given: dict[str, Any] = {"properties": self.user["publish"]}
        if "content-type" in values:
            given["content_type"] = values["content-type"]
        if "message-expiry-interval" in values:
            given["expiry"] = _number("message-expiry-interval", values["message-expiry-interval"])
        if "response-topic" in values:
            given["response_topic"] = values["response-topic"]
        if "correlation-data" in values:
            given["correlation_data"] = values["correlation-data"].encode()
        return given

    def connect(self) -> dict[str, Any]:
        """As arguments of ``connect``."""
        values = self.values["connect"]
        given: dict[str, Any] = {}
        if self.user["connect"]:
            given["user_properties"] = self.user["connect"]
        if "session-expiry-interval" in values:
            given["session_expiry"] = _number("session-expiry-interval", values["session-expiry-interval"])
        if "receive-maximum" in values:
            given["receive_maximum"] = _number("receive-maximum", values["receive-maximum"])
        return given


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise click.UsageError(f"the property {name} is a whole number, not {text!r}")
    return int(text)


class PropertiesCommand(click.Command):
    """A command that takes ``-D PACKET NAME VALUE`` and ``-D PACKET user-property NAME VALUE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the properties out of the arguments, and let click see the rest."""
        given = GivenProperties()
        rest: list[str] = []
        left = list(args)
        while left:
            argument = left.pop(0)
            if argument == "--":
                rest += [argument, *left]
                break
            if argument in FLAGS:
                _take(given, left)
            else:
                rest.append(argument)
        ctx.meta[KEY] = given
        return super().parse_args(ctx, rest)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, and the one that click does not know of."""
        super().format_options(ctx, formatter)
        with formatter.section("MQTT 5 properties"):
            names = "; ".join(f"{packet}: {', '.join(sorted(known))}" for packet, known in KNOWN.items())
            formatter.write_dl(
                [("-D PACKET NAME VALUE", f"May be repeated. {names} (which takes a name and a value).")]
            )


def _take(given: GivenProperties, left: list[str]) -> None:
    if len(left) < 3:
        raise click.UsageError("-D takes a packet, the name of a property and a value")
    packet, name = left.pop(0).lower(), left.pop(0)
    if name not in KNOWN.get(packet, ()):
        raise click.UsageError(f"there is no property {name} of {packet} that can be set here")
    if name != "user-property":
        given.values[packet][name] = left.pop(0)
        return
    if len(left) < 2:
        raise click.UsageError("-D PACKET user-property takes a name and a value")
    key = left.pop(0)
    given.user[packet].append((key, left.pop(0)))


def given_properties(ctx: click.Context) -> GivenProperties:
    """The properties of this command line."""
    given = ctx.meta.get(KEY)
    return given if isinstance(given, GivenProperties) else GivenProperties()
