"""``python -m bench`` without measuring anything."""

import pytest

from bench.brokers import Places, every
from bench.command_line import main
from bench.report import stored
from bench.scenarios import EVERY

from .test_report import example


def test_the_list_names_every_scenario_and_broker(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["--list", "--venv", str(tmp_path), "--pure-venv", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for item in (*EVERY, *every(Places())):
        assert item.id in shown
    assert "missing" in shown


def test_a_broker_nobody_knows_is_an_error(capsys):
    assert main(["--broker", "hivemq"]) == 2
    assert "--list" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--seconds", "0"], ["--repeat", "1000"], ["--no-such"]])
def test_a_wrong_command_line_is_an_error(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        main(wrong)
    assert caught.value.code == 2


def test_a_report_can_be_made_again(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    stored.write(example(), tmp_path / "run.json")
    page = tmp_path / "docs" / "performance.md"
    assert main(["--report-only", str(tmp_path / "run.json"), "--page", str(page)]) == 0
    assert "](../run/targets.svg)" in page.read_text()
    assert (tmp_path / "run" / "targets.svg").exists()


def test_a_report_on_something_else_is_an_error(tmp_path, capsys):
    (tmp_path / "run.json").write_text("{}")
    assert main(["--report-only", str(tmp_path / "run.json")]) == 2
    assert main(["--report-only", str(tmp_path / "no.json")]) == 2


@pytest.mark.parametrize("broker", every(Places()), ids=lambda broker: broker.id)
def test_every_broker_says_how_it_is_configured_and_listens_on_loopback_only(broker, tmp_path):
    if broker.id.startswith("nats") and broker.missing():
        pytest.skip(broker.missing())
    plan = broker.plan(tmp_path, 18830)
    assert any("18830" in text for text in (*plan.command, *plan.files.values()))
    assert "0.0.0.0" not in "".join((*plan.command, *plan.files.values()))
    assert broker.promise and broker.title
