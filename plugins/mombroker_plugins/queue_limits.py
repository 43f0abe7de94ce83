"""How much may wait in a queue, by the queue's name and kind.

The rules are tried in their order, and the first one that fits decides. What it leaves open, and every queue that no
rule fits, gets the default: a million messages and 1 GiB; a client's own queue then drops its oldest message, any
other refuses the new one to its publisher.
"""

from fnmatch import translate
from re import Pattern, compile
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.hooks import PluginContext, hookimpl
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec

SESSION = "session"


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[plugins.queue_limits.rules]]``"""

    queue: Annotated[
        str,
        Meta(
            min_length=1,
            description="Names of queues, with `*`, `?` and `[...]` as in file names: `client:pump-*`, `$share/*`.",
        ),
    ] = "*"
    kind: Annotated[
        Literal["any", "session", "shared"], Meta(description="Queues of clients, of shared subscriptions, or any.")
    ] = "any"
    max_messages: Annotated[int, Meta(ge=0, description="Messages that may wait. 0: no limit.")] | None = None
    max_bytes: Annotated[int, Meta(ge=0, description="Bytes that may wait. 0: no limit.")] | None = None
    message_ttl: Annotated[float, Meta(ge=0.0, description="Seconds a message may wait. 0: no limit.")] | None = None
    overflow: (
        Annotated[
            Literal["reject", "drop-oldest", "drop-newest"],
            Meta(
                description="When it is full: refuse the new message to its publisher, drop the oldest one, or drop "
                "the new one and count it."
            ),
        ]
        | None
    ) = None


class QueueLimitsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.queue_limits]``"""

    max_messages: Annotated[int, Meta(ge=0, description="Messages that may wait in one queue. 0: no limit.")] = (
        1_000_000
    )
    max_bytes: Annotated[int, Meta(ge=0, description="Bytes that may wait in one queue. 0: no limit.")] = 1 << 30
    message_ttl: Annotated[float, Meta(ge=0.0, description="Seconds a message may wait. 0: no limit.")] = 0.0
    rules: Annotated[
        tuple[Rule, ...], Meta(description="Limits for some queues. The first rule that fits counts.")
    ] = ()


class QueueLimits:
    """The plugin ``queue_limits``."""

    Settings = QueueLimitsSettings

    def __init__(self, settings: QueueLimitsSettings, context: PluginContext) -> None:
        self._settings = settings
        self._rules: list[tuple[Pattern[str], Rule]] = [
            (compile(translate(rule.queue)), rule) for rule in settings.rules
        ]

    @hookimpl(trylast=True)
    def mombroker_queue_policy(self, queue: QueueSpec) -> QueuePolicy:
        """The policy of the first rule that fits."""
        for pattern, rule in self._rules:
            if rule.kind in ("any", queue.kind) and pattern.match(queue.name):
                return self._policy(queue, rule)
        return self._policy(queue, _NO_RULE)

    def _policy(self, queue: QueueSpec, rule: Rule) -> QueuePolicy:
        settings = self._settings
        usual = Overflow.DROP_OLDEST if queue.kind == SESSION else Overflow.REJECT
        return QueuePolicy(
            max_messages=settings.max_messages if rule.max_messages is None else rule.max_messages,
            max_bytes=settings.max_bytes if rule.max_bytes is None else rule.max_bytes,
            message_ttl=settings.message_ttl if rule.message_ttl is None else rule.message_ttl,
            overflow=usual if rule.overflow is None else Overflow(rule.overflow),
        )


_NO_RULE = Rule()
