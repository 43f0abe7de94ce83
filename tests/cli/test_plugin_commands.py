"""Commands that plugins add."""

import importlib.metadata

import click
import pytest

from mombroker.cli import main, plugin_commands
from mombroker.hooks import hookimpl


class Greeter:
    """A plugin with a command, a group of commands, and a command that would replace a built-in one."""

    @staticmethod
    @hookimpl
    def mombroker_cli(cli):
        @cli.command()
        @click.pass_obj
        def hello(context):
            click.echo(f"hello from {context.settings.storage.data}")

        @cli.group()
        def polite():
            pass

        @polite.command()
        @click.option("--data")
        @click.pass_obj
        def greet(context, data):
            click.echo(f"{data} {context.settings.storage.data}")

        @polite.command()
        @click.argument("whom")
        @click.pass_obj
        def bow(context, whom):
            click.echo(f"{whom} {context.settings.storage.data}")

        @cli.command()
        def version():
            click.echo("not the version")


class Silent:
    """A plugin without commands."""


@pytest.fixture
def installed(monkeypatch):
    """Installs plugins by name; a string is raised when its plugin is loaded."""

    class Entry:
        def __init__(self, name, plugin):
            self.name = name
            self.value = name
            self.group = "mombroker"
            self._plugin = plugin

        def load(self):
            if isinstance(self._plugin, str):
                raise ImportError(self._plugin)
            return self._plugin

    def install(**plugins):
        entries = [Entry(name, plugin) for name, plugin in plugins.items()]
        monkeypatch.setattr(plugin_commands, "entry_points", lambda group: entries)

    return install


def test_an_installed_plugin_adds_commands_without_being_enabled(installed, capsys):
    installed(greeter=Greeter, silent=Silent)
    assert main(["hello"]) == 0
    assert capsys.readouterr().out == "hello from ./data\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "d", "polite", "bow", "ada"],
        ["polite", "--data", "d", "bow", "ada"],
        ["polite", "bow", "ada", "--data", "d"],
        ["--data", "a", "polite", "--data", "b", "bow", "--data", "d", "ada"],
    ],
)
def test_config_and_data_may_stand_before_and_after_a_plugins_command(installed, capsys, arguments):
    installed(greeter=Greeter)
    assert main(arguments) == 0
    assert capsys.readouterr().out == "ada d\n"


def test_an_option_that_a_plugin_defines_itself_is_its_own(installed, capsys):
    installed(greeter=Greeter)
    assert main(["polite", "greet", "--data", "mine"]) == 0
    assert capsys.readouterr().out == "mine ./data\n"


def test_a_plugin_cannot_replace_a_built_in_command(installed, capsys):
    installed(greeter=Greeter)
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("mombroker ")


def test_a_broken_plugin_costs_a_warning_and_nothing_else(installed, capsys):
    installed(broken="no module named\nbroken", greeter=Greeter)
    assert main(["hello"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "hello from ./data\n"
    assert captured.err == "mombroker: warning: the plugin broken adds no commands: no module named broken\n"


def test_built_in_commands_do_not_even_look_at_plugins(installed, capsys):
    installed(broken="no")
    assert main(["version"]) == 0
    assert capsys.readouterr().err == ""


def test_help_shows_the_commands_of_plugins(installed, capsys):
    installed(greeter=Greeter)
    assert main(["--help"]) == 0
    assert "hello" in capsys.readouterr().out


def test_the_plugins_that_come_along_load_without_a_warning(capsys):
    names = {entry.name for entry in importlib.metadata.entry_points(group="mombroker")}
    if not names:
        pytest.skip("mombroker is not installed here")
    plugin_commands.plugin_commands()
    assert capsys.readouterr().err == ""
