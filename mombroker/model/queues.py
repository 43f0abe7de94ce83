"""What a queue is called, who owns it, and the limits it is held to."""

import enum
from dataclasses import dataclass
from typing import Final

SESSION_PREFIX: Final = "client:"
SHARED_PREFIX: Final = "$share/"


class Overflow(enum.Enum):
    """What a full queue does with one message too many."""

    REJECT = "reject"
    DROP_OLDEST = "drop-oldest"
    DROP_NEWEST = "drop-newest"


@dataclass(frozen=True)
class QueueSpec:
    """A queue as policy hooks see it.

    ``name`` is ``client:<id>`` for an MQTT session's own queue, ``$share/<group>/<filter>`` for a shared
    subscription. ``kind`` is ``"session"`` or ``"shared"``. ``durable`` queues survive a restart.
    """

    name: str
    kind: str
    durable: bool
    username: str | None = None


@dataclass(frozen=True)
class QueuePolicy:
    """The limits of one queue. 0 means no limit.

    ``max_messages`` counts messages waiting or in flight, ``max_bytes`` their topics, properties and payloads;
    ``message_ttl`` is the longest a message may wait, in seconds.
    """

    max_messages: int = 1_000_000
    max_bytes: int = 1 << 30
    message_ttl: float = 0.0
    overflow: Overflow = Overflow.REJECT
