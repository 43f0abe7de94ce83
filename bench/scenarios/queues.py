"""Sessions whose client is away: filling their queue, draining it, and starting again with five million in it."""

import contextlib
import time
from dataclasses import replace

from bench.load.connection import connect, disconnect, forget_session, subscribe
from bench.load.packets import Layout
from bench.load.publishing import Publish
from bench.load.receiving import Receive
from bench.load.reports import Report
from bench.results import Metric
from bench.scenarios.base import DEFAULT, INTERPRETED, MEMORY, PEERS, RATE, Outcome, Scenario, Stage

CLIENT = b"bench-away"
LAYOUT = Layout(b"bench/away", 1, 64)


def leave_session(port: int, topic: bytes) -> None:
    """Make a session with one QoS 1 subscription and go away. What an earlier one held is forgotten."""
    with contextlib.suppress(OSError):
        forget_session(port, CLIENT)
    sock = connect(port, CLIENT, clean=False)
    subscribe(sock, [topic], 1)
    disconnect(sock)


def fill(stage: Stage, run: int, seconds: float, most: int = 1 << 62, counted: bool = True) -> Report:
    """Publish into the queue of the absent client."""
    order = Publish(stage.port, LAYOUT, run, seconds, most, receivers=0)
    return stage.work(order, counted=counted)[0]


def coming_back(stage: Stage, layout: Layout, run: int, publishers: int = 1, most: int = 0) -> Receive:
    """The absent client, back to take what is there."""
    return Receive(
        stage.port,
        layout,
        (layout.topic,),
        run,
        CLIENT,
        publishers=publishers,
        clean=False,
        resume=True,
        # aedes thinks for seconds before it sends the first of a hundred thousand messages.
        stall=6.0,
        seconds=stage.cap - 1,
        most=most,
    )


def offline(stage: Stage) -> Outcome:
    """Fill for a while; then everything is fetched and checked, outside the measured time."""
    leave_session(stage.port, LAYOUT.topic)
    run = stage.run()
    filled = fill(stage, run, stage.seconds)
    if stage.broker.broker.id != "limit-append":
        stage.fetch(coming_back(stage, LAYOUT, run))
        forget_session(stage.port, CLIENT)
    return stage.outcome({"rate": filled.count / filled.seconds})


def backlog(stage: Stage) -> Outcome:
    """Drain a backlog of a million, or as many as can be brought in within the time cap."""
    leave_session(stage.port, LAYOUT.topic)
    run, wanted = stage.run(), stage.size(1_000_000, 100_000)
    filled = fill(stage, run, stage.size(8, 2), wanted, counted=False)
    drained = stage.fetch(coming_back(stage, LAYOUT, run), counted=True)
    forget_session(stage.port, CLIENT)
    values = {"rate": drained.count / max(drained.seconds, 1e-6), "backlog": float(filled.count)}
    return stage.outcome(values, marks=_short(filled.count, wanted))


def _short(count: int, wanted: int) -> tuple[str, ...]:
    return () if count >= wanted else (f"{count:,} instead of {wanted:,}: more did not fit into the time cap",)


def restart(stage: Stage) -> Outcome:
    """Fill, stop, start; time from the process's start to the first delivery, and memory a little later."""
    leave_session(stage.port, LAYOUT.topic)
    run, wanted = stage.run(), stage.size(5_000_000, 200_000)
    stage.cap = stage.size(60, 20)
    patience = stage.size(35, 4) if stage.broker.broker.id.startswith("mombroker") else stage.size(12, 2)
    filled = fill(stage, run, patience, wanted, counted=False)
    stage.broker.end(60)
    began = time.monotonic()
    stage.broker.start(wait=False)
    # All of the queue would take longer than everything else: its beginning is checked.
    beginning = min(filled.count, 100_000)
    received = stage.fetch(replace(coming_back(stage, LAYOUT, run, most=beginning), patience=45))
    values = {
        "resident": stage.broker.resident() / 1e6,
        "anonymous": stage.broker.anonymous() / 1e6,
        "queued": float(filled.count),
    }
    if "first" in received.values:
        values["first"] = received.values["first"] - began
    return stage.outcome(values, marks=_short(filled.count, wanted))


_DURABLE = (DEFAULT, "mosquitto-persistent", "rabbitmq", "nats")

SCENARIOS = (
    Scenario(
        "offline",
        "into an offline persistent session",
        "QoS 1, 64 B, one publisher with up to 1,000 messages unacknowledged; the subscriber is away. Afterwards it "
        "comes back and every message is checked.",
        (RATE,),
        (
            DEFAULT,
            "mombroker-interval",
            MEMORY,
            INTERPRETED,
            "mosquitto",
            "mosquitto-persistent",
            "rabbitmq",
            "nats",
            "nats-sync-always",
            "aedes",
            "amqtt",
            "limit-append",
        ),
        offline,
        rough=2.5,
    ),
    Scenario(
        "drain",
        "drain of a backlog of 1 M",
        "QoS 1, 64 B: a subscriber comes back to a million messages and acknowledges them.",
        (RATE, Metric("backlog", "backlog", "messages")),
        (DEFAULT, MEMORY, *PEERS),
        backlog,
        repetitions=1,
        rough=14,
    ),
    Scenario(
        "restart",
        "restart with 5 M queued",
        "A session holds five million QoS 1 messages of 64 B; the broker is stopped and started. Time from the start "
        "of its process to the first delivery, and its memory when 100,000 have been delivered.",
        (
            Metric("first", "first delivery", "s", more_is_better=False),
            Metric("resident", "resident memory", "MB", more_is_better=False),
            Metric("anonymous", "of it not mapped from files", "MB", more_is_better=False),
            Metric("queued", "queued", "messages"),
        ),
        _DURABLE,
        restart,
        fresh=True,
        repetitions=1,
        rough=30,
    ),
)
