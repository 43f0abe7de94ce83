"""The processes that keep a broker under test company: the well-behaved pair, and the control that it asks."""

import json
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from tests.processes.server import TIMEOUT, environment
from tests.reliability.soak.pair import Order, Trip
from tests.reliability.soak.result import Result

_PROGRAM = (sys.executable, str(Path(__file__).parents[1]), "soak", "--as")


class Pair:
    """The pair, at work while the context is entered. :meth:`farewell` ends it and says what was wrong."""

    def __init__(self, place: Path, port: int, rate: float, username: str = "", password: str = "") -> None:
        self._control = subprocess.Popen(
            [*_PROGRAM, f"control:{place}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment()
        )
        assert self._control.stdout is not None
        order = Order(port, int(self._control.stdout.readline()), rate, username, password)
        self._errors = (place / "pair.log").open("w+b")
        self._process = subprocess.Popen(
            [*_PROGRAM, f"pair:{json.dumps(asdict(order))}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
        )
        self._changed = threading.Condition()
        self._ended = False
        self._trips: list[Trip] = []
        self._taken = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._trips.append(Trip(*json.loads(line)))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self, least: int = 0) -> list[Trip]:
        """The trips since the last call; waits until there are so many. Fewer mean that the pair has ended: it waits
        a minute for anything."""
        with self._changed:
            patience = 2 * TIMEOUT + least
            self._changed.wait_for(lambda: self._ended or len(self._trips) - self._taken >= least, patience)
            found = self._trips[self._taken :]
            self._taken = len(self._trips)
            return found

    @property
    def ended(self) -> bool:
        """Whether it has given up."""
        with self._changed:
            return self._ended

    def farewell(self) -> Result:
        """End it. A pair that lost a message, waited a minute for one, or was refused, has failed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(3 * TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join()
        result = Result()
        result.count("messages of the well-behaved pair", len(self._trips))
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        result.fault(code != 0, f"the well-behaved pair failed ({code}): {said[-1] if said else 'it said nothing'}")
        return result

    def __enter__(self) -> "Pair":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self._process, self._control):
            if process.poll() is None:
                process.kill()
            process.wait()
        self._reader.join()
        for file in (self._process.stdin, self._process.stdout, self._control.stdout, self._errors):
            if file is not None:
                file.close()
