"""Real processes: a broker that is killed again and again under real clients, on a bad disk and a bad network.

python tests/reliability torture --kills 500
"""

import argparse
import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.reliability.ledger import Stopwatch
from tests.reliability.torture.faults import calm, plan
from tests.reliability.torture.run import SETTLE_EVERY, Options, Run


def main(argv: Sequence[str]) -> int:
    """Run once; 0 if no promise was broken."""
    given = _arguments().parse_args(argv)
    watch = Stopwatch("torture", [word for word in argv if word != "--publish"])
    folder = Path(given.keep or tempfile.mkdtemp(prefix="torture-"))
    options = Options(given.seed, given.kills, folder, given.seconds, durability=given.durability)
    print(f"seed {options.seed}, {options.kills} kills", flush=True)
    run = Run(options)
    try:
        asyncio.run(torture(run, _progress(run)))
    except asyncio.CancelledError:
        print("\nstopped", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        print(
            f"A promise was broken with --seed {options.seed} --kills {options.kills}.\n"
            f"The data, what every client noted, and the broker's log are in {folder}",
            file=sys.stderr,
        )
        return 1
    sums = run.sums()
    print()
    for name, count in sums.items():
        print(f"{count:>10,.0f} {name}")
    if given.publish:
        watch.publish(sums)
    if not given.keep:
        shutil.rmtree(folder)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", default=secrets.token_hex(4), help="what happens, in its order; timing is its own")
    parser.add_argument("--kills", type=int, default=100, help="kills of the broker; other faults in proportion")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing new after so many seconds")
    parser.add_argument("--keep", metavar="DIR", help="work in this directory, and leave it there")
    parser.add_argument(
        "--durability", default="fsync", help="tell the broker to promise less: the checks have to notice"
    )
    parser.add_argument("--publish", action="store_true", help="add the run to the ledger")
    return parser


def _progress(run: Run) -> Callable[[str], None]:
    """One line that changes, where it can."""
    last = 0.0

    def show(doing: str) -> None:
        nonlocal last
        now = time.monotonic()
        if sys.stdout.isatty() or now - last > 15:
            last = now
            line = f"{now - run.began:6.0f} s  {run.counts['kills']} kills  {run.place.acknowledged} acked  {doing}"
            print(
                f"\r{line:<100}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True
            )

    return show


async def torture(run: Run, show: Callable[[str], None] = lambda doing: None) -> None:
    """Do to it what its options say. Raises AssertionError for a promise that was broken."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    settled = 0
    try:
        await run.begin()
        for fault in plan(run.random, run.options.kills, run.shim is not None):
            if time.monotonic() - run.began > run.options.seconds:
                break
            show(fault.name)
            await fault.what(run)
            run.check()
            run.counts[fault.name] += 1
            if run.counts["kills"] - settled >= SETTLE_EVERY:
                show("all is looked through")
                await calm(run)
                await run.settle()
                settled = run.counts["kills"]
        show("all is looked through")
        await calm(run)
        await run.settle()
    finally:
        run.save()
        await run.end()
