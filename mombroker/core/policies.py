"""Policies of queues that a hook takes its time for: the default counts until it has answered."""

from typing import TYPE_CHECKING

from mombroker.core.queue import Queue
from mombroker.model.queues import QueuePolicy

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


class PolicyAsked:
    """The question for a queue's policy that a hook answers later."""

    def __init__(self, engine: "Engine") -> None:
        self.engine: Engine = engine
        self.queue: Queue | None = None

    def answer(self, policy: QueuePolicy) -> None:
        """Hold the queue to this policy from now on."""
        if self.queue is not None:
            self.queue.policy = policy
            self.engine.router.forget()
