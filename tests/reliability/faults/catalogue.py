"""Every fault that the checkers have to see."""

from tests.reliability.faults import of_promises, of_queues, of_routes, of_sessions, of_stores
from tests.reliability.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *of_promises.FAULTS,
    *of_sessions.FAULTS,
    *of_routes.FAULTS,
    *of_queues.FAULTS,
    *of_stores.FAULTS,
)


def find(name: str) -> Fault:
    """The fault of this name. Raises KeyError."""
    return {fault.name: fault for fault in FAULTS}[name]
