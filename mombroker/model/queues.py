"""What a queue is called, who owns it, and the limits it is held to."""

import enum
from dataclasses import dataclass
from typing import Final

SESSION_PREFIX: Final = "client:"
SHARED_PREFIX: Final = "$share/"
QUEUE_PREFIX: Final = "$queue/"
SERVICE_PREFIX: Final = "$service/"
SERVICE_QUEUE_PREFIX: Final = "svc:"


class Overflow(enum.Enum):
    """What a full queue does with one message too many."""

    REJECT = "reject"
    DROP_OLDEST = "drop-oldest"
    DROP_NEWEST = "drop-newest"
    DEAD_LETTER = "dead-letter"
    """The oldest message makes room and becomes a dead letter. For named queues only."""


@dataclass(frozen=True)
class QueueSpec:
    """A queue as policy hooks see it.

    ``name`` is ``client:<id>`` for an MQTT session's own queue, ``$share/<group>/<filter>`` for a shared subscription,
    its own name for a named queue, and ``svc:<name>`` for the queue of a service. ``kind`` is ``"session"``,
    ``"shared"``, ``"named"`` or ``"service"``; ``username`` is the owner. ``durable`` queues survive a restart.
    """

    name: str
    kind: str
    durable: bool
    username: str | None = None


@dataclass(frozen=True)
class QueuePolicy:
    """The limits of one queue. 0 means no limit.

    ``max_messages`` counts messages waiting or in flight, ``max_bytes`` their topics, properties and payloads;
    ``message_ttl`` is the longest a message may wait, in seconds. The rest is for named queues only:

    ``expires``: seconds without use after which the queue is deleted. ``lease``: seconds that a consumer has a message
    for, and ``max_leased`` how many consumers may have at a time. ``max_deliveries``: after so many a message is a
    dead letter, and goes to the queue ``dead_letter`` (empty: it is dropped). ``retry_delay``: seconds that a message
    waits after a nack. ``dedup_window``: seconds in which an id is not taken a second time. ``single_active``: only
    one consumer at a time gets messages.
    """

    max_messages: int = 1_000_000
    max_bytes: int = 1 << 30
    message_ttl: float = 0.0
    overflow: Overflow = Overflow.REJECT
    expires: float = 0.0
    lease: float = 30.0
    max_leased: int = 10_000
    max_deliveries: int = 0
    retry_delay: float = 0.0
    dead_letter: str = ""
    dedup_window: float = 0.0
    single_active: bool = False
