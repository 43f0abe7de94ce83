"""The commands that come with the broker, and the group that gathers them with those of plugins."""

import click

import mombroker
from mombroker.cli.context import CliContext
from mombroker.cli.message_commands import pub, sub
from mombroker.cli.options import places, setting
from mombroker.cli.plugin_commands import plugin_commands
from mombroker.cli.queue_commands import queue
from mombroker.cli.report import settings_report
from mombroker.cli.request_commands import request, serve_echo
from mombroker.wiring.build import is_compiled
from mombroker.wiring.logs import configure_logging
from mombroker.wiring.settings import Settings


class Commands(click.Group):
    """Built-in commands first. Plugins are looked at only for a name that is not built in, and for the help text: one
    that cannot even be imported never stands between an operator and ``serve``."""

    _from_plugins: dict[str, click.Command] | None = None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, built in or a plugin's."""
        return super().get_command(ctx, cmd_name) or self._plugins().get(cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command there is."""
        return sorted({*super().list_commands(ctx), *self._plugins()})

    def _plugins(self) -> dict[str, click.Command]:
        if self._from_plugins is None:
            self._from_plugins = plugin_commands()
        return self._from_plugins


def build() -> click.Group:
    """The whole command line, made anew so that it sees the plugins of now."""
    group = Commands("mombroker", params=places(), no_args_is_help=True, help=_ABOUT)
    click.version_option(mombroker.__version__, prog_name="mombroker", message="%(prog)s %(version)s")(group)
    for command in (serve, check, version, pub, sub, request, serve_echo, queue):
        group.add_command(command)
    return group


_ABOUT = """An MQTT broker whose acknowledgements mean: on disk.

--config and --data may stand before the command or after it."""

_SERVE = [
    *places(),
    setting("--mqtt", "mqtt.listen", "An address to listen on. May be repeated.", metavar="HOST:PORT", multiple=True),
    setting("--http", "http.listen", "Where to serve the native API over HTTP.", metavar="HOST:PORT|off"),
    setting("--grpc", "grpc.listen", "Where to serve the native API over gRPC.", metavar="HOST:PORT|off"),
    setting(
        "--durability",
        "storage.durability",
        "What an acknowledgement means.",
        type=click.Choice(["fsync", "interval", "memory"]),
    ),
    setting(
        "--log-level",
        "log.level",
        "The least important thing to log.",
        type=click.Choice(["debug", "info", "warning", "error"]),
    ),
    setting("--log-format", "log.format", "How to log.", type=click.Choice(["auto", "console", "json"])),
]


@click.command(params=_SERVE)
@click.pass_obj
def serve(context: CliContext) -> int:
    """Run the broker until SIGTERM or Ctrl-C."""
    # Imported here: nothing else on the command line needs the engine, and `version` should be quick.
    from mombroker.broker import serve as run

    return run(_logged(context.settings), lambda: _logged(context.read_again()))


def _logged(settings: Settings) -> Settings:
    """Log the way these settings say, from now on."""
    configure_logging(settings.log.level, settings.log.format)
    return settings


@click.command(params=places())
@click.pass_obj
def check(context: CliContext) -> None:
    """Check the settings and load the plugins, without starting; print what would be used."""
    # Imported here, as in serve: only these two need the plugin host.
    from mombroker.cli.plugin_checks import check_plugins, plugins_by_default

    settings = context.settings
    check_plugins(settings)
    click.echo(settings_report(settings, plugins_by_default(settings)))


@click.command()
def version() -> None:
    """Print the version, and whether it runs compiled."""
    click.echo(f"mombroker {mombroker.__version__} ({'compiled' if is_compiled() else 'interpreted'})")
