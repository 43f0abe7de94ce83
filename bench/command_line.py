"""``python -m bench``: choose scenarios, brokers and sizes, run, and report."""

import argparse
import dataclasses
import datetime
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Column, Table

from bench import machine
from bench.brokers import Broker, Places, every
from bench.brokers.base import HOME
from bench.report import page, plots, stored, terminal
from bench.results import BrokerFacts, Run, ScenarioFacts
from bench.run import QUICK_REPETITIONS, QUICK_SECONDS, REPETITIONS, SECONDS, Options, planned, rough_seconds, run
from bench.scenarios import EVERY, Scenario

RESULTS = HOME / "results"

NOT_IN_A_HURRY = ("mombroker-fsync-interpreted", "mombroker-interval", "nats-sync-always", "aedes", "amqtt")
"""Brokers that a quick run leaves out, unless they are named."""

FOR_ANOTHER_TIME = ("qos0-1k", "qos1-1k", "qos2-1k", "qos2-64k", "fanout-1000", "loop-5000", "latency-half")
"""Scenarios that a quick run leaves out, unless they are named."""

QUICK_HELP = "short streams, one repetition, fewer and smaller scenarios, fewer brokers: to see that it works"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser("bench", description="Measure mombroker and other MQTT brokers, side by side.")
    add = found.add_argument
    add("--scenario", action="append", metavar="ID", help="only these; a part of the id will do; may be repeated")
    add("--broker", action="append", metavar="ID", help="only these; ids that begin like this; may be repeated")
    add("--list", action="store_true", help="show scenarios and brokers, and what is missing")
    add("--quick", action="store_true", help=QUICK_HELP)
    add("--seconds", type=_positive, help=f"how long each stream lasts (default {SECONDS}; quick {QUICK_SECONDS})")
    add("--repeat", type=_count, help=f"repetitions (default {REPETITIONS}; quick {QUICK_REPETITIONS})")
    add("--json", type=Path, metavar="FILE", help="where the results go (default: bench/results/run-TIME.json)")
    add("--plots", type=Path, metavar="DIR", help="where the plots go (default: beside the results)")
    add("--page", type=Path, metavar="FILE", help="where the page goes (default: beside the results)")
    add("--report-only", type=Path, metavar="JSON", help="measure nothing; report on these results")
    add("--mosquitto", type=Path, metavar="PROGRAM", help="another build of Mosquitto")
    add("--data", type=Path, metavar="DIR", help="where brokers keep their data (default: bench/.data)")
    add("--venv", type=Path, metavar="DIR", help="environment with the compiled mombroker (default: .venv)")
    add("--pure-venv", type=Path, metavar="DIR", help="the one with the interpreted build (default: .venv-pure)")
    return found


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError("between 0 and 60 seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 50:
        raise argparse.ArgumentTypeError("between 1 and 50")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code: 0, 1 if nothing could be measured, 2 for a wrong command line."""
    given = parser().parse_args(arguments)
    # Where no terminal says how wide it is, a table may have room.
    console = Console(width=None if sys.stdout.isatty() else 140)
    if given.report_only:
        return _report_only(given, console)
    places = _places(given)
    brokers = [broker for broker in every(places) if _is_wanted(broker.id, given)]
    scenarios = [scenario for scenario in EVERY if _is_asked_for(scenario.id, given)]
    if not brokers or not scenarios:
        print("bench: no such broker or scenario; --list shows them", file=sys.stderr)
        return 2
    options = Options(
        given.seconds or (QUICK_SECONDS if given.quick else SECONDS),
        given.repeat or (QUICK_REPETITIONS if given.quick else REPETITIONS),
        given.quick,
    )
    if given.list:
        _list(console, brokers, scenarios, options)
        return 0
    result = _measure(console, places, brokers, scenarios, options)
    _report(result, given, console)
    return 0 if any(item.values for item in result.measurements) else 1


def _is_wanted(id: str, given: argparse.Namespace) -> bool:
    """Whether a broker takes part: those that are named, or all; a quick run has no time for some of them."""
    if given.broker is None:
        return not (given.quick and id in NOT_IN_A_HURRY)
    return _fits(id, given.broker, beginning=True)


def _is_asked_for(id: str, given: argparse.Namespace) -> bool:
    """Whether a scenario is measured: those that are named, or all; a quick run has no time for some of them."""
    if given.scenario is None:
        return not (given.quick and id in FOR_ANOTHER_TIME)
    return _fits(id, given.scenario, beginning=False)


def _fits(id: str, wanted: Iterable[str] | None, beginning: bool) -> bool:
    if wanted is None:
        return True
    return any(id.startswith(text) if beginning else text in id for text in wanted)


def _places(given: argparse.Namespace) -> Places:
    chosen = {"compiled": given.venv, "interpreted": given.pure_venv, "data": given.data, "mosquitto": given.mosquitto}
    # Brokers run in their data directory: a relative path would mean something else there.
    return Places(**{name: path.absolute() for name, path in chosen.items() if path is not None})


def _list(console: Console, brokers: Sequence[Broker], scenarios: Sequence[Scenario], options: Options) -> None:
    table = Table(Column("broker", no_wrap=True), "", "acknowledgement", "version", title="Brokers")
    for broker in brokers:
        missing = broker.missing()
        state = f"[yellow]missing: {missing}[/yellow]" if missing else broker.version()
        table.add_row(broker.id, broker.title, broker.promise, state)
    console.print(table)
    table = Table(Column("scenario", no_wrap=True), "", "brokers", "about", title="Scenarios")
    total = 0.0
    for scenario in scenarios:
        seconds = rough_seconds(scenario, brokers, options)
        total += seconds
        table.add_row(scenario.id, scenario.title, ", ".join(scenario.brokers), f"{seconds:.0f} s")
    console.print(table)
    console.print(f"about {total / 60:.0f} minutes in all")


def _measure(
    console: Console, places: Places, brokers: Sequence[Broker], scenarios: Sequence[Scenario], options: Options
) -> Run:
    facts = [_facts(broker) for broker in brokers if any(broker.id in scenario.brokers for scenario in scenarios)]
    present = [broker for broker in brokers if any(fact.id == broker.id and not fact.missing for fact in facts)]
    surroundings = machine.facts(places.data)
    started, began = datetime.datetime.now(datetime.UTC), time.monotonic()
    # Those that want fresh brokers come last: RabbitMQ, which takes seconds to start, is kept running for all others.
    in_order = sorted(scenarios, key=lambda scenario: scenario.fresh)
    with terminal.ProgressBar(console, planned(scenarios, present, options)) as bar:
        measurements = run(in_order, present, options, bar)
    return Run(
        started.isoformat(timespec="seconds"),
        round(time.monotonic() - began, 1),
        options.quick,
        {"seconds of a stream": str(options.seconds), "repetitions": str(options.repetitions)},
        surroundings,
        tuple(facts),
        tuple(ScenarioFacts(item.id, item.title, item.description, item.metrics) for item in scenarios),
        tuple(measurements),
    )


def _facts(broker: Broker) -> BrokerFacts:
    missing = broker.missing()
    facts = BrokerFacts(broker.id, broker.title, broker.promise, missing=missing)
    if missing:
        return facts
    return dataclasses.replace(facts, version=broker.version(), configuration=broker.configuration())


def _report_only(given: argparse.Namespace, console: Console) -> int:
    try:
        result = stored.read(given.report_only)
    except (OSError, msgspec.MsgspecError) as error:
        print(f"bench: {given.report_only}: {error}", file=sys.stderr)
        return 2
    given.json = given.report_only
    _report(result, given, console, store=False)
    return 0


def _report(result: Run, given: argparse.Namespace, console: Console, store: bool = True) -> None:
    path = given.json or RESULTS / f"run-{result.started[:19].replace(':', '')}.json"
    if store:
        stored.write(result, path)
    terminal.show(result, console)
    drawn = plots.write(result, given.plots or path.with_suffix(""))
    written = given.page or path.with_suffix(".md")
    page.write(result, written, drawn)
    console.print(f"took {result.took / 60:.1f} minutes; {path}, {written}", markup=False)
