"""What the checkers have done so far: one line of JSON for every published run, in ``runs/CHECKER.jsonl``.

Runs add up. The page (docs/reliability.md) is made of these lines, and of nothing that anybody wrote by hand.
"""

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RUNS = Path(__file__).parent / "runs"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """A run of a checker.

    ``counts`` are what was done, in words that need no explanation (``"crashes": 10000``); numbers under one name are
    added up over the runs. ``figures`` are what does not add up, such as ratios: the last run's count. ``found`` has a
    sentence for each defect; ``options`` repeat the run.
    """

    date: str
    commit: str
    build: str
    python: str
    cores: int
    seconds: float
    options: str
    counts: dict[str, float]
    found: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


class Stopwatch:
    """Measures a run, and publishes it."""

    def __init__(self, checker: str, options: list[str]) -> None:
        self._checker = checker
        self._options = " ".join(options)
        self._begun = time.monotonic()

    def publish(
        self, counts: dict[str, float], found: list[str] | None = None, figures: dict[str, float] | None = None
    ) -> Run:
        """Add a run that ends now to those of the checker."""
        run = Run(
            date=datetime.now(UTC).date().isoformat(),
            commit=_commit(),
            build=build(),
            python=platform.python_version(),
            cores=os.cpu_count() or 1,
            seconds=round(time.monotonic() - self._begun, 1),
            options=self._options,
            counts=counts,
            found=found or [],
            figures=figures or {},
        )
        RUNS.mkdir(exist_ok=True)
        with (RUNS / f"{self._checker}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        return run


def runs(checker: str) -> list[Run]:
    """The published runs of a checker, oldest first."""
    path = RUNS / f"{checker}.jsonl"
    if not path.exists():
        return []
    return [Run(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def totals(checker: str) -> dict[str, float]:
    """What the runs of a checker have done together."""
    added: dict[str, float] = {}
    for run in runs(checker):
        for name, count in run.counts.items():
            added[name] = added.get(name, 0) + count
    return added


def build() -> str:
    """``compiled`` or ``interpreted``."""
    from mombroker.core import engine

    return "interpreted" if engine.__file__.endswith(".py") else "compiled"


def _commit() -> str:
    """The commit of the checkout, with a plus if the product differs from it."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
    product = ["mombroker", "plugins", "storage"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *product], check=False).returncode
    return commit.stdout.strip() + ("+" if changed else "")
