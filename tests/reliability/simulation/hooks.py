"""The hooks of a simulated world: they refuse, withhold, and answer late. What they say is the configuration's."""

from collections import Counter
from collections.abc import Callable
from random import Random

from mombroker.core import Hooks
from mombroker.hooks.events import Event, MessageDropped
from mombroker.hooks.requests import ConnectRequest
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.queues import QueuePolicy, QueueSpec
from mombroker.model.reasons import NOT_AUTHORIZED

from .config import Config


class SimulatedHooks(Hooks):
    """``later`` collects what is answered later; ``dropped`` counts what observers are told, by (target, cause)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.authorizes = config.authorizes
        self.sees_publish = config.sees_publish
        self.sees_deliver = config.sees_deliver
        self.sees_events = True
        self.later: list[Callable[[], None]] = []
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.questions = 0
        self.refusals = 0
        self._dice = Random(config.seed)

    def _is_slow(self) -> bool:
        self.questions += 1
        return self.config.slow_hooks > 0 and self._dice.random() < self.config.slow_hooks

    def authenticate(self, request: ConnectRequest, answer: Callable[[Identity | Refusal], None]) -> None:
        verdict: Identity | Refusal
        if request.username == "stranger":
            self.refusals += 1
            verdict = Refusal(NOT_AUTHORIZED, "a stranger")
        else:
            verdict = Identity(client_id=request.client_id, username=request.username, address=request.address)
        if self._is_slow():
            self.later.append(lambda: answer(verdict))
        else:
            answer(verdict)

    def authorize(
        self, identity: Identity, action: str, resource: str, answer: Callable[[bool], None], default: bool = True
    ) -> bool | None:
        allowed = default and self.config.may(identity.client_id, action, resource)
        self.refusals += not allowed
        if self._is_slow():
            self.later.append(lambda: answer(allowed))
            return None
        return allowed

    def queue_policy(self, queue: QueueSpec, answer: Callable[[QueuePolicy], None]) -> QueuePolicy:
        return self.config.policy(queue.name)

    def on_publish(
        self, message: Message, identity: Identity, answer: Callable[[Message | Refusal], None]
    ) -> Message | Refusal | None:
        verdict: Message | Refusal = message
        if self.config.publish_refused(message.topic):
            self.refusals += 1
            verdict = Refusal(NOT_AUTHORIZED, "refused by a hook")
        if self._is_slow():
            self.later.append(lambda: answer(verdict))
            return None
        return verdict

    def on_deliver(self, message: Message, identity: Identity) -> Message | None:
        return None if self.config.withheld(identity.client_id, message.topic) else message

    def event(self, event: Event) -> None:
        if isinstance(event, MessageDropped):
            self.dropped[(event.target, event.cause)] += event.count
