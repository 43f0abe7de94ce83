"""Companies of hostile clients, made up by hypothesis, against one broker after the other for so many CPU seconds."""

import json
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.reliability.fuzzing.company import COMPANIES, Company, company, quantile
from tests.reliability.fuzzing.hostile import Behaviour

AT_A_TIME = 10
"""Companies for one broker."""


def main(place: Path, seconds: float) -> int:
    """Run, and leave a summary in ``place``."""
    runs = 0
    found: list[str] = []
    ratios: list[tuple[float, float]] = []
    while _used() < seconds and not found:
        with tempfile.TemporaryDirectory() as folder:
            try:
                with company(Path(folder)) as made:
                    runs += _some(made)
                    ratios.append(_ratios(made))
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}"[:2000])
                (place / "found.txt").write_text("\n".join([*found, *getattr(error, "__notes__", [])]))
    figures = _figures(ratios)
    (place / "summary.json").write_text(json.dumps({"executions": runs, "found": found, "figures": figures}))
    return 1 if found else 0


def _used() -> float:
    """CPU seconds of this process and of those that have ended below it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _some(made: Company) -> int:
    """Some companies; how many."""
    runs = 0

    @settings(
        max_examples=AT_A_TIME,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(behaviours=COMPANIES)
    def endures(behaviours: Sequence[Behaviour]) -> None:
        nonlocal runs
        runs += 1
        made.endure(behaviours)

    endures()
    return runs


def _ratios(made: Company) -> tuple[float, float]:
    """By what factor the pair's median latency is longer beside the hostile, and after them."""
    before = quantile(made.latencies.before, 0.5)
    return quantile(made.latencies.beside, 0.5) / before, quantile(made.latencies.after, 0.5) / before


def _figures(ratios: Sequence[tuple[float, float]]) -> dict[str, float]:
    if not ratios:
        return {}
    return {
        "median latency of the pair beside hostile clients, compared to before": _middle([one[0] for one in ratios]),
        "the same after them": _middle([one[1] for one in ratios]),
    }


def _middle(values: list[float]) -> float:
    return round(quantile(values, 0.5), 2)
