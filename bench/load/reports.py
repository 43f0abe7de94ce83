"""What a process of the generator reports about its work."""

import time
from dataclasses import dataclass, field, replace
from typing import Protocol

from bench.verify import Verdict


@dataclass(frozen=True)
class Report:
    """``began`` and ``ended`` are seconds of the monotonic clock, which all processes of a machine share.

    ``count`` is how many messages (or whatever the work is about) were done, ``cpu`` the share of one processor that
    the process used, ``late`` whether time ran out before the work was done.
    """

    began: float = 0.0
    ended: float = 0.0
    count: int = 0
    cpu: float = 0.0
    late: bool = False
    verdict: Verdict = field(default_factory=Verdict)
    trouble: str = ""
    values: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


class Ready(Protocol):
    """Called once by a piece of work when it has made ready, possibly with a report on that."""

    def __call__(self, report: Report | None = None) -> None:
        """Tell whoever gave the order."""


class Effort:
    """Measures the processor time of this process from its making on."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._used = time.process_time()

    def report(self, count: int, ended: float | None = None, **details: object) -> Report:
        """The report of work that ended now, or at ``ended``."""
        now = time.monotonic()
        share = (time.process_time() - self._used) / max(now - self.began, 1e-9)
        done = Report(self.began, now if ended is None else ended, count, share)
        return replace(done, **details)  # type: ignore[arg-type]
