"""Those who have to see the faults: the tests, the stateful models, and the checkers of this folder.

Each is a command that runs in a process of its own, on a copy of the product, and fails if it has found something.
"""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from tests.reliability.faults.copies import ROOT, Copy, environment
from tests.reliability.faults.fault import Fault, Promise
from tests.reliability.faults.matrix import CAUGHT, MISSED, NOT_RUN, UNCLEAR, Cell

CORE_MODELS = ("tests/core/test_sessions_model.py", "tests/core/named/test_queue_model.py")
STORE_MODELS = ("tests/storage/test_store_model.py",)

# `-P`: the folder that a run starts in is not put before the copy.
PYTEST = ["-P", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=line", "--timeout=120"]
PYTEST += ["-p", "tests.reliability.faults.unshrunk", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"]
SEEDS = "1-600"
RELIABILITY = str(ROOT / "tests" / "reliability")


@dataclass(frozen=True)
class Checker:
    """``command`` is what follows ``python`` to look for a fault (None: the sound product); a reason why it cannot
    see it instead is a text. ``evidence`` finds in the output when and how something was found."""

    name: str
    command: Callable[[Fault | None], list[str] | str]
    evidence: Callable[[str], str]
    seconds: float

    def look(self, fault: Fault | None, copy: Copy) -> Cell:
        """Run the checker on a copy of the product."""
        reason = fault.unseen.get(self.name) if fault is not None else None
        command = reason or self.command(fault)
        if isinstance(command, str):
            return Cell(NOT_RUN, 0.0, command)
        begun = time.monotonic()
        # Somewhere else than in the checkout: broken brokers leave things behind, and a child that is started with
        # `python -m` would find the checkout's product in the folder it runs in.
        with TemporaryDirectory(prefix="mombroker-look-") as elsewhere:
            try:
                done = subprocess.run(
                    [str(copy.python), *command],
                    cwd=elsewhere,
                    env=environment(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    timeout=self.seconds,
                )
            except subprocess.TimeoutExpired:
                return Cell(UNCLEAR, time.monotonic() - begun, f"did not end within {self.seconds:g} seconds")
        took = time.monotonic() - begun
        if done.returncode == 0:
            return Cell(MISSED, took, "")
        if done.returncode == 1:
            return Cell(CAUGHT, took, self.evidence(done.stdout))
        return Cell(UNCLEAR, took, f"exit code {done.returncode}: {done.stdout.strip()[-300:]}")


def _tests(fault: Fault | None) -> list[str]:
    paths = (
        ["tests/core", "tests/broker", "tests/plugins", "tests/storage"]
        if fault is None
        else [fault.first, fault.tests()]
    )
    models = [f"--ignore={ROOT / path}" for path in (*CORE_MODELS, *STORE_MODELS)]
    # Without `--keep-duplicates` only the folder would count, in which the first ones have their place.
    return [*PYTEST, "--keep-duplicates", *models, *[str(ROOT / path) for path in paths]]


def _models(fault: Fault | None) -> list[str] | str:
    if fault is None:
        paths = (*CORE_MODELS, *STORE_MODELS)
    elif fault.is_in_the_store():
        paths = STORE_MODELS
    elif fault.file.startswith("mombroker/core/"):
        paths = CORE_MODELS
    else:
        return "the models are about the core and the store"
    return [*PYTEST, *[str(ROOT / path) for path in paths]]


def _failed_test(output: str) -> str:
    failed = re.search(r"^(?:FAILED|ERROR) (\S+?)(?: - (.*))?$", output, re.MULTILINE)
    passed = re.search(r"(\d+) passed", output)
    number = int(passed[1]) + 1 if passed else 1
    if failed is None:
        return f"test {number}"
    return f"test {number}: {failed[1].rpartition('::')[2]}"


def _simulation(fault: Fault | None) -> list[str] | str:
    if fault is not None and fault.is_in_the_store():
        return "a simulated world has a disk of its own"
    if fault is not None and not fault.file.startswith("mombroker/core/"):
        return "a simulated world has hooks of its own, and no API"
    return [RELIABILITY, "simulation", "--seeds", SEEDS, "--steps", "400"]


def _found_by_simulation(output: str) -> str:
    found = re.search(r"FOUND by seed (\d+).*?: (.*)", output)
    events = re.search(r"([\d,]+) events$", output, re.MULTILINE)
    return (
        f"after {events[1] if events else '?'} events, seed {found[1] if found else '?'}: {found[2] if found else ''}"
    )


def _powerloss(fault: Fault | None) -> list[str] | str:
    if fault is not None and fault.promise not in (Promise.ON_DISK, Promise.ONCE):
        return "it looks at what a power cut leaves on the disk, and at nothing else"
    return [RELIABILITY, "powerloss", "--seed", "1", "--images", "300", "--publishes", "600"]


def _found_by_powerloss(output: str) -> str:
    image = re.search(r"^image (\S+)", output, re.MULTILINE)
    broken = re.search(r"^ {4}(.*)$", output, re.MULTILINE)
    seen = re.search(r"([\d,]+) images$", output, re.MULTILINE)
    if image is None or broken is None:
        return _last_line(output)
    return f"within {seen[1] if seen else '?'} images, {image[1].rstrip(':')} {broken[1]}"


def _torture(fault: Fault | None) -> list[str] | str:
    if fault is not None and fault.promise in (Promise.POLICY, Promise.COUNTED, Promise.ENTITLED):
        return "its clients ask for no policies and have all rights"
    return [RELIABILITY, "torture", "--seed", "faults", "--kills", "20"]


def _found_by_torture(output: str) -> str:
    kills = re.findall(r"(\d+) kills ", output)
    error = re.search(r"^(?:\w+Error|\w+Exception|Timeout\w*): .*$", output, re.MULTILINE)
    return f"within {kills[-1] if kills else 0} kills: {error[0] if error else _last_line(output)}"


def _last_line(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.strip()), "")


CHECKERS: dict[str, Checker] = {
    checker.name: checker
    for checker in (
        Checker("tests", _tests, _failed_test, 600.0),
        Checker("models", _models, _failed_test, 600.0),
        Checker("simulation", _simulation, _found_by_simulation, 600.0),
        Checker("powerloss", _powerloss, _found_by_powerloss, 900.0),
        Checker("torture", _torture, _found_by_torture, 900.0),
    )
}
INDEPENDENT = ("simulation", "powerloss", "torture")
"""Those that know of the broker's promises only: each fault should be caught by one of them, not by the tests alone."""
