"""The hostile clients in a process of their own, so that their work is not counted as the broker's slowness.

On standard input comes a line of JSON with behaviours; ``acted`` on standard output says that each has done what it
does, and the next line, whatever it says, ends them.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from tests.processes.server import environment
from tests.reliability.fuzzing.hostile import BEHAVIOURS, Behaviour, Rogue

STARTER = Path(__file__).parents[1]
ACTED = "acted"


class Harasser:
    """The process, as the one that started it sees it."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, str(STARTER), "fuzzing", "--harass", str(port)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment())

    def begin(self, behaviours: Sequence[Behaviour]) -> None:
        """Let the clients loose."""
        self._say(json.dumps([asdict(behaviour) for behaviour in behaviours]))

    def wait(self) -> None:
        """Wait until each has done what it does. Blocks."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.strip() == ACTED, f"the hostile clients failed: {line!r}"

    def end(self) -> None:
        """Cut their connections."""
        self._say("end")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> "Harasser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()


def main(port: int) -> int:
    """Be the process."""
    for line in sys.stdin:
        behaviours = [Behaviour(**fields) for fields in json.loads(line)]
        asyncio.run(_harass(port, behaviours))
    return 0


async def _harass(port: int, behaviours: Sequence[Behaviour]) -> None:
    rogues = [Rogue(port, behaviour) for behaviour in behaviours]
    try:
        await asyncio.gather(*map(_act, rogues))
        print(ACTED, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    finally:
        for rogue in rogues:
            rogue.close()


async def _act(rogue: Rogue) -> None:
    # That the broker throws a rogue out is as it should be.
    with suppress(ConnectionError):
        await BEHAVIOURS[rogue.does.name](rogue)
