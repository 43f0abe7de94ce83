"""``python tests/reliability powerloss``: record, cut the power many times, look; or replay one image."""

import argparse
import math
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.ledger import Stopwatch
from tests.reliability.powerloss.examining import Verdict, replay, verdicts, work
from tests.reliability.powerloss.images import ImageId, plan
from tests.reliability.powerloss.recording import FSYNC, INTERVAL, Recording, record, why_not

PER_RECORDING = 1000
"""Images of one recording, at the most."""
MOST_FAILURES = 20
"""After so many nothing more is to be learnt."""


@dataclass
class Results:
    """What a run has done and found."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int:
    """Run the checker. 0 if no promise was broken, 1 if one was, 2 if nothing can be recorded here."""
    options = _parser().parse_args(argv)
    if options.examine is not None:
        work(options.keep, list(map(ImageId.of, sys.stdin.readline().split())), options.examine, options.served)
        return 0
    if options.replay is not None:
        return _replay(options)
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    stopwatch = Stopwatch("powerloss", argv)
    began = time.monotonic()
    results = run(options)
    seconds = time.monotonic() - began
    for name, count in results.counts.items():
        print(f"{count:9,} {name}")
    print(f"{seconds:9.1f} seconds, {len(results.failures)} images that a broker did not keep its word on")
    if options.publish:
        stopwatch.publish(dict(results.counts), results.failures)
    return 1 if results.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("powerloss", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses the traffic, the cuts, and what is left")
    parser.add_argument("--images", type=int, default=1000, help="how many disks to build and open")
    parser.add_argument("--seconds", type=float, default=math.inf, help="look at no more images after so long")
    parser.add_argument("--publishes", type=int, default=1200, help="how much each recording's clients publish")
    parser.add_argument("--served", type=int, default=250, metavar="N", help="every Nth image gets a whole process")
    parser.add_argument("--keep", type=Path, help="where to keep recordings; with --replay, the recording to replay")
    parser.add_argument("--replay", type=ImageId.of, metavar="IMAGE", help="look at one image of the recording --keep")
    parser.add_argument(
        "--skip", metavar="N/M", help="a planted lie: the Nth sync and every Mth after it do not happen"
    )
    parser.add_argument("--publish", action="store_true", help="add the run to the ledger")
    # For the processes that the command starts.
    parser.add_argument("--examine", type=int, help=argparse.SUPPRESS)
    return parser


def run(options: argparse.Namespace) -> Results:
    """Record as often as is needed for so many images, and look at them all. What failed is kept."""
    results = Results()
    end = time.monotonic() + options.seconds
    left = options.images
    number = 0
    while left > 0 and len(results.failures) < MOST_FAILURES and time.monotonic() < end:
        seed = options.seed + number
        place = _place(options.keep, seed)
        # Every fourth one is about the weaker promise.
        durability = INTERVAL if number % 4 == 3 else FSYNC
        recording = record(place, seed, options.publishes, options.skip, durability)
        results.counts.update({f"recordings with durability {durability}": 1, **recording.counts()})
        count = min(left, PER_RECORDING)
        ids = plan(recording.records, seed, count)
        failed = _examine(recording, ids, options.served, results, end)
        if options.keep is None and not failed:
            shutil.rmtree(place)
        left -= count
        number += 1
    return results


def _place(keep: Path | None, seed: int) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix=f"powerloss-{seed}-"))
    place = keep / f"recording-{seed}"
    place.mkdir(parents=True)
    return place


def _examine(recording: Recording, ids: list[ImageId], served: int, results: Results, end: float) -> bool:
    """Whether any of the images failed."""
    failed = False
    for verdict in verdicts(recording, ids, served):
        results.counts["images"] += 1
        results.counts["images that are like no other"] += verdict.new
        results.counts["images opened by a whole broker process"] += verdict.served
        if verdict.faults:
            failed = True
            results.failures.append(f"image {verdict.id} of recording {recording.seed}: {verdict.faults[0]}")
            _tell(recording, verdict)
        if len(results.failures) >= MOST_FAILURES or time.monotonic() > end:
            break
    return failed


def _tell(recording: Recording, verdict: Verdict) -> None:
    whole = " --served 1" if verdict.served else ""
    print(f"image {verdict.id} ({verdict.choice}):")
    for fault in verdict.faults[:5]:
        print(f"    {fault}")
    print(f"  replay: python tests/reliability powerloss --replay {verdict.id} --keep {recording.place}{whole}")


def _replay(options: argparse.Namespace) -> int:
    if options.keep is None:
        print("--replay needs the recording: --keep DIR", file=sys.stderr)
        return 2
    recording = Recording.load(options.keep)
    verdict = replay(recording, options.replay, options.served == 1)
    print(f"{verdict.choice}\nthe disk is left in {recording.place / f'image-{verdict.id}'}")
    for fault in verdict.faults:
        print(f"    {fault}")
    return 1 if verdict.faults else 0
