"""Reports, from a stored run."""

import dataclasses
import json

import pytest
from rich.console import Console

from bench.report import page, stored, terminal
from bench.report.figures import number, span, times
from bench.report.rows import defeats, rows
from bench.report.targets import TARGETS, findings
from bench.results import BrokerFacts, Measurement, Metric, Run, ScenarioFacts

RATE = Metric("rate", "messages per second", "/s")
KB = Metric("kb", "memory of each", "kB", more_is_better=False)


def example():
    scenarios = (
        ScenarioFacts("qos0-64", "QoS 0, one to one, 64 B", "As fast as they go.", (RATE,)),
        ScenarioFacts("idle", "idle connections", "Memory.", (KB,)),
        ScenarioFacts("nobody", "publish, no subscriber", "Into nothing.", (RATE,)),
    )
    brokers = (
        BrokerFacts("mombroker-fsync", "mombroker, fsync", "on disk", "1.0 (compiled)", configuration="[mqtt]"),
        BrokerFacts("mosquitto", "Mosquitto", "in memory", "2.0"),
        BrokerFacts("nats", "NATS", "later", missing="make bench-setup"),
        BrokerFacts("amqtt", "amqtt", "in memory", "0.11"),
    )
    measurements = (
        Measurement("qos0-64", "mombroker-fsync", 1, {"rate": 900_000.0}),
        Measurement("qos0-64", "mombroker-fsync", 2, {"rate": 1_100_000.0}),
        Measurement("qos0-64", "mombroker-fsync", 3, {"rate": 9e9}, faults=("LOST 12",)),
        Measurement("qos0-64", "mosquitto", 1, {"rate": 100_000.0}, marks=("the generator was the limit",)),
        Measurement("qos0-64", "amqtt", 1, {"rate": 5_000.0}, faults=("LOST 1",)),
        Measurement("idle", "mombroker-fsync", 1, {"kb": 6.0}),
        Measurement("idle", "mosquitto", 1, {"kb": 0.7}),
    )
    machine = {"kernel": "Linux", "processor": "some"}
    return Run(
        "2030-01-01T00:00:00+00:00", 61.0, False, {"repetitions": "3"}, machine, brokers, scenarios, measurements
    )


def test_a_run_survives_being_stored(tmp_path):
    stored.write(example(), tmp_path / "sub" / "run.json")
    assert stored.read(tmp_path / "sub" / "run.json") == example()
    assert json.loads((tmp_path / "sub" / "run.json").read_text())["quick"] is False


def test_rows_leave_out_what_was_lost_and_say_so():
    row, mosquitto, amqtt = rows(example(), example().scenarios[0])
    assert row.figures["rate"].median == 1_000_000 and row.figures["rate"].count == 2
    assert row.ratios["rate"] == 10.0
    assert row.faults == ("LOST 12 (1 of 3)",)
    assert mosquitto.marks == ("the generator was the limit",)
    assert amqtt.figures == {} and amqtt.faults == ("LOST 1",)


def test_targets_say_reached_missed_or_not_measured():
    found = {finding.target.id: finding.reached for finding in findings(example())}
    assert found["qos0-64:rate:mombroker-fsync:mosquitto"] is True
    assert found["qos0-64:rate:mombroker-fsync:nats"] is None
    assert found["idle:kb:mombroker-fsync"] is False


def test_a_target_without_another_broker_is_shown_as_the_figure_it_is():
    (target,) = (target for target in TARGETS if target.id == "queue-client:rate:mombroker-fsync")
    assert target.wanted() == "≥ 100,000 /s" and target.other == ""


def test_defeats_know_that_less_can_be_better():
    (defeat,) = defeats(example(), "mombroker-fsync")
    assert (defeat.scenario.id, defeat.theirs.broker) == ("idle", "mosquitto")


def test_the_page_tells_all():
    text = page.page(example(), [], {"idle": "A profile shows why."})
    assert "| QoS 0 one to one | mosquitto | ≥ 6 x | 10.0 x | reached |" in text
    assert "| memory of an idle connection |  | ≤ 5 kB | 6.00 kB | **not reached** |" in text
    assert "- *memory of an idle connection*: A profile shows why." in text
    assert "| **mombroker, fsync** | 1,000,000 (900,000 - 1,100,000) | 10.0x | LOST 12 (1 of 3) |" in text
    assert "missing: make bench-setup" in text
    assert "A quick run" not in text
    assert "A quick run" in page.page(dataclasses.replace(example(), quick=True), [], {})


def test_the_terminal_shows_it(capsys):
    terminal.show(example(), Console(width=160))
    shown = capsys.readouterr().out
    assert "LOST 12" in shown and "not reached" in shown and "missing: NATS" in shown


@pytest.mark.filterwarnings("ignore")
def test_plots_are_drawn_as_svg_and_png(tmp_path):
    pytest.importorskip("matplotlib")
    from bench.report import plots

    drawn = plots.write(example(), tmp_path)
    assert {path.stem for path in drawn} == {"throughput", "clients", "targets"}
    for path in drawn:
        assert path.stat().st_size and path.with_suffix(".png").stat().st_size


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.0, "1,234,567"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.012")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_ranges_and_ratios():
    assert span(1.0, 1.0) == "" and span(1.0, 2.0) == "1.00 - 2.00"
    assert times(None) == "" and times(2.5) == "2.50x"
