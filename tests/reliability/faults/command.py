"""The command: plants faults, has the checkers look, and tells who has seen what."""

import argparse
from pathlib import Path

from tests.reliability.faults.catalogue import FAULTS
from tests.reliability.faults.checkers import CHECKERS, Checker
from tests.reliability.faults.copies import broken_copy, check_home, probe, sound_copy
from tests.reliability.faults.fault import Fault
from tests.reliability.faults.matrix import Cell, Line, Matrix
from tests.reliability.ledger import RUNS, Stopwatch

PUBLISHED = RUNS / "faults-matrix.json"


def main(argv: list[str]) -> int:
    """Run the check. 0 if every fault was caught, and nothing was found in the sound product."""
    options = _parse(argv)
    stopwatch = Stopwatch("faults", argv)
    faults = [fault for fault in FAULTS if not options.fault or fault.name in options.fault]
    checkers = [checker for name, checker in CHECKERS.items() if not options.checker or name in options.checker]
    if options.list:
        for fault in faults:
            print(f"{fault.name}: {fault.lie} ({fault.promise}; {fault.file})")
        return 0
    matrix = _run(faults, checkers)
    print(matrix.text())
    found = findings(matrix)
    for finding in found:
        print(finding)
    if options.json is not None:
        matrix.write(options.json)
    if options.publish:
        matrix.write(PUBLISHED)
        stopwatch.publish(matrix.counts(), found)
    return 1 if found else 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tests/reliability faults",
        description="Break a copy of the broker on purpose, and see which checker notices.",
    )
    parser.add_argument("--fault", action="append", metavar="NAME", help="only this fault; may be given again")
    parser.add_argument("--checker", action="append", choices=list(CHECKERS), help="only this one; may be given again")
    parser.add_argument("--list", action="store_true", help="tell what the faults are, and do nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the matrix there")
    parser.add_argument("--publish", action="store_true", help="keep the matrix and the counts in the ledger")
    options = parser.parse_args(argv)
    unknown = set(options.fault or ()) - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}; --list tells which there are")
    return options


def _run(faults: list[Fault], checkers: list[Checker]) -> Matrix:
    """First the sound product, then the faults one after the other."""
    matrix = Matrix([checker.name for checker in checkers])
    with sound_copy() as sound:
        check_home(sound)
        probe([sound.product])
        for checker in checkers:
            matrix.sound[checker.name] = _told("(sound)", checker, checker.look(None, sound))
        for fault in faults:
            line = Line(fault)
            with broken_copy(sound, fault) as copy:
                check_home(copy)
                probe([copy.product])
                for checker in checkers:
                    line.cells[checker.name] = _told(fault.name, checker, checker.look(fault, copy))
            matrix.lines.append(line)
    return matrix


def _told(fault: str, checker: Checker, cell: Cell) -> Cell:
    print(f"{fault:<32} {checker.name:<11} {cell.verdict:<10} {cell.seconds:6.1f} s  {cell.evidence}", flush=True)
    return cell


def findings(matrix: Matrix) -> list[str]:
    """What is wrong, a sentence each."""
    found = [f"{name} finds something in the sound product" for name in matrix.false_alarms()]
    found += [f"{line.fault.name} was caught by nobody: {line.fault.lie}" for line in matrix.escaped()]
    found += [f"{checker} gave no answer on {fault}: {cell.evidence}" for fault, checker, cell in matrix.unclear()]
    return found
