"""What the broker tells observers, through the one hook ``mombroker_event``."""

from dataclasses import dataclass

from mombroker.model.identity import Identity


@dataclass(frozen=True)
class Event:
    """Something that happened, ``at`` seconds since the Unix epoch."""

    at: float


@dataclass(frozen=True)
class ClientConnected(Event):
    """A client was authenticated and its CONNACK is on its way. ``version`` is the protocol level: 3, 4 or 5."""

    identity: Identity
    version: int
    session_present: bool


@dataclass(frozen=True)
class ClientRefused(Event):
    """A CONNECT was turned down with this MQTT 5 reason code."""

    client_id: str
    username: str | None
    address: str
    reason: int


@dataclass(frozen=True)
class ClientDisconnected(Event):
    """A connection ended. ``reason`` is 0 for an orderly DISCONNECT, otherwise the code that says why."""

    identity: Identity
    reason: int


@dataclass(frozen=True)
class SessionTakenOver(Event):
    """A second connection with the same client identifier closed the first one (MQTT-3.1.4-3)."""

    identity: Identity
    old_address: str


@dataclass(frozen=True)
class SessionEnded(Event):
    """A session expired or was replaced by a clean start; its queue is gone."""

    client_id: str


@dataclass(frozen=True)
class Subscribed(Event):
    """A subscription was granted with this QoS."""

    identity: Identity
    filter: str
    qos: int


@dataclass(frozen=True)
class Unsubscribed(Event):
    """A subscription was removed by its client."""

    identity: Identity
    filter: str


@dataclass(frozen=True)
class QueueCreated(Event):
    """A queue came into being: a session's own, a shared subscription's, a named one, a service's."""

    queue: str


@dataclass(frozen=True)
class QueueDeleted(Event):
    """A queue and all its messages are gone."""

    queue: str


@dataclass(frozen=True)
class MessageDropped(Event):
    """``count`` messages that a queue or client should have got were dropped.

    ``cause`` is one of ``overflow``, ``expired``, ``too-large``, ``slow-reader``, ``offline-qos0``, ``damaged``,
    ``refused-by-hook``, ``not-authorized`` (a will), ``disk-full``, ``dead-letter`` (of a queue without one for them).
    """

    target: str
    topic: str
    cause: str
    count: int


@dataclass(frozen=True)
class MessageDeadLettered(Event):
    """A message went from a named queue to its queue of dead letters. ``reason`` is ``max-deliveries``, ``expired``,
    ``overflow``, or what a consumer said."""

    queue: str
    dead_letter_queue: str
    topic: str
    message_id: str
    reason: str


@dataclass(frozen=True)
class PublishRefused(Event):
    """A publish was refused to its publisher with this MQTT 5 reason code."""

    client_id: str
    topic: str
    reason: int
