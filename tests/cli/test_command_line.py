"""The command line: what it hands to the broker, its exit codes, and how it tells what is wrong."""

import importlib.metadata
import logging
import os
import sys
from types import ModuleType

import pytest
import structlog

import mombroker
from mombroker.cli import main
from mombroker.model.errors import ConfigurationError, StoreLocked
from mombroker.wiring.settings_keys import SECTIONS

needs_plugins = pytest.mark.skipif(
    not importlib.metadata.entry_points(group="mombroker"), reason="mombroker is not installed here"
)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    """An empty working directory, no MOMBROKER_ variables, and logging as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MOMBROKER_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def broker(monkeypatch):
    """Stands in for mombroker.broker: keeps the settings it was started with, and fails as it is told."""
    module = ModuleType("mombroker.broker")
    module.started = []
    module.outcome = 0

    def serve(settings, reread):
        module.started.append(settings)
        module.reread = reread
        if isinstance(module.outcome, BaseException):
            raise module.outcome
        return module.outcome

    module.serve = serve
    monkeypatch.setitem(sys.modules, "mombroker.broker", module)
    return module


def test_serve_hands_the_defaults_to_the_broker(broker):
    assert main(["serve"]) == 0
    (settings,) = broker.started
    assert settings.mqtt.listen == ("127.0.0.1:1883",)
    assert settings.storage.data == "./data"


def test_the_options_of_serve_set_settings(broker):
    options = ["--data", "d", "--mqtt", "[::1]:0", "--mqtt", "127.0.0.1:0", "--durability", "interval", "--http", "off"]
    assert main(["serve", *options, "--log-level", "debug", "--log-format", "json"]) == 0
    (settings,) = broker.started
    assert settings.mqtt.listen == ("[::1]:0", "127.0.0.1:0")
    assert settings.http.listen == "off"
    assert (settings.storage.data, settings.storage.durability) == ("d", "interval")
    assert (settings.log.level, settings.log.format) == ("debug", "json")


def test_grpc_is_off_until_it_is_given_an_address(broker):
    for options in ([], ["--grpc", "off"], ["--grpc", ""]):
        assert main(["serve", *options]) == 0
        assert broker.started[-1].grpc.addresses() == ()
    assert main(["serve", "--grpc", "127.0.0.1:0,[::1]:50051"]) == 0
    assert [str(address) for address in broker.started[-1].grpc.addresses()] == ["127.0.0.1:0", "[::1]:50051"]


def test_options_beat_the_environment_and_that_the_file(broker, tmp_path, monkeypatch):
    (tmp_path / "b.toml").write_text('[storage]\ndata = "file"\n[log]\nlevel = "error"\n[mqtt]\nmaximum_qos = 1\n')
    monkeypatch.setenv("MOMBROKER_STORAGE_DATA", "environment")
    monkeypatch.setenv("MOMBROKER_LOG_LEVEL", "warning")
    assert main(["serve", "--config", "b.toml", "--data", "option"]) == 0
    (settings,) = broker.started
    assert (settings.storage.data, settings.log.level, settings.mqtt.maximum_qos) == ("option", "warning", 1)


def test_config_and_data_may_stand_before_the_command_and_the_later_one_counts(broker, tmp_path):
    (tmp_path / "b.toml").write_text("[mqtt]\nmaximum_qos = 1\n")
    assert main(["--config", "b.toml", "--data", "first", "serve"]) == 0
    assert main(["--data", "first", "serve", "--data", "second"]) == 0
    before, both = broker.started
    assert (before.mqtt.maximum_qos, before.storage.data, both.storage.data) == (1, "first", "second")


def test_the_settings_can_be_read_again_while_the_broker_runs(broker, tmp_path):
    (tmp_path / "b.toml").write_text("[mqtt]\nmaximum_qos = 1\n")
    assert main(["serve", "--config", "b.toml", "--data", "d"]) == 0
    (tmp_path / "b.toml").write_text('[mqtt]\nmaximum_qos = 0\n[log]\nlevel = "error"\n')
    again = broker.reread()
    assert (again.mqtt.maximum_qos, again.storage.data) == (0, "d")
    assert logging.getLogger().level == logging.ERROR


def test_the_exit_code_of_the_broker_is_that_of_the_command(broker):
    broker.outcome = 1
    assert main(["serve"]) == 1


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigurationError("not\nso"), 2), (StoreLocked("process 7 owns it"), 1)], ids=["2", "1"]
)
def test_an_error_is_one_line_on_standard_error(broker, capsys, error, code):
    broker.outcome = error
    assert main(["serve"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"mombroker: {' '.join(str(error).split())}\n"
    assert captured.out == ""


def test_a_programming_error_is_not_dressed_up(broker):
    broker.outcome = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        main(["serve"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--durability", "none"], "'none' is not one of"),
        (["serve", "--mqtt", "1883"], "the option mqtt.listen: '1883' is not an address"),
        (["serve", "--grpc", "on"], "the option grpc.listen: 'on' is not an address"),
        (["serve", "--http", "8080"], "the option http.listen: '8080' is not an address"),
        (["serve", "--config", "none.toml"], "cannot read the settings file none.toml"),
        (["serve", "--nonsense"], "No such option"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_and_starts_nothing(broker, capsys, arguments, told):
    assert main(arguments) == 2
    *warnings, error = capsys.readouterr().err.splitlines()
    assert told in error
    assert error.startswith("mombroker: ")
    assert all(line.startswith("mombroker: warning: ") for line in warnings)
    assert broker.started == []


def test_a_wrong_settings_file_is_told_with_its_line(broker, capsys, tmp_path):
    (tmp_path / "b.toml").write_text("[mqtt]\nmaximum_qso = 1\n")
    assert main(["serve", "--config", "b.toml"]) == 2
    assert capsys.readouterr().err == (
        "mombroker: b.toml, line 2: there is no key maximum_qso in [mqtt]; did you mean maximum_qos?\n"
    )


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_the_version_can_be_asked_for(capsys, arguments):
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith(f"mombroker {mombroker.__version__}")


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("serve", "check", "version"):
        assert f"\n  {command} " in out


def test_nothing_to_do_is_a_mistake_and_shows_the_help(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "serve" in captured.err + captured.out


@needs_plugins
def test_check_prints_the_settings_that_would_be_used(capsys, tmp_path):
    (tmp_path / "b.toml").write_text("[mqtt]\nmaximum_qos = 1\n")
    assert main(["check", "--config", "b.toml", "--data", "d"]) == 0
    out = capsys.readouterr().out
    assert "[mqtt]\n" in out
    assert "maximum_qos = 1\n" in out
    assert 'data = "d"\n' in out
    assert not (tmp_path / "d").exists(), "check starts nothing"


@needs_plugins
def test_check_shows_every_section(capsys):
    assert main(["check"]) == 0
    assert {f"[{name}]" for name in SECTIONS} <= {*capsys.readouterr().out.splitlines()}


@needs_plugins
def test_check_shows_what_is_on_without_a_section_and_that_anonymous_clients_run_the_broker(capsys, tmp_path):
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "# [plugins.queue_limits]\n" in out
    assert "# [plugins.anonymous]\n# admin = true\n" in out
    (tmp_path / "b.toml").write_text("[plugins.acl]\n")
    assert main(["check", "--config", "b.toml"]) == 0
    out = capsys.readouterr().out
    assert "# [plugins.anonymous]\n" in out
    assert "admin" not in out
    (tmp_path / "b.toml").write_text("[plugins.anonymous]\n[plugins.users]\n")
    assert main(["check", "--config", "b.toml"]) == 0
    out = capsys.readouterr().out
    assert "# [plugins.anonymous]" not in out
    assert "admin" not in out


@needs_plugins
def test_what_check_prints_is_a_settings_file_again(capsys, tmp_path):
    (tmp_path / "b.toml").write_text('[mqtt]\nversions = ["5.0"]\n[hooks]\ntime_budget = 1.5\n')
    assert main(["check", "--config", "b.toml"]) == 0
    first = capsys.readouterr().out
    (tmp_path / "c.toml").write_text(first)
    assert main(["check", "--config", "c.toml"]) == 0
    assert capsys.readouterr().out == first


def test_check_fails_for_a_plugin_that_is_not_installed(capsys, tmp_path):
    (tmp_path / "b.toml").write_text("[plugins.nonsuch]\n")
    assert main(["check", "--config", "b.toml"]) == 2
    assert "nonsuch" in capsys.readouterr().err


@needs_plugins
@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('[plugins.acl]\ndefalt = "deny"\n', "did you mean default?"),
        ('[plugins.queue_limits]\nmax_messages = "many"\n', "max_messages"),
    ],
)
def test_a_mistake_in_the_table_of_a_plugin_is_told_with_its_file(capsys, tmp_path, table, told):
    (tmp_path / "b.toml").write_text(table)
    assert main(["check", "--config", "b.toml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mombroker: b.toml: [plugins.")
    assert told in error


@needs_plugins
def test_check_refuses_an_address_that_strangers_can_reach_while_nobody_is_asked_who_they_are(capsys, tmp_path):
    (tmp_path / "b.toml").write_text('[mqtt]\nlisten = ["0.0.0.0:1883"]\n')
    assert main(["check", "--config", "b.toml"]) == 2
    assert "0.0.0.0:1883" in capsys.readouterr().err
    (tmp_path / "b.toml").write_text('[mqtt]\nlisten = ["0.0.0.0:1883"]\n[plugins.anonymous]\nallow = "any"\n')
    assert main(["check", "--config", "b.toml"]) == 0
