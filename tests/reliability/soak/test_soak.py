"""Each overload at a small scale, and a soak of a few seconds. Nothing here is about time or about memory: only that
nothing acknowledged is lost, that the rest is served on, and that everything is given back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.soak.company import Pair
from tests.reliability.soak.overload import PAIR_RATE, SCENARIOS, Rounds, with_admin
from tests.reliability.soak.result import Result
from tests.reliability.soak.scenarios import Scale
from tests.reliability.soak.soaking import Plan, Soak
from tests.reliability.soak.streams import Stream
from tests.reliability.soak.subject import ADMIN, PASSWORD, Subject

SMALL = Scale(
    rounds=1,
    seconds=1,
    publishers=4,
    times=3,
    readers=20,
    flood=200,
    connects=300,
    subscriptions=3000,
    subscribers=30,
    turns=2,
    guessers=20,
    users=2,
)


SETTINGS = """
[mqtt]
max_out_buffer = 1_048_576

[plugins.users]
[plugins.anonymous]
admin = true
"""

Company = tuple[Subject, Pair]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """One broker and one pair for all overloads. What the pair found wrong is found when its last test is over."""
    place = tmp_path_factory.mktemp("company")
    with with_admin(place, SETTINGS) as subject:
        start = subject.settled()
        with Pair(place, subject.port, PAIR_RATE, ADMIN, PASSWORD) as pair:
            yield subject, pair
            assert pair.farewell().faults == []
        assert subject.back_to(start) == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_an_overload_the_rest_is_served_on_and_everything_comes_back(name: str, company: Company):
    result = Result()
    Rounds(name, SMALL, *company, result, calm=5).run()
    assert result.faults == []
    assert result.counts["overloads"] == 1
    assert not company[1].ended


def test_a_soak_loses_nothing_and_gives_everything_back(company: Company):
    subject, pair = company
    soak = Soak(Plan(calibration=1, window=1, windows=2), subject, timed=False)
    soak.run_beside(pair)
    assert soak.result.faults == []
    for name in ("acked messages checked", "messages through a queue", "requests answered", "HTTP calls", "connects"):
        assert soak.result.counts[name] > 0, name
    assert not pair.ended


async def test_a_message_that_was_acknowledged_and_does_not_come_is_told(tmp_path: Path, monkeypatch):
    with Subject(tmp_path) as subject:
        stream = Stream(subject.port, "lossy", 1, run=1)
        await stream.open()
        take = stream._subscriber.tally.take

        def take_another_for_the_seventh(rows):
            rows = rows.copy()
            rows["seq"][rows["seq"] == 7] = 6
            take(rows)

        monkeypatch.setattr(stream._subscriber.tally, "take", take_another_for_the_seventh)
        stream.pace.hold(500)
        running = asyncio.create_task(stream.run())
        while stream.sent < 50:
            await asyncio.sleep(0.01)
        stream.pace.stopped = True
        await running
        result = await stream.close()
    assert result.faults == [f"the stream lossy (QoS 1): LOST 1, DUPLICATED 1 of {stream.sent}"]


def test_what_does_not_come_back_is_told(tmp_path: Path):
    with Subject(tmp_path) as subject:
        start = subject.settled()
        subject.ask("PUT", "/v1/queues/left-behind")
        # The connection that the queue was asked for over may not have gone yet, and is told of then, too.
        assert "queues did not come back within 0 s: 0 before, 1 after" in subject.back_to(start, patience=0.5)


def test_a_pair_whose_broker_dies_has_failed(tmp_path: Path):
    with Subject(tmp_path) as subject, Pair(tmp_path, subject.port, PAIR_RATE) as pair:
        assert pair.take(3)
        subject.server.kill()
        (fault,) = pair.farewell().faults
    assert fault.startswith("the well-behaved pair failed")
