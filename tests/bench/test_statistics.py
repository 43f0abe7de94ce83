"""The harness's arithmetic."""

import pytest

from bench.results import Measurement
from bench.run import Options, planned
from bench.scenarios import EVERY
from bench.statistics import percentile, ratio, summarise, summary


def measured(*rates, broker="a", **more):
    return [Measurement("s", broker, n, {"rate": rate}, **more) for n, rate in enumerate(rates)]


def test_a_summary_has_median_and_range():
    found = summarise(measured(3.0, 100.0, 5.0), "s", "a", "rate")
    assert (found.median, found.low, found.high, found.count) == (5.0, 3.0, 100.0, 3)


def test_the_median_of_an_even_number_lies_in_the_middle():
    assert summary([1.0, 3.0]).median == 2.0


def test_a_measurement_with_loss_is_never_averaged_in():
    results = [*measured(10.0, 12.0), *measured(1000.0, faults=("LOST 1",))]
    assert summarise(results, "s", "a", "rate").median == 11.0
    assert summarise(results[2:], "s", "a", "rate") is None


def test_a_measurement_with_a_mark_counts():
    assert summarise(measured(10.0, marks=("the generator was the limit",)), "s", "a", "rate").median == 10.0


def test_other_brokers_scenarios_and_figures_do_not_mix():
    results = [*measured(1.0), *measured(5.0, broker="b")]
    assert summarise(results, "s", "b", "rate").median == 5.0
    assert summarise(results, "t", "a", "rate") is None
    assert summarise(results, "s", "a", "p50") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(6.0, 2.0, 3.0), (1.0, 4.0, 0.25), (None, 2.0, None), (2.0, None, None), (2.0, 0.0, None)],
)
def test_ratio(ours, theirs, expected):
    assert ratio(ours, theirs) == expected


@pytest.mark.parametrize(("part", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.0, 1), (1.0, 100)])
def test_percentiles_are_by_nearest_rank(part, expected):
    assert percentile(list(range(1, 101)), part) == expected


def test_a_percentile_of_nothing_is_an_error():
    with pytest.raises(ValueError):
        percentile([], 0.5)


def test_a_quick_run_is_not_held_to_the_repetitions_of_a_full_one():
    hooks = next(scenario for scenario in EVERY if scenario.id == "hooks")
    assert Options().repetitions_of(hooks) == hooks.repetitions
    assert Options(quick=True, repetitions=1).repetitions_of(hooks) == 1


def test_every_scenario_names_brokers_that_exist():
    from bench.brokers import Places, every

    known = {broker.id for broker in every(Places())}
    for scenario in EVERY:
        assert set(scenario.brokers) <= known, scenario.id
    assert len({scenario.id for scenario in EVERY}) == len(EVERY)
    assert planned(EVERY, [], Options()) == 0
