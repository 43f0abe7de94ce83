"""What has to hold in every overload: the rest is served on, and everything comes back to where it was."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.processes.server import mombroker
from tests.reliability.soak import scenarios, verdicts
from tests.reliability.soak.company import Pair
from tests.reliability.soak.pair import Trip
from tests.reliability.soak.result import Result
from tests.reliability.soak.scenarios import Scale
from tests.reliability.soak.subject import ADMIN, PASSWORD, Subject
from tests.reliability.soak.verdicts import MIB
from tests.reliability.soak.vitals import Vitals, Watch

Storm = Callable[[Subject, Scale, Result], Awaitable[None]]

PAIR_RATE = 50.0
CALM = 100
"""Messages of the pair before and after an overload."""

LONGEST_SILENCE = 20.0
"""Seconds that a message of the pair may take in a run of its own. (In CI it has as long as it takes.)"""
SLOWER = 3.0
"""How much slower, compared with the control, the pair may be after an overload than before."""
KEPT_MEMORY = 160 * MIB
"""Memory that may be kept for next time: the C library holds back 64 MiB, and Python what lies around in its arenas."""
MEMORY_PATIENCE = 180.0
"""Seconds until then: a broker gives back what has lain idle for a minute or two."""
AGAIN = 1.1
"""The next overload of the same kind takes what was kept: at its peak there may be a tenth more, and 8 MiB."""


@dataclass(frozen=True)
class Scenario:
    """An overload, the settings that it needs, and whether it is about users."""

    storm: Storm
    settings: str = ""
    users: bool = False


SCENARIOS: dict[str, Scenario] = {
    "publishers": Scenario(scenarios.publishers),
    # With the default of 16 MiB each, hundreds of stalled readers may hold as many times 16 MiB.
    "stalled": Scenario(scenarios.stalled, "\n[mqtt]\nmax_out_buffer = 1_048_576\n"),
    "connects": Scenario(scenarios.connects),
    "subscriptions": Scenario(scenarios.subscriptions),
    "guessing": Scenario(scenarios.guessing, "\n[plugins.users]\n", users=True),
}

FULL = Scale(
    rounds=3,
    seconds=20,
    publishers=20,
    times=3,
    readers=400,
    flood=5000,
    connects=10_000,
    subscriptions=100_000,
    subscribers=1000,
    turns=10,
    guessers=200,
    users=10,
)
QUICK = Scale(
    rounds=2,
    seconds=6,
    publishers=10,
    times=3,
    readers=100,
    flood=2000,
    connects=2000,
    subscriptions=20_000,
    subscribers=200,
    turns=5,
    guessers=100,
    users=5,
)


def run_scenario(name: str, scale: Scale, place: Path) -> Result:
    """Go through an overload several times, with a broker and a pair of its own."""
    scenario, result = SCENARIOS[name], Result()
    with ExitStack() as stack:
        subject = stack.enter_context(_subject(scenario, place))
        start = subject.settled()
        pair = stack.enter_context(Pair(place, subject.port, PAIR_RATE, *login(scenario)))
        rounds = Rounds(name, scale, subject, pair, result)
        rounds.run()
        result.add(pair.farewell())
        result.faults += subject.back_to(start)
        if not result.faults:
            rounds.judge()
    return result


def _subject(scenario: Scenario, place: Path) -> Subject:
    return with_admin(place, scenario.settings) if scenario.users else Subject(place, scenario.settings)


def login(scenario: Scenario) -> tuple[str, ...]:
    """Username and password of the pair, where there are users."""
    return (ADMIN, PASSWORD) if scenario.users else ()


def with_admin(place: Path, settings: str) -> Subject:
    """A broker with an administrator, who is added before it starts."""
    subject = Subject(place, settings, PASSWORD)
    server = subject.server
    arguments = ("user", "add", ADMIN, "--role", "admin", "--password-stdin", "--data", str(server.data))
    added = mombroker(*arguments, cwd=server.place, given=f"{PASSWORD}\n")
    if added.returncode:
        raise RuntimeError(added.stderr)
    return subject


class Rounds:
    """The rounds of one scenario, and what was seen before, during and after each."""

    def __init__(self, name: str, scale: Scale, subject: Subject, pair: Pair, result: Result, calm: int = CALM) -> None:
        """``calm``: how many messages of the pair make a calm moment."""
        self._name, self._storm, self._scale = name, SCENARIOS[name].storm, scale
        self._subject, self._pair, self._result, self._calm_trips = subject, pair, result, calm
        self._calm: list[tuple[Vitals, list[Trip]]] = []
        self._worst = 0.0
        self._peaks: list[int] = []

    def run(self) -> None:
        """All rounds, as long as the pair is well."""
        self._look()
        with_pair = self._subject.settled()
        server = self._subject.server
        with Watch(server.pid, server.data) as watch:
            for number in range(1, self._scale.rounds + 1):
                begun = time.monotonic()
                asyncio.run(self._round())
                took, during = time.monotonic() - begun, self._pair.take()
                self._result.count("overloads")
                self._result.faults += self._subject.back_to(with_pair)
                if self._pair.ended:
                    return
                self._peaks.append(max(one.anonymous for one in watch.take()))
                self._look()
                # A message that was under way at the end came among those of the calm.
                worst = max(trip.acked for trip in [*during, *self._calm[-1][1]])
                self._worst = max(self._worst, worst)
                print(self._line(number, took, during, worst), flush=True)

    async def _round(self) -> None:
        await self._storm(self._subject, self._scale, self._result)

    def _look(self) -> None:
        """A calm moment: so many messages of the pair, then what the kernel says."""
        self._pair.take()
        trips = self._pair.take(self._calm_trips)
        self._calm.append((self._subject.vitals(), trips))

    def _line(self, number: int, took: float, during: list[Trip], worst: float) -> str:
        (first, before), (last, after) = self._calm[0], self._calm[-1]
        meanwhile = [trip for trip in during if trip.qos] or after
        memory = [f"{one / MIB:.1f}" for one in (first.anonymous, self._peaks[-1], last.anonymous)]
        return (
            f"{number:3}  {took:6.1f} s  pair: {len(during)} messages, acked in {1e3 * _acked(meanwhile):.2f} ms, "
            f"the slowest in {1e3 * worst:.0f} ms; "
            f"calm: {1e3 * _acked(before):.2f} ms, then {1e3 * _acked(after):.2f} ms  "
            f"memory: {memory[0]} MiB, peak {memory[1]}, now {memory[2]}  descriptors {last.descriptors}"
        )

    def _memory_in_the_end(self) -> int:
        """What is left of it when it has come down as far as it may stay, or does not come down."""
        deadline = time.monotonic() + MEMORY_PATIENCE
        while True:
            now = self._subject.vitals().anonymous
            if now - self._calm[0][0].anonymous <= KEPT_MEMORY or time.monotonic() > deadline:
                return now
            time.sleep(1.0)

    def judge(self) -> None:
        """The verdicts that are about time and memory."""
        result, name, calm, peaks = self._result, self._name, self._calm, self._peaks
        before, kept = calm[0][0].anonymous, self._memory_in_the_end()
        for what, value in (("before", before), ("at the peak", max(peaks)), ("in the end", kept)):
            result.figures[f"{name}: memory {what}, MiB"] = round(value / MIB, 1)
        result.figures[f"{name}: slowest message of the pair, seconds"] = round(self._worst, 3)
        silent = self._worst > LONGEST_SILENCE
        result.fault(silent, f"{name}: a message of the well-behaved pair took {self._worst:.1f} s")
        much = kept - before > KEPT_MEMORY
        result.fault(much, f"{name}: {(kept - before) / MIB:.0f} MiB of memory did not come back")
        grows = peaks[-1] > AGAIN * peaks[0] + 8 * MIB
        told = ", ".join(f"{one / MIB:.0f}" for one in peaks)
        result.fault(grows, f"{name}: memory grows with every overload: {told} MiB at the peaks")
        first, last = calm[0][1], calm[-1][1]
        slower = verdicts.slower(_acked(first), _acked(last), _control(first), _control(last))
        result.figures[f"{name}: latency afterwards to before, compared with the control"] = round(slower, 2)
        result.fault(slower > SLOWER, f"{name}: the pair is {slower:.1f} times slower than before")


def _acked(trips: list[Trip]) -> float:
    return median(trip.acked for trip in trips if trip.qos)


def _control(trips: list[Trip]) -> float:
    return median(trip.control for trip in trips)
