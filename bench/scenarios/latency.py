"""Round trips: from a publisher through the broker to a subscriber in the same process."""

from bench.load.latency import Trips
from bench.load.packets import Layout
from bench.results import Metric
from bench.scenarios.base import DEFAULT, MEMORY, PEERS, SMALL, Outcome, Scenario, Stage, delivery_rate

LAYOUT = Layout(b"bench/trip", 1, 64)
LIGHT = 1000
LONGER = 2.5
"""Rare delays want more messages than a median: this many times the run's seconds."""

MOST_HALF = 400_000
"""One process that sends, receives and takes times does not keep up with more, in messages a second."""

METRICS = (
    Metric("p50", "p50", "ms", more_is_better=False),
    Metric("p99", "p99", "ms", more_is_better=False),
    Metric("p999", "p99.9", "ms", more_is_better=False),
    Metric("ack50", "p50 of the acknowledgement", "ms", more_is_better=False),
    Metric("kept", "messages per second", "/s"),
)


def _trips(stage: Stage, rate: float) -> Outcome:
    (report,) = stage.work(Trips(stage.port, LAYOUT, stage.run(), rate, stage.seconds * LONGER))
    slow = report.values.get("kept", 0.0) < 0.95 * rate
    marks = (f"{report.values['kept']:,.0f} of {rate:,.0f} messages a second kept",) if slow else ()
    return stage.outcome(report.values, marks=marks)


def light(stage: Stage) -> Outcome:
    """At a thousand messages a second."""
    return _trips(stage, LIGHT)


def half(stage: Stage) -> Outcome:
    """At half of the rate that the same broker reaches in a stream."""
    key = ("saturation", stage.broker.broker.id)
    if key not in stage.memory:
        receiver, publisher = stage.stream(LAYOUT, None, None)
        stage.memory[key] = delivery_rate(receiver, publisher)
        stage.reports.clear()
    return _trips(stage, min(stage.memory[key] / 2, MOST_HALF))


SCENARIOS = (
    Scenario(
        "latency-light",
        "latency, light load",
        f"Round trip of QoS 1 messages of 64 B at {LIGHT:,} a second, sender and receiver being one process.",
        METRICS,
        (DEFAULT, MEMORY, *PEERS, *SMALL),
        light,
        rough=2.5,
    ),
    Scenario(
        "latency-half",
        "latency, half load",
        f"The same at half of the broker's own saturation rate (at most {MOST_HALF:,} a second).",
        METRICS,
        (DEFAULT, MEMORY, *PEERS),
        half,
        rough=2.5,
    ),
)
