"""A broker for a long time at four fifths of what it can do, and for a short time at far more than it can.

python tests/reliability soak --minutes 30
python tests/reliability soak --scenario guessing --quick
"""

import argparse
import json
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.ledger import Stopwatch
from tests.reliability.soak.result import Result

SOAK = "soak"


def main(argv: Sequence[str]) -> int:
    """Run what the arguments ask for. 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="how long to soak; the published run has 30")
    parser.add_argument("--scenario", help="only this one: soak, or one of the overloads; `list` names them")
    parser.add_argument("--quick", action="store_true", help="overloads at a small scale, soak of half a minute")
    parser.add_argument("--publish", action="store_true", help="add the run to the ledger")
    parser.add_argument("--place", type=Path, help="where the brokers' data goes; a temporary directory otherwise")
    parser.add_argument("--as", dest="role", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.role:
        return _company(options.role)
    return _run(options, Stopwatch("soak", list(argv)))


def _company(role: str) -> int:
    """Be one of the processes of :mod:`company`."""
    from tests.reliability.soak import control, pair

    name, _, given = role.partition(":")
    if name == "control":
        return control.serve(Path(given))
    return pair.talk(pair.Order(**json.loads(given)))


def _run(options: argparse.Namespace, watch: Stopwatch) -> int:
    from tests.reliability.soak.overload import FULL, QUICK, SCENARIOS, run_scenario
    from tests.reliability.soak.soaking import Plan, Soak
    from tests.reliability.soak.subject import Subject

    names = (SOAK, *SCENARIOS)
    if options.scenario and options.scenario not in names:
        print("scenarios:", *names)
        return 0 if options.scenario == "list" else 2
    _raise_limit()
    total = Result()
    with tempfile.TemporaryDirectory(dir=options.place) as folder:
        for name in [options.scenario] if options.scenario else names:
            print(f"── {name}", flush=True)
            place = Path(folder) / name
            if name == SOAK:
                with Subject(place) as subject:
                    result = Soak(Plan.of(0.5 if options.quick else options.minutes), subject).run(place)
            else:
                result = run_scenario(name, QUICK if options.quick else FULL, place)
            _tell(result)
            total.add(result)
    if options.publish:
        watch.publish(total.counts, total.faults, total.figures)
    return 1 if total.faults else 0


def _raise_limit() -> None:
    """As many descriptors as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tell(result: Result) -> None:
    for name, number in [*result.counts.items(), *result.figures.items()]:
        print(f"   {name}: {number:,}")
    for sentence in result.faults:
        print(f"   FAILED: {sentence}")
