"""What a scenario is, and the stage it plays on: a running broker, the generator, and how long it may take."""

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from bench import bottleneck
from bench.brokers import Running
from bench.load.generator import Generator
from bench.load.packets import Layout
from bench.load.publishing import Publish
from bench.load.receiving import Receive
from bench.load.reports import Report
from bench.results import Metric

RATE = Metric("rate", "messages per second", "/s")

# The brokers of most scenarios. What an acknowledgement means makes no difference to QoS 0.
DEFAULT = "mombroker-fsync"
MEMORY = "mombroker-memory"
INTERPRETED = "mombroker-fsync-interpreted"
PEERS = ("mosquitto", "rabbitmq", "nats")
SMALL = ("aedes", "amqtt")


@dataclass(frozen=True)
class Outcome:
    """The figures of one measurement, and what was wrong or remarkable about them."""

    values: dict[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    broker_cpu: float = 0.0
    generator_cpu: tuple[float, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """Something to measure.

    ``fresh``: every measurement wants a broker that has just been started. ``repetitions`` says how often it is
    measured if that is not for the run to say; ``rough`` is about how many seconds a measurement takes beyond those of
    the run's setting.
    """

    id: str
    title: str
    description: str
    metrics: tuple[Metric, ...]
    brokers: tuple[str, ...]
    measure: "Callable[[Stage], Outcome]"
    fresh: bool = False
    repetitions: int | None = None
    rough: float = 0.5


class Usage:
    """The processor time that a broker, and the machine as a whole, use from :meth:`begin` on."""

    def __init__(self, broker: Running) -> None:
        self._broker = broker
        self.begin()

    def begin(self) -> None:
        """Now."""
        self._at = (time.monotonic(), self._broker.cpu_seconds(), _busy_seconds())

    def end(self) -> tuple[float, float]:
        """The shares of one processor that the broker and the whole machine have used since."""
        began, broker, everything = self._at
        took = max(time.monotonic() - began, 1e-6)
        return (self._broker.cpu_seconds() - broker) / took, (_busy_seconds() - everything) / took


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


@dataclass
class Stage:
    """One measurement. ``seconds`` is how long something is to be streamed, ``cap`` the longest it may take.

    ``size`` tells large numbers of a scenario from those of a quick run.
    """

    generator: Generator
    broker: Running
    seconds: float
    quick: bool
    cap: float = 20.0
    memory: dict[Any, float] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    _broker_cpu: list[float] = field(default_factory=list)
    _others_cpu: list[float] = field(default_factory=list)
    _runs = itertools.count(int(time.time()) & 0xFFFFFF)

    @property
    def port(self) -> int:
        """The broker's."""
        return self.broker.port

    def size(self, full: int, quick: int) -> int:
        """How large a number of this run is."""
        return quick if self.quick else full

    def run(self) -> int:
        """A number that tells the messages of this measurement from all others."""
        return next(self._runs) & 0xFFFFFFFF

    def work(self, *orders: Any, first: int = 0, counted: bool = True) -> list[Report]:
        """Let the generator work on these orders, and watch the broker's processor time. Raises WorkFailed."""
        if not first:
            self.generator.board.clear()
        usage = Usage(self.broker)
        reports = self.generator.work(*orders, seconds=self.cap, first=first, begun=usage.begin)
        if counted:
            self._count(usage, reports)
        return reports

    def _count(self, usage: "Usage", reports: list[Report]) -> None:
        broker, everything = usage.end()
        self._broker_cpu.append(broker)
        self._others_cpu.append(everything - broker - sum(report.cpu for report in reports))
        self.reports += reports

    def fetch(self, order: Any, counted: bool = False) -> Report:
        """Let a receiver take what is on the board already; its processor time matters only if it is ``counted``."""
        self.generator.board.received = 0
        usage = Usage(self.broker)
        (report,) = self.generator.work(order, seconds=self.cap, begun=usage.begin)
        if counted:
            self._count(usage, [report])
        else:
            self.reports.append(replace(report, cpu=0.0))
        return report

    def stream(
        self, layout: Layout, receive: dict[str, Any] | None = None, publish: dict[str, Any] | None = None
    ) -> list[Report]:
        """Stream from a publisher to the subscribers of ``receive``: the receiver's and the publisher's reports."""
        run = self.run()
        receiving: dict[str, Any] = {"filters": (layout.topic,), "seconds": self.cap - 1} | (receive or {})
        receiver = Receive(self.port, layout, run=run, **receiving)
        publishing = {"receivers": receiver.subscribers} | (publish or {})
        return self.work(receiver, Publish(self.port, layout, run, self.seconds, **publishing))

    def outcome(
        self, values: dict[str, float], *faults: str, marks: tuple[str, ...] = (), with_clients: bool = False
    ) -> Outcome:
        """The outcome, with everything that the reports of this stage say about faults and processor time.

        ``with_clients``: it is broker and client together that are measured, so that a busy client limits nothing.
        """
        broker = max(self._broker_cpu, default=0.0)
        generator = tuple(round(report.cpu, 3) for report in self.reports)
        found = [fault for report in self.reports for fault in (*report.verdict.faults(), report.trouble) if fault]
        others = max(self._others_cpu, default=0.0)
        remarks = bottleneck.marks(broker, () if with_clients else generator, os.cpu_count() or 1, others)
        return Outcome(values, (*found, *faults), (*remarks, *marks), round(broker, 3), generator)


def delivery_rate(receiver: Report, publisher: Report) -> float:
    """Messages received a second, from the first one sent to the last one received or acknowledged."""
    return receiver.count / max(max(receiver.ended, publisher.ended) - publisher.began, 1e-6)
