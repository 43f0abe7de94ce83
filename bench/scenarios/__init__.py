"""What is measured. Each module holds scenarios of one kind; :data:`EVERY` has all of them in the order of reports."""

from bench.scenarios import crowds, latency, loops, named, plugins, queues, services, streams
from bench.scenarios.base import Outcome, Scenario, Stage

__all__ = ["EVERY", "Outcome", "Scenario", "Stage"]

EVERY: tuple[Scenario, ...] = (
    *streams.SCENARIOS,
    *queues.SCENARIOS,
    *loops.SCENARIOS,
    *latency.SCENARIOS,
    *crowds.SCENARIOS,
    *plugins.SCENARIOS,
    *services.SCENARIOS,
    *named.SCENARIOS,
)
