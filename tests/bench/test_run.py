"""The order of a run, and what becomes of brokers that fail."""

import contextlib

import pytest

import bench.run
from bench.brokers.base import BrokerFailed
from bench.load.generator import Declined, WorkFailed
from bench.results import Metric
from bench.run import Options, run
from bench.scenarios import Outcome, Scenario


class FakeRunning:
    def __init__(self, broker):
        self.broker, self.dead = broker, False
        self.log = broker.log

    def alive(self):
        return not self.dead

    def said(self):
        return "last words"

    def pause(self):
        self.log.append(f"pause {self.broker.id}")

    def resume(self):
        self.log.append(f"resume {self.broker.id}")

    def stop(self):
        self.log.append(f"stop {self.broker.id}")


class FakeBroker:
    def __init__(self, id, log, keep_running=False, starts=True):
        self.id, self.log, self.keep_running, self.starts = id, log, keep_running, starts

    def start(self):
        if not self.starts:
            raise BrokerFailed("no port")
        self.log.append(f"start {self.id}")
        return FakeRunning(self)


class Silent:
    def begin(self, scenario, broker, repetition):
        pass

    def done(self, measurement):
        pass


@pytest.fixture(autouse=True)
def no_generator(monkeypatch):
    monkeypatch.setattr(bench.run, "Generator", lambda: contextlib.nullcontext())


def scenario(measure, brokers=("a", "b"), **more):
    return Scenario("s", "S", "", (Metric("rate", "", ""),), brokers, measure, **more)


def test_brokers_take_turns():
    log, order = [], []

    def measure(stage):
        order.append(stage.broker.broker.id)
        return Outcome({"rate": 1.0})

    found = run([scenario(measure)], [FakeBroker("a", log), FakeBroker("b", log)], Options(repetitions=3), Silent())
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [item.repetition for item in found] == [1, 1, 2, 2, 3, 3]
    assert log.count("start a") == 1 and log.count("pause a") == 3 and log[-1].startswith("stop")


def test_a_fresh_broker_is_started_each_time():
    log = []
    run(
        [scenario(lambda stage: Outcome(), ("a",), fresh=True)],
        [FakeBroker("a", log)],
        Options(repetitions=2),
        Silent(),
    )
    assert log.count("start a") == 2 == log.count("stop a")


def test_one_that_is_slow_to_start_is_kept():
    log = []
    both = [scenario(lambda stage: Outcome(), ("a",)), scenario(lambda stage: Outcome(), ("a",))]
    run(both, [FakeBroker("a", log, keep_running=True)], Options(repetitions=1), Silent())
    assert log.count("start a") == 1 == log.count("stop a")


@pytest.mark.parametrize(("error", "stopped"), [(WorkFailed("no answer within 5 s"), 1), (Declined("QoS 2"), 0)])
def test_what_fails_is_a_fault_and_not_tried_again(error, stopped):
    log = []

    def measure(stage):
        if stage.broker.broker.id == "a":
            raise error
        assert log.count("stop a") == stopped
        return Outcome({"rate": 1.0})

    found = run([scenario(measure)], [FakeBroker("a", log), FakeBroker("b", log)], Options(repetitions=2), Silent())
    assert [item.broker for item in found] == ["a", "b", "b"]
    assert str(error) in found[0].faults[0] and found[1].valid


def test_a_broker_that_dies_or_never_starts_is_reported():
    log = []

    def measure(stage):
        stage.broker.dead = True
        return Outcome({"rate": 1.0})

    brokers = [FakeBroker("a", log), FakeBroker("b", log, starts=False)]
    found = run([scenario(measure)], brokers, Options(repetitions=2), Silent())
    assert [item.faults[0].split(":")[0] for item in found] == ["ENDED", "DID NOT START"]
    assert not any(item.valid for item in found)


def test_an_interruption_stops_the_brokers():
    log = []

    def measure(stage):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([scenario(measure, ("a",))], [FakeBroker("a", log)], Options(), Silent())
    assert log == ["start a", "resume a", "stop a"]
