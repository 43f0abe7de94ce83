"""Fuzzing: bytes that nobody would send, and clients that nobody would wish for. ``about.md`` tells what is checked."""

import argparse
import json
import re
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.reliability.fuzzing.targets import TARGETS
from tests.reliability.ledger import Stopwatch, build

ROOT = Path(__file__).parents[3]
PLACE = ROOT / ".fuzz"
HOSTILE = "hostile"
STATE = re.compile(r"^#\d+\s.*cov: (\d+) .*corp: (\d+)/", re.MULTILINE)
ADDED = re.compile(r"^stat::new_units_added:\s+(\d+)", re.MULTILINE)


@dataclass
class Done:
    """What became of one target."""

    name: str
    executions: int = 0
    edges: int = 0
    corpus: int = 0
    added: int = 0
    found: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def sentence(self) -> str:
        """What was done."""
        if self.name == HOSTILE:
            return f"{self.executions} companies of hostile clients; {self.figures}"
        return f"{self.name}: {self.executions} executions, {self.edges} edges, {self.corpus} inputs in the corpus"


def main(argv: list[str]) -> int:
    """Fuzz for a while, or replay what was found."""
    options = _options(argv)
    if options.guided:
        from tests.reliability.fuzzing.guided import main as fuzz

        fuzz(options.guided, PLACE / options.guided, options.seconds)
    if options.endure:
        from tests.reliability.fuzzing.endurance import main as endure

        return endure(PLACE / HOSTILE, options.seconds)
    if options.harass:
        from tests.reliability.fuzzing.harassing import main as harass

        return harass(options.harass)
    if options.replay:
        return _replay(options.replay, options.target)
    missing = _what_is_missing()
    names = options.target or [*TARGETS, HOSTILE]
    if missing and names != [HOSTILE]:
        print(missing, file=sys.stderr)
        return 2
    stopwatch = Stopwatch("fuzzing", argv)
    with ThreadPoolExecutor(options.jobs) as pool:
        done = list(pool.map(lambda name: _run(name, options.seconds), names))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    counts: dict[str, float] = {"CPU-hours": round((used.ru_utime + used.ru_stime) / 3600, 4)}
    figures: dict[str, float] = {}
    for one in done:
        counts |= _counts(one)
        figures |= one.figures
        if one.edges:
            figures |= {
                f"code edges that {one.name} reaches": one.edges,
                f"inputs in its corpus, {one.name}": one.corpus,
            }
        print(one.sentence())
    found = [f"{one.name}: {sentence}" for one in done for sentence in one.found]
    print(*found, f"{len(found)} findings in {PLACE}", f"{counts['CPU-hours']} CPU-hours", sep="\n")
    if options.publish:
        stopwatch.publish(counts, found, figures)
    return 1 if found else 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument("--target", action="append", choices=[*TARGETS, HOSTILE], help="only this one; may be repeated")
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds for each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--publish", action="store_true", help="add the run to the ledger")
    parser.add_argument("--replay", nargs="+", type=Path, metavar="FILE", help="run these inputs of the one --target")
    # The processes that the command starts.
    parser.add_argument("--guided", choices=list(TARGETS), help=argparse.SUPPRESS)
    parser.add_argument("--endure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--harass", type=int, metavar="PORT", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _what_is_missing() -> str:
    """Why no target can be fuzzed here; empty if all can."""
    if find_spec("atheris") is None:
        version = ".".join(map(str, sys.version_info[:2]))
        return (
            f"atheris is not installed in this Python {version}. `make fuzz` installs it where there is a wheel of it "
            "(CPython 3.11 to 3.13, Linux x86-64). The tests run every target without it, with random mutations."
        )
    if build() == "compiled":
        return "coverage is measured in Python: use an interpreted build, as `make fuzz` does"
    return ""


def _counts(one: Done) -> dict[str, float]:
    if one.name == HOSTILE:
        return {"companies of hostile clients around a real broker": one.executions}
    return {f"executions of {one.name}": one.executions, f"inputs of {one.name} that reached something new": one.added}


def _run(name: str, seconds: float) -> Done:
    """One target in a process of its own, to its end."""
    place = PLACE / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "summary.json").unlink(missing_ok=True)
    starter = str(ROOT / "tests" / "reliability")
    what = ["--endure"] if name == HOSTILE else ["--guided", name]
    command = [sys.executable, starter, "fuzzing", *what, "--seconds", str(seconds)]
    with (place / "log.txt").open("w") as log:
        code = subprocess.run(command, stdout=log, stderr=log, check=False, cwd=ROOT).returncode
    text = (place / "log.txt").read_text(errors="replace")
    return _read(name, code, place, text)


def _read(name: str, code: int, place: Path, text: str) -> Done:
    done = Done(name)
    summary = place / "summary.json"
    if summary.exists():
        told = json.loads(summary.read_text())
        done.executions, done.found, done.figures = told["executions"], told["found"], told.get("figures", {})
    else:
        done.found = [f"the process ended with {code}: a hang, or too much memory; see {place}/log.txt"]
    states = STATE.findall(text)
    if states:
        done.edges, done.corpus = int(states[-1][0]), int(states[-1][1])
    added = ADDED.search(text)
    done.added = int(added[1]) if added else 0
    return done


def _replay(paths: list[Path], names: list[str] | None) -> int:
    from tests.reliability.fuzzing.defects import find

    if not names or len(names) != 1 or names[0] == HOSTILE:
        print("say with --target what the inputs are for", file=sys.stderr)
        return 2
    run, _ = TARGETS[names[0]].load()
    failed = 0
    for path in paths:
        defect = find(run, path.read_bytes())
        failed += defect is not None
        print(f"{path}: {defect.story if defect else 'nothing is wrong'}")
    return 1 if failed else 0
