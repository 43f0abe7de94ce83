"""A planted leak and a planted drift are found; noise is not taken for one."""

from random import Random

import pytest

from tests.reliability.soak.books import Books
from tests.reliability.soak.verdicts import (
    DATA,
    DESCRIPTORS,
    DRIFT,
    EFFORT,
    LEAST_WINDOWS,
    MEMORY,
    MIB,
    THREADS,
    drift,
    drifted,
    grown,
    growth,
    slope,
    slower,
)

WINDOWS = 60


def noisy(level: float, noise: float, step: float = 0.0, seed: int = 1, windows: int = WINDOWS) -> list[float]:
    """Windows around a level that rises by a step each time; one in ten is far off, as on a machine with other work."""
    random = Random(seed)
    return [
        level + step * number + random.gauss(0, noise) + (level * random.random() if random.random() < 0.1 else 0)
        for number in range(windows)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_growth(seed):
    assert not grown("memory", MIB, noisy(60 * MIB, MIB, seed=seed), MEMORY)
    assert not grown("descriptors", 1, [round(one) for one in noisy(42, 2, seed=seed)], DESCRIPTORS)
    assert not grown("threads", 1, [7.0] * WINDOWS, THREADS)
    assert not grown("data", MIB, noisy(100 * MIB, 2 * MIB, seed=seed), DATA)


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_leak_is_found_in_the_noise(seed):
    assert grown("memory", MIB, noisy(60 * MIB, MIB, step=0.3 * MIB, seed=seed), MEMORY)
    assert grown("descriptors", 1, [round(one) for one in noisy(42, 2, step=0.2, seed=seed)], DESCRIPTORS)
    assert grown("threads", 1, noisy(7, 0, step=0.1, seed=seed), THREADS)
    assert grown("data", MIB, noisy(100 * MIB, 2 * MIB, step=MIB, seed=seed), DATA)


def test_the_first_third_may_grow_as_it_likes():
    filling = [float(min(number, WINDOWS // 3)) * 10 * MIB for number in range(WINDOWS)]
    assert growth(filling) == 0.0
    assert growth(noisy(0, 0, step=1.0)) == pytest.approx(WINDOWS - WINDOWS // 3 - 1, abs=1)


def test_a_leak_is_found_in_the_fewest_windows_there_may_be():
    assert grown("memory", MIB, [60.0 * MIB + 5 * MIB * number for number in range(LEAST_WINDOWS)], MEMORY)


def test_a_quarter_of_wild_values_does_not_move_the_slope():
    straight = [2.0 * number for number in range(40)]
    wild = [10_000.0 if number % 5 == 0 else one for number, one in enumerate(straight)]
    assert slope(wild) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_drift_is_found_and_one_that_the_control_shares_is_none(seed):
    steady, rising = noisy(1e-3, 1e-4, seed=seed), noisy(1e-3, 1e-4, step=2e-5, seed=seed)
    control = noisy(5e-4, 5e-5, seed=seed + 100)
    busier = noisy(5e-4, 5e-5, step=1e-5, seed=seed + 200)
    assert not drifted("latency", steady, control)
    assert drifted("latency", rising, control)
    assert not drifted("latency", rising, busier)
    assert drift(rising, control) > DRIFT > drift(rising, busier)


@pytest.mark.parametrize("seed", range(20))
def test_messages_that_take_more_and_more_of_the_processor_are_found(seed):
    level = [1.0] * WINDOWS
    assert not drifted("effort", noisy(5.0, 0.2, seed=seed), level, EFFORT)
    assert drifted("effort", noisy(5.0, 0.2, step=0.04, seed=seed), level, EFFORT)


def test_a_machine_that_becomes_quiet_makes_nothing_slower():
    assert slower(before=1.0, after=1.0, control_before=1.0, control_after=0.1) == 1.0
    assert slower(before=1.0, after=4.0, control_before=1.0, control_after=4.0) == 1.0
    assert slower(before=1.0, after=4.0, control_before=1.0, control_after=2.0) == 2.0


def test_the_books_tell_what_is_lost_and_what_came_twice():
    books = Books()
    for number in (1, 2, 3):
        books.ack(number)
    books.take(4)
    books.take(1)
    books.ack(4)
    books.take(3)
    assert (books.lost, books.too_many) == (1, 0)
    books.take(3)
    assert (books.lost, books.too_many) == (1, 1)
    assert (books.acked, books.taken) == (4, 4)
