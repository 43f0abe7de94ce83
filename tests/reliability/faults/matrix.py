"""Who caught what: a line for each fault, a column for each checker."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.faults.fault import Fault

CAUGHT = "caught"
MISSED = "not caught"
NOT_RUN = "not run"
UNCLEAR = "unclear"
"""The checker broke down, or did not end: that is no answer."""


@dataclass(frozen=True)
class Cell:
    """What one checker said of one fault, after so many seconds. ``evidence`` tells where it was caught, or why the
    checker was not run."""

    verdict: str
    seconds: float
    evidence: str


@dataclass
class Line:
    """What the checkers said of one fault."""

    fault: Fault
    cells: dict[str, Cell] = field(default_factory=dict)

    def caught_by(self) -> list[str]:
        """The checkers that have caught it."""
        return [name for name, cell in self.cells.items() if cell.verdict == CAUGHT]


@dataclass
class Matrix:
    """All lines; ``sound`` is what the checkers said of the product as it is: nothing, or their word is worth
    nothing."""

    checkers: list[str]
    sound: dict[str, Cell] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def escaped(self) -> list[Line]:
        """The faults that nobody caught."""
        return [line for line in self.lines if not line.caught_by()]

    def false_alarms(self) -> list[str]:
        """The checkers that find something in the sound product, or break down on it."""
        return [name for name, cell in self.sound.items() if cell.verdict in (CAUGHT, UNCLEAR)]

    def unclear(self) -> list[tuple[str, str, Cell]]:
        """(fault, checker, what it said) where a checker gave no answer."""
        return [
            (line.fault.name, name, cell)
            for line in self.lines
            for name, cell in line.cells.items()
            if cell.verdict == UNCLEAR
        ]

    def counts(self) -> dict[str, float]:
        """What was done, for the ledger."""
        counted: dict[str, float] = {"faults planted": len(self.lines), "faults caught by nobody": len(self.escaped())}
        for name in self.checkers:
            looked = [line.cells[name].verdict for line in self.lines if name in line.cells]
            counted[f"faults shown to {name}"] = len(looked) - looked.count(NOT_RUN)
            counted[f"faults caught by {name}"] = looked.count(CAUGHT)
        return counted

    def text(self) -> str:
        """The matrix for a terminal."""
        width = max([len(line.fault.name) for line in self.lines], default=0)
        rows = [" ".join([" " * width, *[f"{name:>11}" for name in self.checkers]])]
        for line in self.lines:
            cells = [_short(line.cells.get(name)) for name in self.checkers]
            rows.append(" ".join([f"{line.fault.name:<{width}}", *[f"{cell:>11}" for cell in cells]]))
        return "\n".join(rows)

    def data(self) -> dict[str, Any]:
        """The matrix as plain data."""
        return {
            "checkers": self.checkers,
            "sound": {name: asdict(cell) for name, cell in self.sound.items()},
            "faults": [
                {
                    "name": line.fault.name,
                    "lie": line.fault.lie,
                    "promise": str(line.fault.promise),
                    "file": line.fault.file,
                    "cells": {name: _rounded(cell) for name, cell in line.cells.items()},
                }
                for line in self.lines
            ],
        }

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.data(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _rounded(cell: Cell) -> dict[str, Any]:
    return {**asdict(cell), "seconds": round(cell.seconds, 1)}


def _short(cell: Cell | None) -> str:
    if cell is None or cell.verdict == NOT_RUN:
        return "-"
    if cell.verdict == CAUGHT:
        return f"{cell.seconds:.1f} s"
    return "MISSED" if cell.verdict == MISSED else "UNCLEAR"
