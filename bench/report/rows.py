"""A run's measurements as rows, one for each scenario and broker. Terminal, page and plots are made of these."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Measurement, Metric, Run, ScenarioFacts
from bench.statistics import Summary, ratio, summarise

BASE = "mosquitto"
"""Ratios are to this broker, in the same run."""


@dataclass(frozen=True)
class Row:
    """What one broker did in one scenario. ``remarks`` are the faults and marks of all repetitions."""

    scenario: ScenarioFacts
    broker: str
    title: str
    figures: dict[str, Summary]
    ratios: dict[str, float]
    faults: tuple[str, ...]
    marks: tuple[str, ...]

    @property
    def main(self) -> Metric:
        """The scenario's first figure."""
        return self.scenario.metrics[0]


def rows(run: Run, scenario: ScenarioFacts) -> list[Row]:
    """A scenario's rows, in the order of the brokers."""
    return [
        _row(run, scenario, broker.id, broker.title) for broker in run.brokers if _took_part(run, scenario, broker.id)
    ]


def _took_part(run: Run, scenario: ScenarioFacts, broker: str) -> bool:
    return any(item.scenario == scenario.id and item.broker == broker for item in run.measurements)


def _row(run: Run, scenario: ScenarioFacts, broker: str, title: str) -> Row:
    figures, ratios = {}, {}
    for metric in scenario.metrics:
        found = summarise(run.measurements, scenario.id, broker, metric.key)
        if found is None:
            continue
        figures[metric.key] = found
        base = summarise(run.measurements, scenario.id, BASE, metric.key)
        if (against := ratio(found.median, base.median if base else None)) is not None:
            ratios[metric.key] = against
    mine = [item for item in run.measurements if item.scenario == scenario.id and item.broker == broker]
    return Row(scenario, broker, title, figures, ratios, _counted(mine, "faults"), _counted(mine, "marks"))


def _counted(measurements: list[Measurement], kind: str) -> tuple[str, ...]:
    """The remarks, each with how many of the repetitions it is about, unless it is about all."""
    counts: dict[str, int] = {}
    for item in measurements:
        for text in item.faults if kind == "faults" else item.marks:
            counts[text] = counts.get(text, 0) + 1
    whole = len(measurements)
    return tuple(text if count == whole else f"{text} ({count} of {whole})" for text, count in counts.items())


@dataclass(frozen=True)
class Defeat:
    """A scenario in which another broker has the better median."""

    scenario: ScenarioFacts
    metric: Metric
    ours: Row
    theirs: Row
    ratio: float


def defeats(run: Run, broker: str) -> Iterator[Defeat]:
    """Where another broker (reference rows and mombroker's own variants aside) beats this one, in the main figures."""
    for scenario in run.scenarios:
        found = rows(run, scenario)
        ours = next((row for row in found if row.broker == broker), None)
        if ours is None or ours.main.key not in ours.figures:
            continue
        metric = ours.main
        mine = ours.figures[metric.key].median
        for row in found:
            if row.broker.startswith(("mombroker", "limit")) or metric.key not in row.figures:
                continue
            theirs = row.figures[metric.key].median
            if (mine < theirs) if metric.more_is_better else (mine > theirs):
                yield Defeat(scenario, metric, ours, row, mine / theirs if theirs else float("inf"))
