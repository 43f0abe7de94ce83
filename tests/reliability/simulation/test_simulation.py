"""The simulation in CI: a fixed set of seeds, some fresh ones, and proof that the oracle can tell a lie."""

import random
import struct
from collections.abc import Iterator
from types import MethodType

import pytest

from mombroker.core import Limits
from mombroker.model.unit import Unit
from mombroker.mqtt import Ack, Publish, encode
from mombroker.mqtt.packet_types import PUBACK
from tests.reliability.simulation.command import attempt, main
from tests.reliability.simulation.config import Config
from tests.reliability.simulation.found import Found
from tests.reliability.simulation.oracle import matches
from tests.reliability.simulation.run import Run
from tests.reliability.simulation.shrink import shrink

STEPS = 300
FIXED = 300
FRESH = 10


@pytest.mark.parametrize("first", range(1, FIXED, 50))
def test_the_fixed_seeds_find_nothing(first: int) -> None:
    for seed in range(first, first + 50):
        reason, counts = attempt(seed, STEPS)
        assert reason is None, f"replay: make simulate SEEDS={seed} STEPS={STEPS}: {reason}"
        assert counts["events"] > 0


def test_fresh_seeds_find_nothing() -> None:
    for _ in range(FRESH):
        seed = random.SystemRandom().getrandbits(48)
        reason, _ = attempt(seed, STEPS)
        assert reason is None, f"replay: make simulate SEEDS={seed} STEPS={STEPS}: {reason}"


def test_a_seed_means_the_same_run_every_time() -> None:
    first, again = attempt(10, STEPS)[1], attempt(10, STEPS)[1]
    assert first == again and first["crashes"] > 0


def test_a_step_that_is_left_out_changes_no_other_steps_dice() -> None:
    lines: list[list[str]] = []
    for without in (frozenset[int](), frozenset({5, 6, 7})):
        run = Run(11)
        told: list[str] = []
        run.trace = told.append
        run.go(40, without)
        lines.append([line for line in told if line[0].isdigit()])
    assert lines[1] == [line for line in lines[0] if line.split(":")[0] not in ("5", "6", "7")]


@pytest.mark.parametrize(
    ("filter", "topic", "expected"),
    [
        ("a", "a", True),
        ("a", "a/b", False),
        ("a/#", "a", True),
        ("a/+", "a", False),
        ("+/b", "a/b", True),
        ("#", "a/b/c", True),
        ("a/b/c", "a/b", False),
    ],
)
def test_the_oracle_matches_topics_as_the_specification_says(filter: str, topic: str, expected: bool) -> None:
    assert matches(filter, topic) is expected


def plain(seed: int) -> Config:
    """A world in which nothing may be lost for any reason but a lie."""
    return Config(seed, Limits(sys_interval=0), (5, 4, 5, 5), named=False)


def findings(runs: int, plant: "type[Plant] | None") -> Iterator[str]:
    """What is found in so many plain worlds with a lie planted in each."""
    for seed in range(runs):
        run = Run(seed, config=plain(seed))
        if plant is not None:
            plant.into(run)
        try:
            run.go(STEPS)
        except Exception as found:  # a broker whose disk lies may break in any way
            yield str(found)


class Plant:
    """A lie that can be planted in a run."""

    @staticmethod
    def into(run: Run) -> None:
        raise NotImplementedError


class LostUnits(Plant):
    """The disk says of every fifth unit that it is written, and has lost it."""

    @staticmethod
    def into(run: Run) -> None:
        run.world.disk.lies = set(range(5, 10_000, 5))


class EarlyAcknowledgements(Plant):
    """The store says that it is done before anything is written, and a crash loses what it had not written."""

    @staticmethod
    def into(run: Run) -> None:
        world = run.world
        written: list[Unit] = []

        def commit(unit: Unit) -> None:
            if len(written) > 3:
                world.disk.write(written.pop(0))
            written.append(unit)
            world.engine.committed(None)

        world.commit = commit  # type: ignore[method-assign]
        world.when_dead.append(written.clear)


class RightsForgotten(Plant):
    """The broker lets everybody receive what the oracle knows to be forbidden."""

    @staticmethod
    def into(run: Run) -> None:
        forbidden = MethodType(lambda self, client_id, action, topic: action != "receive" or topic != "b/1", run.config)
        object.__setattr__(run.config, "may", forbidden)


class ByteChanged(Plant):
    """Of some messages to the first client the topic is changed on the way."""

    @staticmethod
    def into(run: Run) -> None:
        client = run.client_of(run.oracle.accounts[0])
        take = client._take

        def taken(packet: Publish) -> None:
            if packet.topic == b"a/b":
                packet.topic = b"a/x"
            take(packet)

        client._take = taken  # type: ignore[method-assign]


class SwallowedDeliveries(Plant):
    """Every seventh message that the broker sends to the first client is swallowed, and acknowledged for it."""

    @staticmethod
    def into(run: Run) -> None:
        client = run.client_of(run.oracle.accounts[0])
        take = client._take
        seen = 0

        def taken(packet: Publish) -> None:
            nonlocal seen
            seen += 1
            if packet.qos == 1 and seen % 7 == 0:
                if client.link is not None:
                    client.link.send(encode(Ack(PUBACK, packet.packet_id), client.version))
                return
            take(packet)

        client._take = taken  # type: ignore[method-assign]


class DoubledDeliveries(Plant):
    """Messages of QoS 2 to the first client are shown to its application twice."""

    @staticmethod
    def into(run: Run) -> None:
        client = run.client_of(run.oracle.accounts[0])
        take = client._take

        def taken(packet: Publish) -> None:
            take(packet)
            if packet.qos == 2:
                client.received.pop(int(packet.packet_id), None)
                take(packet)

        client._take = taken  # type: ignore[method-assign]


def test_plain_worlds_find_nothing_without_a_lie() -> None:
    assert list(findings(15, None)) == []


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (LostUnits, ""),
        (EarlyAcknowledgements, ""),
        (RightsForgotten, "may not receive"),
        (ByteChanged, "nobody has sent"),
        (SwallowedDeliveries, "never got"),
        (DoubledDeliveries, "exactly once was promised"),
    ],
)
def test_the_oracle_finds_a_lie(plant: type[Plant], expected: str) -> None:
    found = next((reason for reason in findings(40, plant) if expected in reason), None)
    assert found is not None


def test_a_failure_is_shrunk_to_fewer_steps_that_still_fail() -> None:
    def lying(seed: int, steps: int, without: object = ()) -> tuple[str | None, object]:
        run = Run(seed, config=plain(seed))
        LostUnits.into(run)
        try:
            run.go(steps, without)  # type: ignore[arg-type]
        except Found as found:
            return str(found), run.counts()
        except struct.error as broken:  # of what is left when units are lost
            return str(broken), run.counts()
        return None, run.counts()

    seed = next(seed for seed in range(40) if lying(seed, 120)[0] is not None)
    length, without = shrink(seed, 120, lying)  # type: ignore[arg-type]
    assert length - len(without) < 60
    assert lying(seed, length, without)[0] is not None


def test_the_command_says_how_to_replay_and_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1-2", "--steps", "50"]) == 0
    told = capsys.readouterr().out
    assert "events a second" in told and "2 runs" in told
