"""The soak: find out how much this machine can do, then do four fifths of it for a long time, and look at the windows.

Saturation is what closed loops of all parts of the load reach together, broker and load generator on one machine. Each
part then goes at its share of that, on the same connections.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.statistics import percentile
from tests.reliability.soak import verdicts
from tests.reliability.soak.churn import Churn
from tests.reliability.soak.company import Pair
from tests.reliability.soak.pair import Trip
from tests.reliability.soak.result import Result
from tests.reliability.soak.roles import HttpRole, QueueRole, RequestRole
from tests.reliability.soak.streams import Stream
from tests.reliability.soak.subject import Subject
from tests.reliability.soak.verdicts import MIB
from tests.reliability.soak.vitals import Vitals, Watch

SHARE = 0.8
KEPT = 0.9
"""The share of the wanted rate that has to be kept, for the run to be what it says it is."""

WINDOWS = (64, 512, 512)
"""Messages under way, by QoS. In longer runs, QoS 0 costs a broker next to nothing and would crowd out the rest."""

PAIR_RATE = 20.0
CHURN_RATE = 15.0
"""Visits a second, of churn."""


@dataclass(frozen=True)
class Plan:
    """Seconds: of the calibration, of one window; and how many windows."""

    calibration: float
    window: float
    windows: int

    @staticmethod
    def of(minutes: float) -> "Plan":
        """Sixty windows, or fewer of two seconds; and a calibration of up to half a minute."""
        seconds = minutes * 60
        windows = max(verdicts.LEAST_WINDOWS, min(60, int(seconds / 2)))
        return Plan(min(30.0, seconds / 6), seconds / windows, windows)


@dataclass(frozen=True)
class Window:
    """The medians of a stretch of time. Seconds, bytes; ``rate`` is things done a second, of all parts of the load, and
    ``effort`` the broker's processor time for a thousand of them."""

    anonymous: float
    resident: float
    descriptors: float
    threads: float
    data: float
    broker_cpu: float
    rate: float
    effort: float
    delivered: float
    acked: float
    worst: float
    control: float

    @staticmethod
    def of(seen: list[Vitals], trips: list[Trip], done: int, seconds: float) -> "Window":
        """The window in which this was seen."""
        acknowledged = [trip for trip in trips if trip.qos]
        if not acknowledged:
            raise RuntimeError(f"the pair got nothing through in {seconds:.0f} seconds")
        broker_cpu = (seen[-1].cpu - seen[0].cpu) / max(seen[-1].at - seen[0].at, 1e-9)
        return Window(
            anonymous=median(one.anonymous for one in seen),
            resident=median(one.resident for one in seen),
            descriptors=median(one.descriptors for one in seen),
            threads=median(one.threads for one in seen),
            data=median(one.data for one in seen),
            broker_cpu=broker_cpu,
            rate=done / seconds,
            effort=1000 * broker_cpu / max(done / seconds, 1e-9),
            delivered=median(trip.delivered for trip in acknowledged),
            acked=median(trip.acked for trip in acknowledged),
            worst=percentile(sorted(trip.acked for trip in acknowledged), 0.99),
            control=median(trip.control for trip in acknowledged),
        )

    def line(self) -> str:
        """For the terminal."""
        return (
            f"{self.rate:>8,.0f}/s  broker {100 * self.broker_cpu:3.0f} %, {1e3 * self.effort:5.2f} ms a thousand  "
            f"memory {self.anonymous / MIB:6.1f} MiB (resident {self.resident / MIB:6.1f})  "
            f"descriptors {self.descriptors:4.0f}  threads {self.threads:2.0f}  data {self.data / MIB:6.1f} MiB  "
            f"delivered {1e3 * self.delivered:6.2f} ms  acked {1e3 * self.acked:6.2f} ms, p99 {1e3 * self.worst:7.2f}  "
            f"control {1e3 * self.control:6.2f} ms"
        )


class Soak:
    """One run against one broker."""

    def __init__(self, plan: Plan, subject: Subject, timed: bool = True) -> None:
        """``timed`` false: no verdict is about time, memory or rates."""
        self._plan = plan
        self._timed = timed
        self._subject = subject
        port = subject.port
        self._streams = [Stream(port, f"qos-{qos}", qos, run=qos + 1, window=WINDOWS[qos]) for qos in (0, 1, 2)]
        self._roles = [QueueRole(port), RequestRole(port), HttpRole(subject.http_port)]
        self._churn = Churn(port)
        self._paced = [*self._streams, *self._roles]
        self.result = Result()

    def run(self, place: Path) -> Result:
        """All of it."""
        start = self._subject.settled()
        with Pair(place, self._subject.port, PAIR_RATE) as pair:
            self.run_beside(pair)
            self.result.add(pair.farewell())
        self.result.faults += self._subject.back_to(start)
        told = self._subject.statistics()
        self.result.figures["broker's count of dropped messages"] = told["publishes_dropped"]
        return self.result

    def run_beside(self, pair: Pair) -> None:
        """The load, beside a pair that is there already; everything is given back when it returns."""
        # It is connected when its first message is through.
        pair.take(1)
        start, server = self._subject.settled(), self._subject.server
        with Watch(server.pid, server.data) as watch:
            asyncio.run(self._run(pair, watch))
        self.result.faults += self._subject.back_to(start)

    async def _run(self, pair: Pair, watch: Watch) -> None:
        for part in self._paced:
            await part.open()
        self._churn.pace.hold(CHURN_RATE)
        begun = time.monotonic()
        working = [asyncio.create_task(part.run()) for part in (*self._paced, self._churn)]
        try:
            await self._work(pair, watch, working)
        finally:
            for part in (*self._paced, self._churn):
                part.pace.stopped = True
        await asyncio.gather(*working)
        for closing in [part.close() for part in self._paced]:
            self.result.add(await closing)
        self.result.add(self._churn.result)
        self.result.count("minutes", round((time.monotonic() - begun) / 60, 2))

    async def _work(self, pair: Pair, watch: Watch, working: "list[asyncio.Task[None]]") -> None:
        """Calibrate, hold the rate, and judge the windows. A part that fails ends it."""
        wanted = await self._calibrate(pair, watch, working)
        windows: list[Window] = []
        for number in range(1, self._plan.windows + 1):
            window = await self._window(pair, watch, working)
            print(f"{number:3}  {window.line()}", flush=True)
            windows.append(window)
        if self._timed:
            self._judge(windows, wanted)

    async def _calibrate(self, pair: Pair, watch: Watch, working: "list[asyncio.Task[None]]") -> float:
        """Let everything run as fast as it can, then set the pace of each part. What all of them shall do a second."""
        seconds = self._plan.calibration
        await _unless_failed(working, seconds / 4)
        pair.take(), watch.take()
        before, begun = [part.pace.done for part in self._paced], time.monotonic()
        used = time.process_time()
        await _unless_failed(working, seconds * 3 / 4)
        took, used = time.monotonic() - begun, time.process_time() - used
        rates = [(part.pace.done - done) / took for part, done in zip(self._paced, before, strict=True)]
        for part, rate in zip(self._paced, rates, strict=True):
            part.pace.hold(SHARE * rate)
        window = Window.of(watch.take(), pair.take(), round(sum(rates) * took), took)
        print(f"saturation: {', '.join(f'{p.name} {r:,.0f}/s' for p, r in zip(self._paced, rates, strict=True))}")
        print(f"     {window.line()}", flush=True)
        self.result.figures["saturation, things a second"] = round(sum(rates))
        self.result.figures["broker's processor share at saturation, %"] = round(100 * window.broker_cpu)
        self.result.figures["load generator's processor share at saturation, %"] = round(100 * used / took)
        return SHARE * sum(rates)

    async def _window(self, pair: Pair, watch: Watch, working: "list[asyncio.Task[None]]") -> Window:
        before, begun = sum(part.pace.done for part in self._paced), time.monotonic()
        await _unless_failed(working, self._plan.window)
        if pair.ended:
            raise RuntimeError(f"the pair ended early: {pair.farewell().faults}")
        took = time.monotonic() - begun
        return Window.of(watch.take(), pair.take(), sum(part.pace.done for part in self._paced) - before, took)

    def _judge(self, windows: list[Window], wanted: float) -> None:
        """The verdict on the windows."""

        def column(name: str) -> list[float]:
            return [float(getattr(window, name)) for window in windows]

        result, control = self.result, column("control")
        result.faults += [
            *verdicts.grown("memory (MiB)", MIB, column("anonymous"), verdicts.MEMORY),
            *verdicts.grown("descriptors", 1, column("descriptors"), verdicts.DESCRIPTORS),
            *verdicts.grown("threads", 1, column("threads"), verdicts.THREADS),
            *verdicts.grown("the data file (MiB)", MIB, column("data"), verdicts.DATA),
            *verdicts.drifted(
                "the processor time of a message", column("effort"), [1.0] * len(windows), verdicts.EFFORT
            ),
            *verdicts.drifted("the time to a delivery", column("delivered"), control),
            *verdicts.drifted("the time to an acknowledgement", column("acked"), control),
        ]
        kept = median(column("rate")) / wanted
        result.fault(kept < KEPT, f"only {100 * kept:.0f} % of the wanted rate were kept: the machine had other work")
        for name, unit, values in (
            ("memory", MIB, column("anonymous")),
            ("data file", MIB, column("data")),
            ("descriptors", 1, column("descriptors")),
        ):
            suffix = ", MiB" if unit == MIB else ""
            result.figures[f"{name}: median{suffix}"] = round(median(values) / unit, 1)
            result.figures[f"{name}: growth over the last two thirds{suffix}"] = round(
                verdicts.growth(values) / unit, 2
            )
        result.figures["share of the wanted rate that was kept"] = round(kept, 3)
        result.figures["processor time of a thousand, ms"] = round(1e3 * median(column("effort")), 2)
        result.figures["processor time: drift"] = round(verdicts.drift(column("effort"), [1.0] * len(windows)), 2)
        for name in ("delivered", "acked"):
            result.figures[f"{name}: median, ms"] = round(1e3 * median(column(name)), 2)
            result.figures[f"{name}: drift compared with the control"] = round(verdicts.drift(column(name), control), 2)


async def _unless_failed(working: "list[asyncio.Task[None]]", seconds: float) -> None:
    """Wait so long, but raise at once what has ended a part of the load."""
    done, _ = await asyncio.wait(working, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
        raise RuntimeError(f"a part of the load has ended: {task}")
