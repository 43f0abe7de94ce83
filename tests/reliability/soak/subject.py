"""The broker under test: a ``mombroker serve`` that syncs, what it says about itself, and what the kernel says."""

import base64
import http.client
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.processes.server import TIMEOUT, Server
from tests.reliability.soak.vitals import Vitals, vitals

CONFIG = """
[storage]
durability = "fsync"

[log]
level = "info"
"""

ADMIN = "admin"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Holdings:
    """What a broker keeps for its clients: all of this comes back to where it was when they have gone."""

    clients_connected: int
    sessions: int
    subscriptions: int
    queues: int
    services: int
    messages_waiting: int
    retained: int
    descriptors: int


class Subject:
    """A broker process in a directory of its own. ``more`` is added to its settings."""

    def __init__(self, place: Path, more: str = "", password: str = "") -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.server = Server(place, config=CONFIG + more, http="127.0.0.1:0")
        self._password = password

    def start(self) -> "Subject":
        """Start it and wait until it listens."""
        self.server.start()
        # Its first lines tell the ports; from now on, a line for every client that comes would fill our own memory.
        self.server.config.write_text(self.server.config.read_text().replace('"info"', '"warning"'))
        self.server.signal(signal.SIGHUP)
        return self

    @property
    def port(self) -> int:
        """Where it speaks MQTT."""
        return self.server.port

    @property
    def http_port(self) -> int:
        """Where it speaks HTTP."""
        return self.server.http_port

    def vitals(self) -> Vitals:
        """What the kernel says."""
        return vitals(self.server.pid, self.server.data)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """An operation over HTTP, on a connection of its own. Raises RuntimeError when it fails."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=TIMEOUT)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if self._password:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{ADMIN}:{self._password}".encode()).decode()
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:200]!r}")
        return json.loads(said) if said else None

    def statistics(self) -> dict[str, Any]:
        """The broker in numbers."""
        found: dict[str, Any] = self.ask("GET", "/v1/statistics")
        return found

    def holdings(self) -> Holdings:
        """What it keeps right now."""
        told = self.statistics()
        counted = {name: told[name] for name in Holdings.__dataclass_fields__ if name in told}
        return Holdings(**counted, descriptors=self.vitals().descriptors)

    def descriptors(self) -> list[str]:
        """What its descriptors are, as far as the kernel tells."""
        folder = Path("/proc") / str(self.server.pid) / "fd"
        return sorted(str(link.readlink()) for link in folder.iterdir())

    def settled(self) -> Holdings:
        """What it keeps when it has nothing to do: as often as it takes until two looks see the same."""
        before = self.holdings()
        for _ in range(100):
            time.sleep(0.2)
            now = self.holdings()
            if now == before:
                return now
            before = now
        return before

    def back_to(self, start: Holdings, patience: float = TIMEOUT) -> list[str]:
        """Wait until it keeps no more than it did; a sentence for everything that is still too many after so long."""
        deadline = time.monotonic() + patience
        while True:
            now = self.holdings()
            over = [name for name, number in vars(now).items() if number > getattr(start, name)]
            if not over:
                return []
            if time.monotonic() > deadline:
                return [
                    f"{name.replace('_', ' ')} did not come back within {patience:.0f} s: "
                    f"{getattr(start, name)} before, {getattr(now, name)} after"
                    + (f" ({', '.join(self.descriptors())})" if name == "descriptors" else "")
                    for name in over
                ]
            time.sleep(0.2)

    def __enter__(self) -> "Subject":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.kill()
