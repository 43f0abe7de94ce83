"""What every broker of the comparison has, and one that runs."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.load.connection import wait_until_it_answers

HOME = Path(__file__).parents[1]
CHECKOUT = HOME.parent


@dataclass(frozen=True)
class Places:
    """Where things are: the two environments that `make` makes, the directory for the brokers' data, and another build
    of Mosquitto, if one is to be measured."""

    compiled: Path = CHECKOUT / ".venv"
    interpreted: Path = CHECKOUT / ".venv-pure"
    data: Path = HOME / ".data"
    mosquitto: Path | None = None


@dataclass(frozen=True)
class Plan:
    """How to run a broker: the command, what it adds to the environment, its configuration file, what has to run
    before it and stops with it, and the ports by protocol on which it speaks something else than MQTT."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[Sequence[str]] = ()
    ports: Mapping[str, int] = field(default_factory=dict)


class BrokerFailed(Exception):
    """A broker did not start, or ended by itself."""


class Broker:
    """A broker that can be measured. Subclasses say how.

    ``id`` names it in commands and JSON; ``promise`` is what an acknowledgement of it means, as configured.
    """

    id = ""
    title = ""
    promise = ""
    start_seconds = 15.0
    stop_seconds = 10.0
    keep_running = False
    """Whether it takes so long to start that scenarios which need no fresh one share it."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def missing(self) -> str:
        """How to install it; empty when it is there."""
        raise NotImplementedError

    def version(self) -> str:
        """Its version, from itself."""
        raise NotImplementedError

    def plan(self, directory: Path, port: int) -> Plan:
        """How to run it with its data in this directory, listening on this port of 127.0.0.1."""
        raise NotImplementedError

    def configuration(self) -> str:
        """What it is configured with, for the report."""
        plan = self.plan(Path("DIR"), 1883)
        return "\n\n".join(f"# {name}\n{text.strip()}" for name, text in plan.files.items())

    def start(self) -> "Running":
        """Start it, with an empty data directory. Raises BrokerFailed."""
        self.places.data.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=f"{self.id}-", dir=self.places.data))
        running = Running(self, directory)
        running.start()
        return running


PORTS = range(10_000, 32_768)
"""Below those that the system gives to clients: one of them would soon be taken by a connection of somebody else."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now, nor soon. Raises BrokerFailed if there is none."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise BrokerFailed(f"100 ports between {PORTS.start} and {PORTS.stop} are all in use")


def first_line(command: Sequence[str]) -> str:
    """The first line that a command prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""


class Running:
    """A broker that runs, and its data directory. Everything it has started is ended by process id."""

    def __init__(self, broker: Broker, directory: Path) -> None:
        self.broker = broker
        self.directory = directory
        self.port = 0
        self.ports: Mapping[str, int] = {}
        self._helpers: list[subprocess.Popen[bytes]] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> None:
        """Start it on its data directory; ``wait`` until it answers. Raises BrokerFailed."""
        self.port = free_port()
        plan = self.broker.plan(self.directory, self.port)
        self.ports = plan.ports
        for name, text in plan.files.items():
            (self.directory / name).write_text(text, encoding="utf-8")
        for command in plan.before:
            self._helpers.append(self._spawn(command, plan.environment))
        self._process = self._spawn(plan.command, plan.environment)
        if wait and not wait_until_it_answers(self.port, self.broker.start_seconds, self.alive):
            said = self.said()
            self.stop()
            raise BrokerFailed(f"{self.broker.id} did not answer; it said: {said}")

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        with (self.directory / "output.log").open("ab") as log:
            # A session of its own: Ctrl-C is for the harness, which then stops the brokers.
            return subprocess.Popen(
                list(command),
                cwd=self.directory,
                env={**kept, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self) -> str:
        """The end of its output."""
        text = (self.directory / "output.log").read_text(encoding="utf-8", errors="replace")
        return text[-1500:].strip()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def pause(self) -> None:
        """Stop it from using the processor while another one is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def processes(self) -> list[psutil.Process]:
        """Its processes, those that it has started included."""
        if not self.alive() or self._process is None:
            return []
        try:
            main = psutil.Process(self._process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.Error:
            return []

    def cpu_seconds(self) -> float:
        """Processor time that its processes have used so far."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def resident(self) -> int:
        """Its resident memory in bytes, with the pages of files that it has mapped."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def anonymous(self) -> int:
        """The part of its resident memory that is no page of a file, in bytes; 0 where the kernel does not say."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
                    if line.startswith("RssAnon:"):
                        total += int(line.split()[1]) * 1024
        return total

    def end(self, seconds: float | None = None) -> None:
        """End its processes and keep its data. ``seconds``: how long it may take to go before it is killed."""
        processes = self.processes()
        if self._process is not None and self._process.poll() is None:
            self.resume()
            if seconds != 0:
                self._process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(self.broker.stop_seconds if seconds is None else seconds)
        for helper in self._helpers:
            helper.terminate()
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        for started in (*self._helpers, *([self._process] if self._process else [])):
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(5)
        self._helpers, self._process = [], None

    def stop(self) -> None:
        """End it and delete its data. There is nothing left to save, so it is not asked to."""
        self.end(0)
        for _ in range(20):
            shutil.rmtree(self.directory, ignore_errors=True)
            if not self.directory.exists():
                return
            time.sleep(0.05)
