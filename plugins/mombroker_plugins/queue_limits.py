"""How much may wait in a queue, and how named queues treat their messages, by a queue's name and kind.

The rules are tried in their order, and the first one that fits decides. What it leaves open, and every queue that no
rule fits, gets the default: a million messages and 1 GiB; a client's own queue then drops its oldest message, any
other refuses the new one to its publisher. What the maker of a named queue asks for comes before all of this.
"""

import dataclasses
from fnmatch import translate
from re import Pattern, compile
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from mombroker.hooks import PluginContext, hookimpl
from mombroker.model.queues import SERVICE_QUEUE_PREFIX, Overflow, QueuePolicy, QueueSpec
from mombroker.operations import Problem
from mombroker.operations.names import check_name

SESSION: Final = "session"
NAMED: Final = "named"
SERVICE: Final = "service"
DEAD_LETTER: Final = "dead-letter"

FOR_ALL: Final = ("max_messages", "max_bytes", "message_ttl", "overflow")
FOR_NAMED: Final = (
    "expires",
    "lease",
    "max_leased",
    "max_deliveries",
    "retry_delay",
    "dead_letter",
    "dedup_window",
    "single_active",
)
TO_THE_DEAD: Final = ("dead_letter", "max_deliveries")
"""What a queue of dead letters does not have itself, unless a rule of its own says so."""

LONGEST: Final = 3_155_760_000.0
"""Seconds in a century."""
Seconds = Annotated[float, Meta(ge=0.0, le=LONGEST)]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[plugins.queue_limits.rules]]``"""

    queue: Annotated[
        str,
        Meta(
            min_length=1,
            description="Names of queues, with `*`, `?` and `[...]` as in file names: `client:pump-*`, `$share/*`, "
            "`jobs.*`, `svc:thumbs`.",
        ),
    ] = "*"
    kind: Annotated[
        Literal["any", "session", "shared", "named", "service"],
        Meta(description="Queues of clients, of shared subscriptions, named ones, those of services, or any."),
    ] = "any"
    max_messages: Annotated[int, Meta(ge=0, description="Messages that may wait. 0: no limit.")] | None = None
    max_bytes: Annotated[int, Meta(ge=0, description="Bytes that may wait. 0: no limit.")] | None = None
    message_ttl: Annotated[Seconds, Meta(description="Seconds a message may wait. 0: no limit.")] | None = None
    overflow: (
        Annotated[
            Literal["reject", "drop-oldest", "drop-newest", "dead-letter"],
            Meta(
                description="When it is full: refuse the new message to its publisher, drop the oldest one, drop the "
                "new one and count it, or make a dead letter of the oldest one (named queues and services only)."
            ),
        ]
        | None
    ) = None
    expires: Annotated[Seconds, Meta(description="Seconds without use after which it is deleted. 0: never.")] | None = (
        None
    )
    lease: (
        Annotated[float, Meta(ge=0.01, le=86_400.0, description="Seconds that a consumer has a message for.")] | None
    ) = None
    max_leased: (
        Annotated[int, Meta(ge=1, le=1_000_000, description="Messages that consumers may have at a time.")] | None
    ) = None
    max_deliveries: (
        Annotated[
            int, Meta(ge=0, le=1_000_000, description="Deliveries after which a message is a dead letter. 0: no limit.")
        ]
        | None
    ) = None
    retry_delay: Annotated[Seconds, Meta(description="Seconds that a message waits after a nack.")] | None = None
    dead_letter: Annotated[str, Meta(description="The named queue that dead letters go to. Empty: none.")] | None = None
    dedup_window: (
        Annotated[Seconds, Meta(description="Seconds in which an id is not taken a second time. 0: it is.")] | None
    ) = None
    single_active: Annotated[bool, Meta(description="Only one consumer at a time gets messages.")] | None = None

    def __post_init__(self) -> None:
        # msgspec adds the place of a ValueError.
        if self.dead_letter:
            _check_dead_letter(self.dead_letter)
        if self.kind not in ("session", "shared"):
            return
        for key in FOR_NAMED:
            if getattr(self, key) is not None:
                raise ValueError(f"{key} is for named queues; leave it out, or write kind = {NAMED!r}")
        if self.overflow == DEAD_LETTER:
            raise ValueError(
                f"only named queues and services have dead letters; write another overflow than {DEAD_LETTER!r}"
            )


class QueueLimitsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.queue_limits]``"""

    max_messages: Annotated[int, Meta(ge=0, description="Messages that may wait in one queue. 0: no limit.")] = (
        1_000_000
    )
    max_bytes: Annotated[int, Meta(ge=0, description="Bytes that may wait in one queue. 0: no limit.")] = 1 << 30
    message_ttl: Annotated[Seconds, Meta(description="Seconds a message may wait. 0: no limit.")] = 0.0
    rules: Annotated[
        tuple[Rule, ...], Meta(description="Limits for some queues. The first rule that fits counts.")
    ] = ()


class QueueLimits:
    """The plugin ``queue_limits``."""

    Settings = QueueLimitsSettings

    def __init__(self, settings: QueueLimitsSettings, context: PluginContext) -> None:
        self._usual = QueuePolicy(settings.max_messages, settings.max_bytes, settings.message_ttl)
        self._rules: list[tuple[Pattern[str], Rule]] = [
            (compile(translate(rule.queue)), rule) for rule in settings.rules
        ]

    @hookimpl(trylast=True)
    def mombroker_queue_policy(self, queue: QueueSpec) -> QueuePolicy:
        """The policy of the first rule that fits."""
        usual = self._usual
        if queue.kind == SESSION:
            usual = dataclasses.replace(usual, overflow=Overflow.DROP_OLDEST)
        for pattern, rule in self._rules:
            if rule.kind in ("any", queue.kind) and pattern.match(queue.name):
                return dataclasses.replace(usual, **_parts(queue, rule))
        return usual


def _parts(queue: QueueSpec, rule: Rule) -> dict[str, Any]:
    """What a rule says about a queue that fits it: a rule for any kind may say more than some kinds know."""
    named = queue.kind in (NAMED, SERVICE)
    parts = {key: getattr(rule, key) for key in (FOR_ALL + FOR_NAMED if named else FOR_ALL)}
    if queue.kind == SERVICE:
        del parts["dead_letter"]  # a request that comes to nothing is told to its caller
    if queue.name == rule.dead_letter:
        # It cannot be its own, and what gave a message up to it must not make it give up the message in turn.
        parts = {key: value for key, value in parts.items() if key not in TO_THE_DEAD}
        named = False
    if parts["overflow"] == DEAD_LETTER and not named:
        del parts["overflow"]
    given = {key: value for key, value in parts.items() if value is not None}
    if "overflow" in given:
        given["overflow"] = Overflow(given["overflow"])
    return given


def _check_dead_letter(name: str) -> None:
    """Raise ValueError if no named queue can be called so."""
    try:
        check_name(name)
    except Problem as problem:
        raise ValueError(f"dead_letter: {problem.detail}") from None
    if name.startswith(SERVICE_QUEUE_PREFIX):
        raise ValueError(f"dead_letter: {name!r} is the queue of a service; name another one")
