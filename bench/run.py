"""One run: every scenario on its brokers, interleaved (A B C A B C …), so that a change of the machine's mood falls on
all of them. Brokers whose turn it is not are stopped in their tracks (SIGSTOP) and use no processor."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.brokers import Broker, Running
from bench.brokers.base import BrokerFailed
from bench.load.connection import Refused
from bench.load.generator import Declined, Generator, WorkFailed
from bench.results import Measurement
from bench.scenarios import Outcome, Scenario, Stage

SECONDS, QUICK_SECONDS = 1.0, 0.4
REPETITIONS, QUICK_REPETITIONS = 3, 1


@dataclass(frozen=True)
class Options:
    """How to run: ``seconds`` is how long each stream lasts."""

    seconds: float = SECONDS
    repetitions: int = REPETITIONS
    quick: bool = False

    def repetitions_of(self, scenario: Scenario) -> int:
        """How often this scenario is measured."""
        if scenario.repetitions is None:
            return self.repetitions
        return min(scenario.repetitions, self.repetitions) if self.quick else scenario.repetitions


class Watcher(Protocol):
    """Is told how the run goes on."""

    def begin(self, scenario: Scenario, broker: Broker, repetition: int) -> None:
        """A measurement begins."""

    def done(self, measurement: Measurement) -> None:
        """It is there."""


def planned(scenarios: Sequence[Scenario], brokers: Sequence[Broker], options: Options) -> int:
    """How many measurements a run has."""
    known = {broker.id for broker in brokers}
    return sum(len(known & set(item.brokers)) * options.repetitions_of(item) for item in scenarios)


def rough_seconds(scenario: Scenario, brokers: Sequence[Broker], options: Options) -> float:
    """About how long a scenario takes."""
    count = sum(broker.id in scenario.brokers for broker in brokers)
    rough = min(scenario.rough, 3.0) if options.quick else scenario.rough
    return count * (0.5 + options.repetitions_of(scenario) * (options.seconds + rough))


@dataclass
class Company:
    """The brokers that run now."""

    running: dict[str, Running] = field(default_factory=dict)

    def get(self, broker: Broker, fresh: bool) -> Running:
        """The broker, resumed; a new one if it is to be fresh, or has ended. Raises BrokerFailed."""
        found = self.running.get(broker.id)
        if found is not None and (fresh or not found.alive()):
            self.dismiss(broker)
            found = None
        if found is None:
            found = self.running[broker.id] = broker.start()
        found.resume()
        return found

    def dismiss(self, broker: Broker) -> None:
        """Stop this one."""
        found = self.running.pop(broker.id, None)
        if found is not None:
            found.stop()

    def dismiss_all(self, keep: bool = False) -> None:
        """Stop all, or all but those that are to be kept running."""
        for found in list(self.running.values()):
            if not (keep and found.broker.keep_running):
                self.dismiss(found.broker)


def run(
    scenarios: Sequence[Scenario], brokers: Sequence[Broker], options: Options, watcher: Watcher
) -> list[Measurement]:
    """Measure. Ends what it has started, also when it is interrupted."""
    company, results = Company(), []
    memory: dict[Any, float] = {}
    with Generator() as generator:
        try:
            for scenario in scenarios:
                present = [broker for broker in brokers if broker.id in scenario.brokers]
                for measurement in _scenario(scenario, present, options, watcher, company, generator, memory):
                    results.append(measurement)
                    watcher.done(measurement)
                company.dismiss_all(keep=True)
        finally:
            company.dismiss_all()
    return results


def _scenario(
    scenario: Scenario,
    brokers: Sequence[Broker],
    options: Options,
    watcher: Watcher,
    company: Company,
    generator: Generator,
    memory: dict[Any, float],
) -> Any:
    out: set[str] = set()
    for repetition in range(1, options.repetitions_of(scenario) + 1):
        for broker in brokers:
            if broker.id in out:
                continue
            watcher.begin(scenario, broker, repetition)
            began = time.monotonic()
            outcome, final = _measure(scenario, broker, options, company, generator, memory)
            if final:
                # What a broker cannot do it will not do at the second attempt either.
                out.add(broker.id)
            yield Measurement(
                scenario.id,
                broker.id,
                repetition,
                {name: float(value) for name, value in outcome.values.items()},
                outcome.faults,
                outcome.marks,
                round(time.monotonic() - began, 3),
                outcome.broker_cpu,
                outcome.generator_cpu,
            )


def _measure(
    scenario: Scenario,
    broker: Broker,
    options: Options,
    company: Company,
    generator: Generator,
    memory: dict[Any, float],
) -> tuple[Outcome, bool]:
    """One measurement, and whether there is no point in another."""
    try:
        running = company.get(broker, scenario.fresh)
    except BrokerFailed as error:
        return Outcome(faults=(f"DID NOT START: {error}",)), True
    stage = Stage(generator, running, options.seconds, options.quick, memory=memory)
    spent = scenario.fresh
    try:
        outcome, final = scenario.measure(stage), False
    except (Declined, Refused) as error:
        outcome, final = Outcome(faults=(f"DECLINED: {_short(error)}",)), True
    except (WorkFailed, OSError) as error:
        outcome, final, spent = Outcome(faults=(f"FAILED: {_short(error)}",)), True, True
    if not running.alive():
        outcome, final = Outcome(faults=(*outcome.faults, f"ENDED: {running.said()[-200:]}")), True
    # A broker that has failed may be in any state, and one that was to be fresh is fresh no longer.
    if spent or not running.alive():
        company.dismiss(broker)
    else:
        running.pause()
    return outcome, final


def _short(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) < 300 else text[-300:]
