"""The catalogue is true, each broken copy runs, and what the check calls caught has been caught."""

import json
import os
import shutil

import pytest

from tests.reliability.faults import copies
from tests.reliability.faults.catalogue import FAULTS, find
from tests.reliability.faults.checkers import CHECKERS, SEEDS, Checker
from tests.reliability.faults.command import findings
from tests.reliability.faults.fault import Fault, Misfit, Promise
from tests.reliability.faults.matrix import CAUGHT, MISSED, NOT_RUN, UNCLEAR, Cell, Line, Matrix

GENEROUS = 600.0
FEW_SEEDS = "1-60"


@pytest.fixture(scope="module")
def sound():
    """A copy of the product as it is."""
    with copies.sound_copy() as place:
        yield place


def test_every_fault_has_a_name_of_its_own_and_tells_its_lie_in_a_sentence():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 24
    assert all(fault.lie.endswith(".") and fault.lie[0].isupper() for fault in FAULTS)
    assert {fault.promise for fault in FAULTS} == set(Promise)
    assert all((copies.ROOT / fault.first).is_file() for fault in FAULTS)
    assert all(set(fault.unseen) <= set(CHECKERS) for fault in FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_fits_the_source_as_it_is(fault):
    source = (copies.ROOT / fault.file).read_text(encoding="utf-8")
    broken = fault.broken(source)
    assert broken != source
    compile(broken, fault.file, "exec")


@pytest.mark.parametrize("source", ["nothing of it", "a = 1\na = 1\n"])
def test_a_fault_that_does_not_fit_once_is_an_error(source):
    fault = Fault("a", "It lies.", Promise.ORDER, "mombroker/core/queue.py", "a = 1", "a = 2", "tests/core")
    with pytest.raises(Misfit, match="bring the fault up to date"):
        fault.broken(source)


def test_every_broken_copy_is_what_is_imported_and_a_broker_starts_on_it(sound, tmp_path):
    products = [sound.product]
    for fault in FAULTS:
        place = shutil.copytree(sound.product, tmp_path / fault.name, copy_function=os.link)
        fault.apply(place)
        products.append(place)
    copies.probe(products)


def test_a_copy_that_does_not_start_is_no_catch(sound, tmp_path):
    place = shutil.copytree(sound.product, tmp_path / "copy")
    (place / "mombroker" / "core" / "engine.py").write_text("raise RuntimeError('broken altogether')\n")
    with pytest.raises(copies.BrokenCopy, match="broken altogether"):
        copies.probe([place])


def test_breaking_a_copy_leaves_the_sound_one_as_it_is(sound):
    fault = FAULTS[0]
    before = (sound.product / fault.installed()).read_text()
    with copies.broken_copy(sound, fault) as copy:
        assert (copy.product / fault.installed()).read_text() == fault.broken(before)
    assert (sound.product / fault.installed()).read_text() == before


def test_whatever_its_environment_the_python_of_a_copy_imports_that_copy(sound):
    copies.check_home(sound)
    with copies.broken_copy(sound, FAULTS[0]) as copy:
        copies.check_home(copy)
    with pytest.raises(copies.BrokenCopy, match=r"__init__\.py"):
        copies.check_home(copies.Copy(sound.product / "elsewhere", sound.python))


QUICK = {
    "ack-before-commit": "simulation",
    "order-swapped-in-flush": "simulation",
    "dedup-ignored": "simulation",
    "lock-not-taken": "tests",
}
"""Who catches it soonest."""


def _narrowed(name: str) -> Checker:
    """The quickest checker, and only as much of it as it takes."""
    checker = CHECKERS[QUICK[name]]
    command = checker.command(find(name))
    assert isinstance(command, list)
    if checker.name == "simulation":
        command = [word if word != SEEDS else FEW_SEEDS for word in command]
    else:
        command = command[: command.index(str(copies.ROOT / find(name).first)) + 1]
    return Checker("quick", lambda fault: command, checker.evidence, GENEROUS)


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_is_caught_by_the_quickest_checker(name, sound):
    with copies.broken_copy(sound, find(name)) as copy:
        cell = _narrowed(name).look(find(name), copy)
    assert cell.verdict == CAUGHT, cell.evidence


@pytest.mark.parametrize("name", ["ack-before-commit", "lock-not-taken"])
def test_the_same_checkers_find_nothing_in_the_sound_copy(name, sound):
    cell = _narrowed(name).look(None, sound)
    assert cell.verdict == MISSED, cell.evidence


def test_a_checker_that_breaks_down_or_does_not_end_has_caught_nothing(sound):
    broken_down = Checker("broken down", lambda fault: ["-c", "raise SystemExit(3)"], str, GENEROUS)
    endless = Checker("endless", lambda fault: ["-c", "while True: pass"], str, 0.1)
    assert broken_down.look(None, sound).verdict == UNCLEAR
    assert endless.look(None, sound).verdict == UNCLEAR


def test_a_checker_that_cannot_see_a_fault_is_not_run_and_says_why(sound):
    fault = Fault(
        "a", "It lies.", Promise.ORDER, "mombroker/core/queue.py", "a", "b", "tests/core", {"blind": "it is blind"}
    )
    cell = Checker("blind", lambda fault: ["-c", "raise SystemExit(1)"], str, GENEROUS).look(fault, sound)
    assert (cell.verdict, cell.evidence) == (NOT_RUN, "it is blind")


def test_what_nobody_caught_and_false_alarms_and_no_answers_are_findings(tmp_path):
    matrix = Matrix(["tests", "models"])
    matrix.sound = {"tests": Cell(MISSED, 1.0, ""), "models": Cell(CAUGHT, 1.0, "")}
    matrix.lines = [
        Line(FAULTS[0], {"tests": Cell(CAUGHT, 1.0, "test 1"), "models": Cell(MISSED, 1.0, "")}),
        Line(FAULTS[1], {"tests": Cell(MISSED, 1.0, ""), "models": Cell(UNCLEAR, 1.0, "exit code 3")}),
    ]
    assert findings(matrix) == [
        "models finds something in the sound product",
        f"{FAULTS[1].name} was caught by nobody: {FAULTS[1].lie}",
        f"models gave no answer on {FAULTS[1].name}: exit code 3",
    ]
    assert matrix.counts() == {
        "faults planted": 2,
        "faults caught by nobody": 1,
        "faults shown to tests": 2,
        "faults caught by tests": 1,
        "faults shown to models": 2,
        "faults caught by models": 0,
    }
    matrix.write(tmp_path / "matrix.json")
    assert [line["name"] for line in json.loads((tmp_path / "matrix.json").read_text())["faults"]] == [
        fault.name for fault in FAULTS[:2]
    ]
