"""An MQTT client in a process of its own, that may be killed and paused; its next process goes on by its journal."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.processes.server import environment
from tests.reliability.torture.journals import Inbox, Outbox, follow
from tests.reliability.torture.mqtt_clients import Publisher, Subscriber

ROOT = Path(__file__).parents[3]
# The checkout comes last on the import path, as in tests/reliability/__main__.py.
_START = (
    "import sys; sys.path[0:1] = []; sys.path.append(sys.argv.pop(1)); "
    "from tests.reliability.torture.client_process import main; main(sys.argv[1:])"
)


def main(argv: Sequence[str]) -> None:
    """Be a client until SIGTERM: a publisher finishes what it has begun."""
    role, name, version, port, seed, journal, filter = argv
    asyncio.run(_live(role, name, int(version), int(port), Random(seed), Path(journal), filter))


async def _live(role: str, name: str, version: int, port: int, random: Random, journal: Path, filter: str) -> None:
    loop = asyncio.get_running_loop()
    # Whoever has started us holds the other end, and nothing comes through it but its own end.
    loop.add_reader(sys.stdin.fileno(), lambda: os._exit(1))
    if role == "publisher":
        publisher = Publisher(name, version, port, random, journal)
        loop.add_signal_handler(signal.SIGTERM, lambda: setattr(publisher, "stopping", True))
        await publisher.run()
    else:
        subscriber = Subscriber(name, version, port, random, journal, filter)
        await subscriber.subscribe()
        await subscriber.run()


class ClientProcess:
    """One client, over as many processes as it takes. ``state`` is what its journal says, once :meth:`read`."""

    def __init__(
        self, state: Outbox | Inbox, version: int, port: int, random: Random, place: Path, filter: str
    ) -> None:
        self.state = state
        self.name = state.name
        self.journal = place / f"{state.name}.journal"
        self._errors = place / f"{state.name}.errors"
        self._version = version
        self._port = port
        self._random = random
        self._filter = filter
        self._read = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin a process, if none runs."""
        if self._process is not None:
            return
        role = "publisher" if isinstance(self.state, Outbox) else "subscriber"
        given = [role, self.name, str(self._version), str(self._port), str(self._random.random()), str(self.journal)]
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(ROOT), *given, self._filter],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment(),
            )

    def read(self) -> None:
        """Take note of what it has written since."""
        self._read = follow(self.journal, self.state, self._read)

    def check(self) -> None:
        """Raise AssertionError if it has ended by itself, and not well."""
        if self._process is not None and self._process.poll():
            raise AssertionError(f"{self.name} has ended: {self._errors.read_text()[-3000:]}")

    def ended(self) -> bool:
        """Whether it has ended well."""
        self.check()
        return self._process is None or self._process.poll() == 0

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """kill -9, if it runs. Raises AssertionError if it has ended by itself, and not well."""
        self.check()
        self.stop()

    def stop(self) -> None:
        """kill -9, if it runs, however it has done."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None
