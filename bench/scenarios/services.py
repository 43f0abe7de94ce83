"""Request and response between two Python programs, over three brokers and with the client of each."""

from bench.load.asking import Ask, Serve
from bench.results import Metric
from bench.scenarios.base import DEFAULT, Outcome, Scenario, Stage

PAYLOAD = 64
IN_FLIGHT = 200

CLIENTS = {"nats": "nats", "rabbitmq": "pika"}
"""The client and the protocol for each broker that is not ours."""

PROTOCOLS = {"nats": "nats", "pika": "amqp"}


def requests(stage: Stage) -> Outcome:
    """One after the other, and then many at a time where the client can do that."""
    client = CLIENTS.get(stage.broker.broker.id, "mombroker")
    port = stage.broker.ports[PROTOCOLS[client]] if client in PROTOCOLS else stage.port
    run = stage.run()
    in_flight = 0 if client == "pika" else IN_FLIGHT
    _, asked = stage.work(
        Serve(client, port, run, PAYLOAD, stage.cap - 1),
        Ask(client, port, run, PAYLOAD, stage.seconds, in_flight),
    )
    return stage.outcome(asked.values, with_clients=True)


SCENARIOS = (
    Scenario(
        "requests",
        "request and response",
        f"One program asks and another one answers, 64 B each way, each a process with the Python client of its broker "
        f"on uvloop: mombroker's own; nats-py, with the requests of NATS itself; pika's blocking connection, with "
        f"RabbitMQ's direct reply-to. First one request after the other, then {IN_FLIGHT} in flight, which a blocking "
        "connection cannot do. Each request is checked to be served once, and each reply to be the one to its request.",
        (
            Metric("p50", "p50, one at a time", "ms", more_is_better=False),
            Metric("p99", "p99", "ms", more_is_better=False),
            Metric("serial", "requests per second, one at a time", "/s"),
            Metric("rate", f"requests per second, {IN_FLIGHT} in flight", "/s"),
        ),
        (DEFAULT, "rabbitmq", "nats"),
        requests,
        rough=3,
    ),
)
