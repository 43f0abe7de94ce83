"""Named queues: over the Python client, of three kinds, over gRPC and HTTP, and the memory that a long one costs."""

import time

from bench.load.grpc_streams import Consume, Produce
from bench.load.http_posts import Post
from bench.load.packets import Layout
from bench.load.publishing import Publish
from bench.load.queue_client import DELAYED, PLAIN, PRIORITISED, SPREAD, Make, Put, Take
from bench.load.receiving import Receive
from bench.load.reports import Report
from bench.results import Metric
from bench.scenarios.base import DEFAULT, RATE, Outcome, Scenario, Stage

PAYLOAD = 64
QUEUE = "bench"
NATIVE = "mombroker-native"
LAYOUT = Layout(b"$queue/bench", 1, PAYLOAD)
LEFT_TO_ITSELF = 1.5
"""Seconds after which memory is measured: what was freed may have been given back by then."""


def rate(report: Report) -> float:
    """Done a second."""
    return report.count / max(report.seconds, 1e-6)


def client(stage: Stage) -> Outcome:
    """In batches and out again; and message by message."""
    run = stage.run()
    (filled,) = stage.work(Put(stage.port, QUEUE, run, PAYLOAD, stage.seconds))
    emptied = stage.fetch(Take(stage.port, QUEUE, run, PAYLOAD, stage.cap - 1), counted=True)
    run = stage.run()
    (streamed,) = stage.work(Put(stage.port, QUEUE, run, PAYLOAD, stage.seconds, batch=0))
    stage.fetch(Take(stage.port, QUEUE, run, PAYLOAD, stage.cap - 1))
    values = {"rate": rate(filled), "pull": rate(emptied), "single": rate(streamed)}
    return stage.outcome(values, with_clients=True)


def kinds(stage: Stage) -> Outcome:
    """A million messages into a plain queue and out again, then delayed, then with priorities."""
    wanted = stage.size(1_000_000, 30_000)
    values: dict[str, float] = {}
    marks: list[str] = []
    stage.cap = 90
    took = 0.0
    for kind in (PLAIN, DELAYED, PRIORITISED):
        run = stage.run()
        # Nothing may fall due while the queue is still being filled; a delayed one takes up to twice as long.
        due = time.time() + 2 * took + 2 if kind == DELAYED else 0.0
        order = Put(stage.port, QUEUE, run, PAYLOAD, stage.size(25, 5), wanted, kind, due=due)
        (filled,) = stage.work(order, counted=kind == PLAIN)
        took = filled.seconds
        all_due = due + SPREAD if due else 0.0
        emptied = stage.fetch(Take(stage.port, QUEUE, run, PAYLOAD, 60, kind, due=all_due))
        values |= {f"{kind}_in": rate(filled), f"{kind}_out": rate(emptied)}
        if filled.count < wanted:
            marks.append(f"{kind}: {filled.count:,} of {wanted:,} put in in time")
    for kind in (DELAYED, PRIORITISED):
        for way in ("in", "out"):
            values[f"{kind}_{way}"] /= values[f"plain_{way}"]
    return stage.outcome(values, marks=tuple(marks), with_clients=True)


def grpc_streams(stage: Stage) -> Outcome:
    """Produce for a while, and consume it."""
    port, run = stage.broker.ports["grpc"], stage.run()
    stage.work(Make(stage.port, QUEUE), counted=False)
    (filled,) = stage.work(Produce(port, QUEUE, run, PAYLOAD, stage.seconds))
    emptied = stage.fetch(Consume(port, QUEUE, run, PAYLOAD, stage.cap - 1), counted=True)
    return stage.outcome({"rate": rate(filled), "consume": rate(emptied)}, with_clients=True)


def http(stage: Stage) -> Outcome:
    """Post for a while; then everything is fetched and checked, outside the measured time."""
    run = stage.run()
    stage.work(Make(stage.port, QUEUE), counted=False)
    order = Post(stage.broker.ports["http"], QUEUE, run, PAYLOAD, stage.seconds)
    began = stage.broker.cpu_seconds()
    (posted,) = stage.work(order)
    used = stage.broker.cpu_seconds() - began
    stage.fetch(Take(stage.port, QUEUE, run, PAYLOAD, stage.cap - 1, publishers=order.connections))
    return stage.outcome({"rate": rate(posted), "core": posted.count / max(used, 1e-6)})


def memory(stage: Stage) -> Outcome:
    """Memory with ten thousand messages in a queue, and with ten million; and the same after a restart."""
    stage.cap = 150
    few = _held(stage, 10_000, "few")
    many = _held(stage, stage.size(10_000_000, 100_000), "many")
    values = few | many
    for when in ("filled", "restarted"):
        values[f"{when}_more"] = values[f"many_{when}"] / values[f"few_{when}"]
    marks = () if values["many"] >= stage.size(10_000_000, 100_000) else (f"{values['many']:,.0f} fit into the time",)
    return stage.outcome(values, marks=marks)


def _held(stage: Stage, count: int, name: str) -> dict[str, float]:
    """Memory of a broker with so many messages in a queue, in MB: when they are there, and after a restart, when the
    first of them have been delivered."""
    # Traffic leaves buffers behind, whatever becomes of its messages: both brokers are to have had the same.
    for messages in (stage.size(500_000, 50_000), count):
        run = stage.run()
        stage.work(Make(stage.port, QUEUE), counted=False)
        (filled,) = stage.work(Publish(stage.port, LAYOUT, run, 100, messages, receivers=0), counted=False)
    time.sleep(LEFT_TO_ITSELF)
    values = {name: float(filled.count), f"{name}_filled": stage.broker.anonymous() / 1e6}
    stage.broker.end(60)
    stage.broker.start()
    most = min(filled.count, 10_000)
    stage.fetch(Receive(stage.port, LAYOUT, (LAYOUT.topic,), run, seconds=30, most=most))
    time.sleep(LEFT_TO_ITSELF)
    return values | {
        f"{name}_restarted": stage.broker.anonymous() / 1e6,
        f"{name}_resident": stage.broker.resident() / 1e6,
    }


SCENARIOS = (
    Scenario(
        "queue-client",
        "a named queue over the Python client",
        "One client, 64 B. In: 1,000 messages a call, four calls under way, on disk before each is answered; or "
        "message by message as publishes that are not waited for singly. Out: pull 1,000, and acknowledge them "
        "while the next 1,000 are pulled.",
        (
            Metric("rate", "put in per second, in batches", "/s"),
            Metric("single", "put in per second, message by message", "/s"),
            Metric("pull", "pulled and acknowledged per second", "/s"),
        ),
        (DEFAULT,),
        client,
        rough=12,
    ),
    Scenario(
        "queue-kinds",
        "1 M messages plain, delayed, prioritised",
        "A million messages of 64 B over one Python client, in batches of 1,000, into a queue and out of it again. "
        f"Delayed: none is due before the last is in; then they fall due within {SPREAD:.0f} s, in another order, and "
        "are taken out when all are due. Prioritised: priorities 0 to 9 in turn.",
        (
            Metric("plain_in", "plain: put in per second", "/s"),
            Metric("plain_out", "plain: taken out per second", "/s"),
            Metric("delayed_in", "delayed, to plain: in", "x"),
            Metric("delayed_out", "delayed, to plain: out", "x"),
            Metric("prioritised_in", "prioritised, to plain: in", "x"),
            Metric("prioritised_out", "prioritised, to plain: out", "x"),
        ),
        (DEFAULT,),
        kinds,
        fresh=True,
        repetitions=1,
        rough=80,
    ),
    Scenario(
        "grpc",
        "gRPC streams",
        "Produce: 1,000 messages of 64 B a batch, up to 32 batches that are not answered yet, on disk before "
        "the answer. Consume: a credit of 10,000, each portion acknowledged in one step.",
        (RATE, Metric("consume", "consumed and acknowledged per second", "/s")),
        (NATIVE,),
        grpc_streams,
        rough=6,
    ),
    Scenario(
        "http",
        "publishing over HTTP",
        "Eight connections that are kept open, each with one POST of 64 B to a queue under way, on disk before the "
        "answer. Afterwards all are pulled and checked.",
        (
            Metric("rate", "requests per second", "/s"),
            Metric("core", "requests per second of the broker's processor time", "/s"),
        ),
        (NATIVE,),
        http,
        rough=3,
    ),
    Scenario(
        "queue-memory",
        "memory of a queue of 10 M",
        "Memory of the broker that is not mapped from files with 10,000 messages of 64 B in a queue and with ten "
        "million: when they are there, half a million others having come and gone before, and after a restart, when "
        "the first 10,000 have been delivered.",
        (
            Metric("restarted_more", "10 M to 10 k, after a restart", "x", more_is_better=False),
            Metric("filled_more", "10 M to 10 k, after filling", "x", more_is_better=False),
            Metric("few_filled", "10 k, filled", "MB", more_is_better=False),
            Metric("many_filled", "10 M, filled", "MB", more_is_better=False),
            Metric("few_restarted", "10 k, restarted", "MB", more_is_better=False),
            Metric("many_restarted", "10 M, restarted", "MB", more_is_better=False),
            Metric("many_resident", "with mapped files", "MB", more_is_better=False),
        ),
        (DEFAULT,),
        memory,
        fresh=True,
        repetitions=1,
        rough=100,
    ),
)
