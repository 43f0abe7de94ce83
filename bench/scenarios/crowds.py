"""Crowds: of connections, of subscriptions, of retained messages."""

import time

import numpy as np

from bench.load.connections import Churn, Hold
from bench.load.filters import Collect, Subscribe
from bench.load.packets import Layout
from bench.load.publishing import Publish
from bench.load.receiving import Receive
from bench.load.reports import Report
from bench.results import Metric
from bench.scenarios.base import DEFAULT, PEERS, SMALL, Outcome, Scenario, Stage, delivery_rate

HOT = Layout(b"m/00/000", 0, 64, varying=6)
HOT_TOPICS = np.array([b"%02d/%03d" % (site, device) for device in range(1000) for site in range(100)], "S6")
TEN = (b"m/#", b"m/+/+", b"#", b"+/+/+", b"+/#", b"m/+/#", b"+/+/#", b"m/+/+/#", b"+/+/+/#")
"""Nine wildcard filters that match every hot topic; a tenth subscriber has the first of them again."""


def connection_rate(stage: Stage) -> Outcome:
    """Connect, be accepted, disconnect."""
    reports = stage.work(*(Churn(stage.port, stage.seconds, b"bench-churn-%d" % number) for number in range(2)))
    took = max(report.ended for report in reports) - min(report.began for report in reports)
    return stage.outcome({"rate": sum(report.count for report in reports) / took})


def idle(stage: Stage) -> Outcome:
    """Memory before and after ten thousand clients have connected."""
    stage.generator.board.clear()
    wanted = stage.size(10_000, 2_000)
    time.sleep(0.3)
    before = stage.broker.resident()
    held = stage.generator.hold(Hold(stage.port, wanted, seconds=15), stage.cap)
    time.sleep(0.7)
    grown = stage.broker.resident() - before
    stage.generator.let_go()
    if not held.count:
        return stage.outcome({}, "nobody could connect")
    marks = (f"{held.count:,} of {wanted:,} clients connected in time",) if held.late else ()
    return stage.outcome({"kb": grown / held.count / 1000, "clients": float(held.count)}, marks=marks)


def subscriptions(stage: Stage) -> Outcome:
    """Publish with ten matches among ten subscriptions, then among a million."""
    wanted = stage.size(1_000_000, 50_000)
    stage.cap = 40
    alone = delivery_rate(*_ten_matches(stage, 1))
    before = stage.broker.resident()
    held = stage.generator.hold(Subscribe(stage.port, wanted, clients=4, seconds=stage.size(12, 3)), stage.cap)
    time.sleep(0.3)
    grown = stage.broker.resident() - before
    try:
        among = delivery_rate(*_ten_matches(stage, 1))
    finally:
        stage.generator.let_go()
    marks = (f"{held.count:,} of {wanted:,} subscriptions made in time",) if held.count < wanted else ()
    values = {
        "subscribing": held.count / held.seconds,
        "bytes": grown / max(held.count, 1),
        "alone": alone / 10,
        "among": among / 10,
        "part": 100 * among / alone,
        "subscriptions": float(held.count),
    }
    return stage.outcome(values, marks=marks)


def _ten_matches(stage: Stage, first: int) -> list[Report]:
    run, board = stage.run(), stage.generator.board
    board.received, board.cells[1] = 0, -1
    receiver = Receive(stage.port, HOT, TEN, run, subscribers=10, seconds=stage.cap - 1)
    publisher = Publish(stage.port, HOT, run, stage.seconds, receivers=10, topics=HOT_TOPICS)
    return stage.work(receiver, publisher, first=first)


def retained(stage: Stage) -> Outcome:
    """Set 100,000 retained messages, then subscribe to all of them."""
    wanted = stage.size(100_000, 10_000)
    topics = np.array([b"%06d" % number for number in range(wanted)], "S6")
    run = stage.run()
    stage.cap = 30
    put = Layout(b"bench/kept/000000", 1, 64, varying=6, retain=True)
    order = Publish(stage.port, put, run, stage.size(10, 3), wanted, receivers=0, topics=topics)
    (filled,) = stage.work(order)
    got = Layout(b"bench/kept/000000", 0, 64, varying=6, retain=True)
    (collected,) = stage.work(Collect(stage.port, got, b"bench/kept/+", run, filled.count, seconds=stage.size(15, 5)))
    values = {"setting": filled.count / filled.seconds, "retained": float(filled.count)}
    if collected.count:
        values["rate"] = collected.count / max(collected.seconds, 1e-6)
    marks = (f"{filled.count:,} of {wanted:,} set in time",) if filled.count < wanted else ()
    return stage.outcome(values, marks=marks)


_ALL = (DEFAULT, *PEERS, *SMALL)

SCENARIOS = (
    Scenario(
        "subscriptions",
        "1 M subscriptions",
        "Four clients hold a million subscriptions, three of four with wildcards. Publishes (QoS 0, 64 B) go round "
        "100,000 topics, of which ten subscribers match each; the same with these ten subscriptions alone.",
        (
            Metric("among", "publishes per second among them", "/s"),
            Metric("alone", "publishes per second with 10 in all", "/s"),
            Metric("part", "that is", "%"),
            Metric("subscribing", "subscriptions made per second", "/s"),
            Metric("bytes", "memory of each", "B", more_is_better=False),
            Metric("subscriptions", "subscriptions", ""),
        ),
        (DEFAULT, *PEERS),
        subscriptions,
        fresh=True,
        repetitions=1,
        rough=14,
    ),
    Scenario(
        "retained",
        "100 k retained messages",
        "100,000 retained messages of 64 B on as many topics; then one client subscribes to all with a wildcard.",
        (Metric("rate", "delivered per second", "/s"), Metric("setting", "set per second", "/s")),
        (DEFAULT, *PEERS, "aedes"),
        retained,
        fresh=True,
        repetitions=1,
        rough=6,
    ),
    Scenario(
        "connections",
        "connection rate",
        "Connect, CONNACK, DISCONNECT, close: clean sessions, twice 64 at a time.",
        (Metric("rate", "connections per second", "/s"),),
        _ALL,
        connection_rate,
    ),
    Scenario(
        "idle",
        "10,000 idle connections",
        "Growth of the broker's resident memory when 10,000 clients without subscriptions have connected, for each.",
        (Metric("kb", "memory of each", "kB", more_is_better=False), Metric("clients", "clients", "")),
        _ALL,
        idle,
        fresh=True,
        repetitions=1,
        rough=5,
    ),
)
