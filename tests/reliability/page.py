"""Writes docs/reliability.md: what tries to break the promise, what it has done so far, and what it does not cover.

The figures come from the ledger (``runs/``), the words from each checker's ``about.md`` and from ``about.md`` here.

    python tests/reliability page docs/reliability.md
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.ledger import Run, runs, totals

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Goal:
    """What the published runs of a checker are to have done together, by the name of a count."""

    count: str
    least: float


GOALS: dict[str, tuple[Goal, ...]] = {
    "simulation": (Goal("events", 100_000_000), Goal("crashes", 10_000)),
    "powerloss": (Goal("images", 10_000),),
    "torture": (Goal("kills", 500),),
    "fuzzing": (Goal("CPU-hours", 4),),
    "soak": (Goal("minutes", 30),),
    "faults": (Goal("faults", 20),),
}


COMMANDS = {
    "simulation": "make simulate",
    "powerloss": "make powerloss",
    "torture": "make torture",
    "fuzzing": "make fuzz",
    "soak": "make soak",
    "faults": "make faults",
}


def main(argv: Sequence[str]) -> int:
    """Write the page to the file that is named."""
    if len(argv) != 1:
        print("usage: python tests/reliability page FILE", file=sys.stderr)
        return 2
    Path(argv[0]).write_text(page(), encoding="utf-8")
    return 0


def page() -> str:
    """The whole page."""
    introduction, heading, limits = _about(HERE).partition("\n## ")
    parts = [introduction, _summary()]
    for checker in GOALS:
        if (HERE / checker / "about.md").exists():
            parts += [_shifted(_about(HERE / checker)), _runs(checker)]
    parts.append(heading + limits)
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _about(folder: Path) -> str:
    return (folder / "about.md").read_text(encoding="utf-8")


def _shifted(text: str) -> str:
    """A page of its own becomes a section, its title a heading of the second level, except in blocks of code."""
    lines, in_code = [], False
    deeper = 2 - _level(text)
    for line in text.splitlines():
        in_code ^= line.startswith("```")
        heading = line.startswith("#") and not in_code
        lines.append("#" * (_level(line) + deeper) + line.lstrip("#") if heading else line)
    return "\n".join(lines)


def _level(line: str) -> int:
    """How many marks it begins with."""
    return len(line) - len(line.lstrip("#"))


def _title(checker: str) -> str:
    return _about(HERE / checker).splitlines()[0].lstrip("# ")


def _summary() -> str:
    """One line for each checker."""
    rows = ["| checker | command | published runs | wanted | done so far |", "|---|---|--:|---|---|"]
    for checker, goals in GOALS.items():
        if not (HERE / checker / "about.md").exists():
            continue
        added = totals(checker)
        wanted = ", ".join(f"{number(goal.least)} {goal.count}" for goal in goals)
        done = ", ".join(_reached(added.get(goal.count, 0), goal) for goal in goals)
        title = _title(checker)
        rows.append(
            f"| [{title}](#{_anchor(title)}) | `{COMMANDS[checker]}` | {len(runs(checker))} | {wanted} | {done} |"
        )
    return "\n".join(rows)


def _reached(count: float, goal: Goal) -> str:
    said = f"{number(count)} {goal.count}"
    return said if count >= goal.least else f"{said} (**not yet**)"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _runs(checker: str) -> str:
    """What a checker's published runs did, together and one by one."""
    published = runs(checker)
    if not published:
        return "### Published runs\n\nNone yet."
    added = totals(checker)
    rows = [
        "### Published runs",
        "",
        "| together | |",
        "|---|--:|",
        *(f"| {name} | {number(count)} |" for name, count in added.items()),
    ]
    figures = published[-1].figures
    if figures:
        rows += [
            "",
            "| in the last run | |",
            "|---|--:|",
            *(f"| {name} | {value:g} |" for name, value in figures.items()),
        ]
    rows += ["", "| date | commit | build | Python | cores | seconds | options |", "|---|---|---|---|--:|--:|---|"]
    rows += [_row(run) for run in published]
    found = [sentence for run in published for sentence in run.found]
    if found:
        rows += ["", "What these runs found:", "", *(f"- {sentence}" for sentence in found)]
    return "\n".join(rows)


def _row(run: Run) -> str:
    options = f"`{run.options}`" if run.options else ""
    cells = (run.date, f"`{run.commit}`", run.build, run.python, run.cores, number(run.seconds), options)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def number(value: float) -> str:
    """Thousands apart; a fraction only where it says something."""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:,.2f}"
