"""``python tests/reliability simulation``: run seeds, say what was found, replay it, make it smaller."""

import argparse
import multiprocessing
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Collection, Iterator

from tests.reliability.ledger import Stopwatch

from .found import Found
from .run import Run
from .shrink import shrink


def attempt(
    seed: int, steps: int, without: Collection[int] = (), trace: bool = False
) -> tuple[str | None, Counter[str]]:
    """One run: what was found, if anything, and what was done."""
    run = Run(seed)
    if trace:
        run.trace = print
        print(run.config)
    try:
        run.go(steps, without)
    except Found as found:
        return str(found), run.counts()
    except Exception:
        # Raised by the broker through a call of the world's, or by the simulation itself: both are findings.
        return traceback.format_exc(), run.counts()
    return None, run.counts()


def seeds_of(text: str) -> Iterator[int]:
    """The seeds that ``7``, ``1-100``, ``3,9`` or ``fresh:N`` means."""
    if text.startswith("fresh:"):
        for _ in range(int(text[6:])):
            yield random.SystemRandom().getrandbits(48)
        return
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def main(argv: list[str]) -> int:
    """Run the command line. 0: nothing was found."""
    parser = argparse.ArgumentParser(prog="python tests/reliability simulation")
    parser.add_argument("--seeds", default="1-100", help="7, 1-100, 3,9 or fresh:N")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so many, whatever seeds are left")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--publish", action="store_true", help="add the counts to the ledger")
    parser.add_argument("--shrink", action="store_true", help="make the first failure smaller")
    parser.add_argument("--trace", action="store_true", help="print the steps of each run")
    parser.add_argument("--only", default="", help="the only steps to take, as --shrink prints them")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    options = parser.parse_args(argv)
    stopwatch = Stopwatch("simulation", argv)
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for seed, (reason, done) in _attempts(options):
        if options.seconds and time.monotonic() - begun > options.seconds:
            break
        counts.update(done)
        if reason is not None:
            failures.append(f"seed {seed}: {reason}")
            report(seed, options.steps, reason)
            if options.shrink:
                shrink(seed, options.steps, attempt)
            if not options.keep_going:
                break
    seconds = time.monotonic() - begun
    for name, count in sorted(counts.items()):
        print(f"{count:>14,} {name}")
    print(f"{seconds:.1f} s, {counts['events'] / seconds:,.0f} events a second")
    if options.publish:
        stopwatch.publish(dict(counts), failures)
    return 1 if failures else 0


def _attempts(options: argparse.Namespace) -> Iterator[tuple[int, tuple[str | None, Counter[str]]]]:
    """The runs that the command line asks for, in order."""
    seeds = seeds_of(options.seeds)
    if options.jobs > 1:
        with multiprocessing.Pool(options.jobs) as pool:
            yield from pool.imap(_job, ((seed, options.steps) for seed in seeds), chunksize=20)
        return
    only = frozenset(seeds_of(options.only)) if options.only else frozenset(range(options.steps))
    without = frozenset(range(options.steps)) - only
    for seed in seeds:
        yield seed, attempt(seed, options.steps, without, options.trace)


def _job(asked: tuple[int, int]) -> tuple[int, tuple[str | None, Counter[str]]]:
    seed, steps = asked
    return seed, attempt(seed, steps)


def report(seed: int, steps: int, reason: str) -> None:
    """Say what was found, and how to see it again."""
    print(f"FOUND by seed {seed} with {steps} steps: {reason}", file=sys.stderr)
    print(f"replay: make simulate SEEDS={seed} STEPS={steps}", file=sys.stderr)
