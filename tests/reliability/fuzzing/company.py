"""A broker process, a pair of clients that behave, and hostile ones beside them: the pair loses nothing."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from tests.broker.client import TIMEOUT, Client
from tests.processes.server import Server
from tests.reliability.fuzzing.harassing import Harasser
from tests.reliability.fuzzing.hostile import BEHAVIOURS, Behaviour

ALONE = 40
"""Messages of the pair before and after the hostile clients."""
BESIDE = 20
"""Messages at the least beside them."""
TOPIC = "pair/news"

COMPANIES = st.lists(
    st.builds(
        Behaviour,
        name=st.sampled_from(sorted(BEHAVIOURS)),
        version=st.sampled_from((3, 4, 5)),
        size=st.integers(1, 200),
        qos=st.integers(0, 2),
        clean=st.booleans(),
        who=st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


@dataclass
class Latencies:
    """Seconds from publish to arrival."""

    before: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)


class Pair:
    """A publisher and a subscriber. ``lost`` and ``doubled`` are what must not be."""

    def __init__(self, publisher: Client, subscriber: Client) -> None:
        self._publisher = publisher
        self._subscriber = subscriber
        self._count = 0

    async def exchange(self, into: list[float]) -> None:
        """One message there: acknowledged, received once, and nothing else received."""
        self._count += 1
        qos = 1 + self._count % 2
        payload = b"%d" % self._count
        begun = time.perf_counter()
        publish = asyncio.create_task(self._publisher.publish(TOPIC, payload, qos))
        message = await self._subscriber.message(TIMEOUT)
        into.append(time.perf_counter() - begun)
        reason = await publish
        assert reason == 0, f"message {self._count} was refused"
        assert message.payload() == payload, f"instead of message {self._count} came {message.payload()!r}"

    async def check_quiet(self) -> None:
        """Nothing more has come, and both are connected."""
        await self._publisher.ping()
        await self._subscriber.ping()


class Company:
    """A broker and a harasser, for as many examples as there is time for."""

    def __init__(self, server: Server, harasser: Harasser) -> None:
        self.server = server
        self.harasser = harasser
        self.latencies = Latencies()
        self._seen = 0

    def endure(self, behaviours: Sequence[Behaviour]) -> None:
        """The pair before, beside and after the hostile clients."""
        asyncio.run(self._endure(behaviours))
        self.check_log()

    async def _endure(self, behaviours: Sequence[Behaviour]) -> None:
        async with AsyncExitStack() as stack:
            subscriber = await stack.enter_async_context(await Client.connected(self.server.port, "pair-subscriber"))
            publisher = await stack.enter_async_context(await Client.connected(self.server.port, "pair-publisher"))
            assert (await subscriber.subscribe(TOPIC, qos=2)).reasons == [2]
            pair = Pair(publisher, subscriber)
            await _repeat(ALONE, pair, self.latencies.before)
            self.harasser.begin(behaviours)
            acted = asyncio.create_task(asyncio.to_thread(self.harasser.wait))
            async with asyncio.timeout(2 * TIMEOUT):
                while not acted.done():
                    await pair.exchange(self.latencies.beside)
                await acted
            await _repeat(BESIDE, pair, self.latencies.beside)
            self.harasser.end()
            await _repeat(ALONE, pair, self.latencies.after)
            await pair.check_quiet()

    def check_log(self) -> None:
        """The broker has not noticed a defect of its own."""
        entries = self.server.log
        errors = [entry for entry in entries[self._seen :] if entry.get("level") in ("error", "critical")]
        self._seen = len(entries)
        assert not errors, f"the broker logged {errors[:3]}"


async def _repeat(count: int, pair: Pair, into: list[float]) -> None:
    for _ in range(count):
        await pair.exchange(into)


@contextmanager
def company(place: Path) -> Iterator[Company]:
    """A broker with its data below ``place``, and its company."""
    with Server(place) as server:
        server.start()
        with Harasser(server.port) as harasser:
            made = Company(server, harasser)
            yield made
        assert server.stop() == 0, "the broker did not stop in order"
        made.check_log()


def quantile(values: list[float], part: float) -> float:
    """The value that ``part`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
