"""Closed loops: the pattern of many devices that each report something and wait until it has arrived."""

from bench.load.connection import forget_session
from bench.load.loops import Loop
from bench.load.packets import Layout
from bench.scenarios.base import DEFAULT, MEMORY, PEERS, RATE, Outcome, Scenario, Stage
from bench.scenarios.queues import CLIENT, coming_back, leave_session

LAYOUT = Layout(b"bench/loop", 1, 64)


def closed_loop(clients: int) -> Scenario:
    """So many clients, each with one QoS 1 publish in flight."""

    def measure(stage: Stage) -> Outcome:
        leave_session(stage.port, LAYOUT.topic)
        run = stage.run()
        (looped,) = stage.work(Loop(stage.port, LAYOUT, run, clients, stage.seconds))
        if looped.trouble:
            return stage.outcome({})
        rate = looped.count / looped.seconds
        stage.fetch(coming_back(stage, LAYOUT, run, publishers=clients))
        forget_session(stage.port, CLIENT)
        return stage.outcome({"rate": rate})

    more = ("nats-sync-always", "aedes") if clients < 5000 else ()
    return Scenario(
        f"loop-{clients}",
        f"closed loop, {clients:,} clients",
        f"{clients:,} clients, each with one QoS 1 publish of 64 B in flight, into an offline persistent session, so "
        "that every acknowledgement stands for a message that is kept. Afterwards all are fetched and checked.",
        (RATE,),
        (DEFAULT, MEMORY, *PEERS, *more),
        measure,
        rough=1.5 + clients / 2500,
    )


SCENARIOS = (closed_loop(100), closed_loop(1000), closed_loop(5000))
