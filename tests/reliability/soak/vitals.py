"""A process's memory, descriptors and threads, as the kernel counts them (Linux)."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Vitals:
    """One look. ``anonymous`` is the resident memory that is no page of a file: those of the store's mapped file are
    the kernel's cache, which comes and goes as it likes. Bytes and seconds."""

    at: float
    resident: int
    anonymous: int
    descriptors: int
    threads: int
    data: int
    cpu: float


def vitals(pid: int, data: Path) -> Vitals:
    """Look at a process, and at the directory of its data."""
    place = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (place / "status").read_text(encoding="utf-8").splitlines())
    # The name of the program, in parentheses, may hold anything; what is behind it does not.
    times = (place / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return Vitals(
        at=time.monotonic(),
        resident=_bytes(status["VmRSS"]),
        anonymous=_bytes(status["RssAnon"]),
        descriptors=len(os.listdir(place / "fd")),
        threads=int(status["Threads"]),
        data=sum(path.stat().st_blocks * 512 for path in data.iterdir()),
        cpu=(int(times[11]) + int(times[12])) / _TICKS,
    )


def _bytes(field: str) -> int:
    return int(field.split()[0]) << 10


class Watch:
    """Looks again and again, from a thread of its own."""

    def __init__(self, pid: int, data: Path, every: float = 0.25) -> None:
        self._pid, self._data, self._every = pid, data, every
        self._end = threading.Event()
        self._seen: list[Vitals] = []
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._end.wait(self._every):
            self._seen.append(vitals(self._pid, self._data))

    def take(self) -> list[Vitals]:
        """What was seen since the last call, and now."""
        self._seen.append(vitals(self._pid, self._data))
        seen, self._seen = self._seen, []
        return seen

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
