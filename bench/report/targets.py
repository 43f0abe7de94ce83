"""The figures that mombroker is to reach, and whether it did."""

from dataclasses import dataclass

from bench.results import Run
from bench.statistics import ratio, summarise

FSYNC, MEMORY, NATIVE = "mombroker-fsync", "mombroker-memory", "mombroker-native"


@dataclass(frozen=True)
class Target:
    """A median of ours, divided by one of ``other`` (or as it is, without), is at least or at most ``bound``."""

    title: str
    scenario: str
    metric: str
    ours: str
    other: str
    bound: float
    at_least: bool = True
    unit: str = "x"

    @property
    def id(self) -> str:
        """What notes on it are found under."""
        return ":".join(part for part in (self.scenario, self.metric, self.ours, self.other) if part)

    def wanted(self) -> str:
        """The bound in words."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:{',.0f' if self.bound >= 1000 else 'g'}} {self.unit}"


@dataclass(frozen=True)
class Finding:
    """A target and what was measured. ``value`` is None where one of the two figures is missing."""

    target: Target
    value: float | None

    @property
    def reached(self) -> bool | None:
        """Whether it was reached; None if that cannot be said."""
        if self.value is None:
            return None
        return self.value >= self.target.bound if self.target.at_least else self.value <= self.target.bound


def _at_least(title: str, scenario: str, ours: str, others: dict[str, float], metric: str = "rate") -> list[Target]:
    return [Target(title, scenario, metric, ours, other, bound) for other, bound in others.items()]


def _at_most(title: str, scenario: str, metric: str, bound: float, unit: str, other: str = "") -> Target:
    return Target(title, scenario, metric, FSYNC, other, bound, at_least=False, unit=unit)


def _per_second(title: str, scenario: str, metric: str, bound: float, ours: str = FSYNC) -> Target:
    return Target(title, scenario, metric, ours, "", bound, unit="/s")


def _within_two(title: str, metric: str) -> Target:
    return Target(title, "queue-kinds", metric, FSYNC, "", 0.5)


_DURABLE = {"mosquitto": 2.0, "rabbitmq": 10.0, "nats-sync-always": 20.0}

TARGETS: tuple[Target, ...] = (
    *_at_least("QoS 0 one to one", "qos0-64", FSYNC, {"mosquitto": 6.0, "nats": 2.0}),
    *_at_least("QoS 1 one to one, memory", "qos1-64", MEMORY, {"mosquitto": 5.0}),
    *_at_least("QoS 1 one to one, fsync before ack", "stored-64", FSYNC, _DURABLE),
    *_at_least("QoS 1 to an offline session, fsync before ack", "offline", FSYNC, _DURABLE),
    *_at_least("QoS 2 one to one, memory", "qos2-64", MEMORY, {"mosquitto": 4.0}),
    *_at_least("fan-out to 100", "fanout-100", FSYNC, {"mosquitto": 30.0, "nats": 3.0}),
    *_at_least("closed loop, 100 clients, memory", "loop-100", MEMORY, {"mosquitto": 1.2}),
    *_at_least("closed loop, 100 clients, fsync", "loop-100", FSYNC, {"mosquitto": 0.7}),
    *_at_least("closed loop, 1,000 clients, memory", "loop-1000", MEMORY, {"mosquitto": 1.2}),
    *_at_least("closed loop, 1,000 clients, fsync", "loop-1000", FSYNC, {"mosquitto": 0.7}),
    _at_most("latency at light load, p50", "latency-light", "p50", 1.2, "x", "mosquitto"),
    _at_most("latency at light load, p99", "latency-light", "p99", 1.5, "x", "mosquitto"),
    _at_most("memory of an idle connection", "idle", "kb", 5.0, "kB"),
    _at_most("restart with 5 M queued: first delivery", "restart", "first", 1.0, "s"),
    _at_most("restart with 5 M queued: resident memory", "restart", "resident", 200.0, "MB"),
    Target(
        "1 M subscriptions: publish rate, of that with 10 in all", "subscriptions", "part", FSYNC, "", 50.0, unit="%"
    ),
    _at_most("1 M subscriptions: memory of each", "subscriptions", "bytes", 500.0, "B"),
    *_at_least("no hook implemented, QoS 0", "hooks", MEMORY, {"mombroker-hookless": 0.98}, "qos0"),
    *_at_least("no hook implemented, QoS 1", "hooks", MEMORY, {"mombroker-hookless": 0.98}, "qos1"),
    _at_most("request and response, one at a time: p50", "requests", "p50", 1.0, "x", "nats"),
    *_at_least("request and response, 200 in flight", "requests", FSYNC, {"nats": 2.0}),
    *_at_least("request and response, one at a time", "requests", FSYNC, {"rabbitmq": 10.0}, "serial"),
    _per_second("Python client: put into a queue, in batches", "queue-client", "rate", 100_000),
    _per_second("Python client: pull and acknowledge", "queue-client", "pull", 50_000),
    _within_two("1 M delayed messages, to plain: in", "delayed_in"),
    _within_two("1 M delayed messages, to plain: out", "delayed_out"),
    _within_two("1 M prioritised messages, to plain: in", "prioritised_in"),
    _within_two("1 M prioritised messages, to plain: out", "prioritised_out"),
    _per_second("gRPC: produce", "grpc", "rate", 100_000, NATIVE),
    _per_second("gRPC: consume and acknowledge", "grpc", "consume", 100_000, NATIVE),
    _per_second("HTTP: publish", "http", "core", 3_000, NATIVE),
    _at_most("queue of 10 M, memory to that of 10 k: filled", "queue-memory", "filled_more", 1.1, "x"),
    _at_most("queue of 10 M, memory to that of 10 k: restarted", "queue-memory", "restarted_more", 1.1, "x"),
)


def findings(run: Run) -> list[Finding]:
    """Every target of the scenarios that were run, against the medians."""
    known = {scenario.id for scenario in run.scenarios}
    return [Finding(target, _value(run, target)) for target in TARGETS if target.scenario in known]


def _value(run: Run, target: Target) -> float | None:
    ours = summarise(run.measurements, target.scenario, target.ours, target.metric)
    if ours is None or not target.other:
        return ours.median if ours else None
    theirs = summarise(run.measurements, target.scenario, target.other, target.metric)
    return ratio(ours.median, theirs.median) if theirs else None
