"""Streams: from one publisher to one subscriber, to nobody, to many, and from many to one."""

from bench.load.connection import forget_session
from bench.load.packets import Layout
from bench.load.publishing import Publish
from bench.scenarios.base import (
    DEFAULT,
    INTERPRETED,
    MEMORY,
    PEERS,
    RATE,
    SMALL,
    Outcome,
    Scenario,
    Stage,
    delivery_rate,
)

SIZES = ((64, "64 B"), (1024, "1 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB"))
_BOTH = (DEFAULT, MEMORY)
SUBSCRIBER = b"bench-stored"

BROKERS = {
    0: (DEFAULT, *PEERS, "limit-relay"),
    1: (*_BOTH, *PEERS, "nats-sync-always"),
    2: (*_BOTH, "mosquitto", "nats"),
}
MORE_BROKERS_AT_64 = {
    0: (INTERPRETED, *SMALL),
    1: ("mombroker-interval", INTERPRETED, *SMALL),
    2: (INTERPRETED, "rabbitmq", "nats-sync-always", *SMALL),
}


def one_to_one(qos: int, payload: int, title: str) -> Scenario:
    """A stream from one publisher to one subscriber."""

    def measure(stage: Stage) -> Outcome:
        receiver, publisher = stage.stream(Layout(b"bench/stream", qos, payload))
        return stage.outcome({"rate": delivery_rate(receiver, publisher)})

    description = {
        0: "One publisher, one subscriber, as fast as they go.",
        1: "One publisher with up to 1,000 messages unacknowledged (4 MiB), one subscriber that acknowledges.",
        2: "The same with the four steps of QoS 2 on both sides.",
    }
    name = title.lower().replace(" ", "").replace("ib", "").replace("64b", "64")
    brokers = BROKERS[qos] + (MORE_BROKERS_AT_64[qos] if payload == 64 else ())
    return Scenario(f"qos{qos}-{name}", f"QoS {qos}, one to one, {title}", description[qos], (RATE,), brokers, measure)


def stored(stage: Stage) -> Outcome:
    """From one publisher to one subscriber whose session outlives its connection: what is acknowledged is kept."""
    forget_session(stage.port, SUBSCRIBER)
    receive = {"client": SUBSCRIBER, "clean": False}
    receiver, publisher = stage.stream(Layout(b"bench/stored", 1, 64), receive)
    return stage.outcome({"rate": delivery_rate(receiver, publisher)})


def nobody(stage: Stage) -> Outcome:
    """QoS 1 that nobody has subscribed to."""
    layout = Layout(b"bench/nobody", 1, 64)
    (publisher,) = stage.work(Publish(stage.port, layout, stage.run(), stage.seconds, receivers=0))
    return stage.outcome({"rate": publisher.count / publisher.seconds})


def fan_out(subscribers: int) -> Scenario:
    """From one to many. The rate counts deliveries."""

    def measure(stage: Stage) -> Outcome:
        receiver, publisher = stage.stream(Layout(b"bench/out", 0, 64), {"subscribers": subscribers})
        return stage.outcome({"rate": delivery_rate(receiver, publisher)})

    more = (INTERPRETED, *SMALL) if subscribers == 100 else ()
    return Scenario(
        f"fanout-{subscribers}",
        f"fan-out 1 → {subscribers:,}",
        f"QoS 0, 64 B, one publisher, {subscribers:,} subscribers; deliveries are counted.",
        (RATE,),
        (DEFAULT, *PEERS, "limit-relay", *more),
        measure,
        rough=0.7 + subscribers / 1000,
    )


def fan_in(stage: Stage) -> Outcome:
    """From 100 publishers to one subscriber."""
    receive = {"publishers": 100, "filters": (b"bench/in",)}
    receiver, publisher = stage.stream(Layout(b"bench/in", 0, 64), receive, {"publishers": 100})
    return stage.outcome({"rate": delivery_rate(receiver, publisher)})


SCENARIOS = (
    *(one_to_one(qos, payload, title) for qos in (0, 1, 2) for payload, title in SIZES),
    Scenario(
        "stored-64",
        "QoS 1, one to one, 64 B, stored",
        "The same as with QoS 1, but the subscriber's session is to outlive its connection: with fsync, every message "
        "is on disk before it is acknowledged.",
        (RATE,),
        (*_BOTH, *PEERS, "nats-sync-always"),
        stored,
    ),
    Scenario(
        "nobody",
        "publish, no subscriber",
        "QoS 1, 64 B, one publisher, nobody subscribed.",
        (RATE,),
        (DEFAULT, *PEERS, *SMALL),
        nobody,
    ),
    fan_out(100),
    fan_out(1000),
    Scenario(
        "fanin-100",
        "fan-in 100 → 1",
        "QoS 0, 64 B, 100 publishers that take turns, one subscriber.",
        (RATE,),
        (DEFAULT, *PEERS, *SMALL),
        fan_in,
    ),
)
