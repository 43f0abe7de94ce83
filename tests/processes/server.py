"""A real ``mombroker serve`` process: started, watched through its log, signalled and killed by its process id."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

TIMEOUT = 60.0
"""Seconds for anything that has to happen; only a broken broker needs them."""

READY = "mombroker is ready"


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of a broker and without import paths, and with ``more``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MOMBROKER_") and k != "PYTHONPATH"}
    return {**kept, **(more or {})}


def mombroker(*arguments: str, cwd: Path, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command of ``mombroker`` to its end, with ``given`` on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "mombroker", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=cwd,
        env=environment(),
    )


def _port(addresses: Sequence[str]) -> int:
    """The port of the first address, 0 if there is none."""
    return int(addresses[0].rpartition(":")[2]) if addresses else 0


class Server:
    """One broker process, and the next one on the same data after it. ``log`` holds its log lines, parsed."""

    def __init__(
        self,
        place: Path,
        *options: str,
        config: str | None = None,
        listen: str | None = "127.0.0.1:0",
        http: str = "off",
        env: Mapping[str, str] | None = None,
    ) -> None:
        """The broker keeps its data below ``place``; ``config`` is the text of a settings file."""
        self.place = place
        self.data = place / "data"
        self.config = place / "broker.toml"
        self.log: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self.port = 0
        self.http_port = 0
        self._options = options
        self._listen = listen
        self._http = http
        self._environment = environment(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._changed = threading.Condition()
        self._ended = False
        if config is not None:
            self.config.write_text(config)

    def _command(self) -> Sequence[str]:
        command = [sys.executable, "-m", "mombroker", "serve", "--data", str(self.data), "--log-format", "json"]
        command += ["--http", self._http]
        if self._listen is not None:
            command += ["--mqtt", self._listen]
        if self.config.exists():
            command += ["--config", str(self.config)]
        return [*command, *self._options]

    def launch(self) -> "Server":
        """Start the process, and do not wait for anything."""
        assert self._process is None, "it runs already"
        self._ended = False
        self._process = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.place,
            env=self._environment,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        return self

    def start(self) -> "Server":
        """Start the process, and wait until it listens."""
        seen = len(self.log)
        self.launch()
        ready = self.wait_for(READY, since=seen)
        self.port = _port(ready["listening"])
        self.http_port = _port(ready["http"])
        return self

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stderr is not None
        for raw in process.stderr:
            line = raw.decode()
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"event": line.rstrip("\n"), "unparsed": True}
            with self._changed:
                self.raw.append(line)
                self.log.append(entry)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether a process was started that nobody has waited for, and it has ended."""
        return self._process is not None and self._process.poll() is not None

    @property
    def text(self) -> str:
        """The whole log as it was written, of all processes so far."""
        return "".join(self.raw)

    def wait_for(self, event: str, since: int = 0, timeout: float = TIMEOUT, **fields: object) -> dict[str, Any]:
        """The first log line from number ``since`` on with this event and these fields, now or when it comes."""
        deadline = time.monotonic() + timeout
        at = since
        with self._changed:
            while True:
                for entry in self.log[at:]:
                    if entry.get("event") == event and all(entry.get(k) == v for k, v in fields.items()):
                        return entry
                at = len(self.log)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "the process has ended" if self._ended else f"not within {timeout} s"
                    raise AssertionError(f"no {event!r} {fields or ''} in the log, {why}:\n{self.text[-4000:]}")
                self._changed.wait(left)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for the end of the process and return its exit code (negative: the signal that killed it)."""
        assert self._process is not None and self._reader is not None, "it does not run"
        code = self._process.wait(timeout)
        self._reader.join(timeout)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
        return code

    def kill(self) -> None:
        """kill -9, if it runs."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
