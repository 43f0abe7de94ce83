"""Operations on messages: put into queues, taken out, acknowledged, looked at; and publishing to topics."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.operations.queues import QueueName, Seconds

Lease = Annotated[str, Meta(min_length=1, max_length=64, description="The lease that came with a message.")]
Properties = Annotated[
    tuple[tuple[str, str], ...], Meta(max_length=1000, description="Names and values of the application's own.")
]


class OutMessage(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A message to be put into a queue."""

    payload: Annotated[bytes, Meta(description="The content; in JSON, base64.")] = b""
    text: Annotated[str, Meta(description="The content as text, instead of `payload`.")] | None = None
    content_type: Annotated[str, Meta(max_length=256)] = ""
    properties: Properties = ()
    id: Annotated[str, Meta(max_length=128, description="The message id; the broker gives one if it is empty.")] = ""
    priority: Annotated[int, Meta(ge=0, le=9, description="9 goes before 0.")] = 0
    key: Annotated[
        str, Meta(max_length=128, description="Messages with the same key are handled in order, one at a time.")
    ] = ""
    delay: Annotated[Seconds, Meta(description="Seconds before any consumer gets it.")] = 0.0
    deliver_at: Annotated[
        float, Meta(ge=0, le=253_402_300_799, description="The same as a time: Unix seconds, until the year 9999.")
    ] = 0.0
    ttl: Annotated[Seconds, Meta(description="Seconds after which it is worthless. 0: never.")] = 0.0

    def content(self) -> bytes:
        """The payload, whichever way it was given."""
        return self.payload if self.text is None else self.text.encode()


class Enqueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put messages into a queue, in order; all of them, or none. Answered when they are on disk."""

    queue: QueueName
    messages: Annotated[tuple[OutMessage, ...], Meta(min_length=1, max_length=10_000)]


class Enqueued(Struct, frozen=True, kw_only=True):
    """The messages' ids, in order; ``duplicates`` are those that the queue had taken before."""

    ids: tuple[str, ...]
    duplicates: tuple[str, ...] = ()


class Publish(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Publish to an MQTT topic. Answered, with QoS 1, when it is on disk in every queue that takes it."""

    topic: Annotated[str, Meta(min_length=1, max_length=65535)]
    payload: bytes = b""
    text: str | None = None
    qos: Literal[0, 1] = 1
    retain: bool = False
    content_type: Annotated[str, Meta(max_length=256)] = ""
    properties: Properties = ()
    ttl: Seconds = 0.0

    def content(self) -> bytes:
        """The payload, whichever way it was given."""
        return self.payload if self.text is None else self.text.encode()


class Published(Struct, frozen=True, kw_only=True):
    """``matched`` tells whether anybody, connected or not, was subscribed."""

    matched: bool


class Pull(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take messages out of a queue on a lease. Answers with what is there; waits if there is nothing."""

    queue: QueueName
    limit: Annotated[int, Meta(ge=1, le=10_000, description="Messages at the most.")] = 1
    wait: Annotated[float, Meta(ge=0, le=300, description="Seconds to wait for the first one.")] = 0.0
    lease: Annotated[
        float, Meta(ge=0, le=86_400, description="Seconds to have them for. 0: as the queue's policy says.")
    ] = 0.0


class Death(Struct, frozen=True, kw_only=True, gc=False):
    """Why a message became a dead letter: ``reason`` is ``max-deliveries``, ``expired``, ``overflow`` or what the
    consumer said."""

    queue: str
    reason: str
    at: float
    deliveries: int


class InMessage(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A message as a consumer gets it. ``lease`` is empty where it was only looked at. In JSON, a payload that is
    UTF-8 comes as ``text``, any other as ``payload`` in base64."""

    id: str
    queue: str
    lease: str = ""
    topic: str = ""
    payload: bytes = b""
    text: str | None = None
    content_type: str = ""
    properties: tuple[tuple[str, str], ...] = ()
    priority: int = 0
    key: str = ""
    deliveries: int = 1
    enqueued_at: float = 0.0
    expires_at: float = 0.0
    deliver_at: float = 0.0
    deaths: tuple[Death, ...] = ()

    def content(self) -> bytes:
        """The payload, whichever way it came."""
        return self.payload if self.text is None else self.text.encode()


class Messages(Struct, frozen=True, kw_only=True):
    """Messages in order."""

    messages: tuple[InMessage, ...]


class Ack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The messages are handled: they leave their queue. Answered when that is on disk."""

    leases: Annotated[tuple[Lease, ...], Meta(min_length=1, max_length=10_000)]


class Nack(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The messages could not be handled: they are for the next consumer, in their place."""

    leases: Annotated[tuple[Lease, ...], Meta(min_length=1, max_length=10_000)]
    delay: Annotated[Seconds, Meta(description="Seconds to wait first. Left out: as the policy says.")] | None = None
    dead_letter: Annotated[bool, Meta(description="Nobody will ever handle them: they are dead letters now.")] = False
    reason: Annotated[str, Meta(max_length=256, description="Why; kept with a dead letter.")] = ""


class Extend(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have the messages for ``seconds`` more, from now on."""

    leases: Annotated[tuple[Lease, ...], Meta(min_length=1, max_length=10_000)]
    seconds: Annotated[float, Meta(gt=0, le=86_400)]


class Settled(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``settled`` leases were known; ``unknown`` ones have run out, or were settled before. (If none was known, the
    operation fails with unknown-lease.)"""

    settled: int
    unknown: tuple[str, ...] = ()


class Peek(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Look at messages without taking them, from the front; those that consumers have are there too."""

    queue: QueueName
    limit: Annotated[int, Meta(ge=1, le=1000)] = 10


class FindMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Look for a message by its id."""

    queue: QueueName
    id: Annotated[str, Meta(min_length=1, max_length=128)]
