"""One target under atheris, in a process of its own: libFuzzer has no other end than that of its process."""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.reliability.fuzzing.defects import Defect, find, smaller
from tests.reliability.fuzzing.targets import TARGETS, Target

MINIMISING = 15.0
"""CPU seconds for making one finding smaller."""
MOST_FINDINGS = 20
HANG = 120
MEGABYTES = 2048


class Guided:
    """Counts, and keeps what is found; ends the process in an orderly way when its CPU time is used up."""

    def __init__(self, target: Target, place: Path, seconds: float) -> None:
        self.place = place
        self.run, self.seeds = target.load()
        self.end = time.process_time() + seconds
        self.executions = 0
        self.defects: dict[str, Defect] = {}
        self.ended = False

    def one(self, data: bytes) -> None:
        """One input."""
        self.executions += 1
        defect = find(self.run, data)
        if defect is not None and defect.place not in self.defects and len(self.defects) < MOST_FINDINGS:
            self.keep(smaller(self.run, defect, MINIMISING))
        if not self.ended and time.process_time() > self.end:
            self.ended = True
            self.tell()
            os.kill(os.getpid(), signal.SIGUSR1)  # libFuzzer's signal for an end in order

    def keep(self, defect: Defect) -> None:
        """Keep a finding with its story."""
        self.defects[defect.place] = defect
        name = hashlib.sha256(defect.place.encode()).hexdigest()[:10]
        (self.place / f"found-{name}.bin").write_bytes(defect.data)
        (self.place / f"found-{name}.txt").write_text(f"{defect.place}\n\n{defect.story}")

    def tell(self) -> None:
        """What was done, for the process that waits."""
        summary = {"executions": self.executions, "found": sorted(self.defects)}
        (self.place / "summary.json").write_text(json.dumps(summary))


def main(name: str, place: Path, seconds: float) -> None:
    """Fuzz one target. Does not return."""
    import atheris

    target = TARGETS[name]
    with atheris.instrument_imports(include=list(target.instrumented)):
        guided = Guided(target, place, seconds)
    corpus, seeds = place / "corpus", place / "seeds"
    for folder in (corpus, seeds):
        folder.mkdir(exist_ok=True)
    for data in guided.seeds:
        (seeds / hashlib.sha256(data).hexdigest()[:20]).write_bytes(data)
    options = {
        "max_len": target.longest,
        "timeout": HANG,
        "rss_limit_mb": MEGABYTES,
        "print_final_stats": 1,
        "artifact_prefix": f"{place}/",
    }
    arguments = [sys.argv[0], *(f"-{option}={value}" for option, value in options.items()), str(corpus), str(seeds)]
    atheris.Setup(arguments, guided.one)
    atheris.Fuzz()
