"""Operations on named queues: their making, policies, bindings, grants and numbers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from mombroker.operations.names import NAME, PATTERN

QueueName = Annotated[str, Meta(pattern=f"^{NAME}$", description="The name of a queue.")]
NamePattern = Annotated[str, Meta(pattern=f"^{PATTERN}$", description="A pattern of names: * and ? are wildcards.")]
Filter = Annotated[str, Meta(min_length=1, max_length=65535, description="An MQTT topic filter.")]
Seconds = Annotated[float, Meta(ge=0, le=3_155_760_000)]
Right = Literal["configure", "write", "read"]


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a queue is held to. What is left out comes from the broker's queue-policy hook, or else is the default."""

    max_messages: (
        Annotated[int, Meta(ge=0, description="Messages in the queue, leased and delayed ones too. 0: no limit.")]
        | UnsetType
    ) = UNSET
    max_bytes: Annotated[int, Meta(ge=0, description="Bytes of these messages. 0: no limit.")] | UnsetType = UNSET
    overflow: (
        Annotated[
            Literal["reject", "drop-oldest", "drop-newest", "dead-letter"],
            Meta(
                description="What happens to one message too many: it is refused to its publisher; or the oldest one "
                "is dropped, or becomes a dead letter; or the new one is dropped."
            ),
        ]
        | UnsetType
    ) = UNSET
    message_ttl: (
        Annotated[Seconds, Meta(description="Longest time in seconds that a message waits. 0: for ever.")] | UnsetType
    ) = UNSET
    expires: (
        Annotated[
            Seconds, Meta(description="The queue is deleted when nobody has used it for so many seconds. 0: never.")
        ]
        | UnsetType
    ) = UNSET
    lease: (
        Annotated[
            float,
            Meta(
                ge=0.01, le=86_400, description="Seconds that a consumer has a message for, unless it says otherwise."
            ),
        ]
        | UnsetType
    ) = UNSET
    max_leased: (
        Annotated[int, Meta(ge=1, le=1_000_000, description="Messages that consumers may have at a time.")] | UnsetType
    ) = UNSET
    max_deliveries: (
        Annotated[
            int, Meta(ge=0, le=1_000_000, description="Deliveries after which a message is a dead letter. 0: no limit.")
        ]
        | UnsetType
    ) = UNSET
    retry_delay: (
        Annotated[Seconds, Meta(description="Seconds that a message waits after a nack that does not say how long.")]
        | UnsetType
    ) = UNSET
    dead_letter: (
        Annotated[
            str,
            Meta(description="The queue that dead letters go to, made if it is not there. Empty: they are dropped."),
        ]
        | UnsetType
    ) = UNSET
    dedup_window: (
        Annotated[
            Seconds,
            Meta(
                description="Seconds in which a second message with the same id is not taken again. 0: all are taken."
            ),
        ]
        | UnsetType
    ) = UNSET
    single_active: (
        Annotated[bool, Meta(description="Whether only one consumer at a time gets messages, the others standing by.")]
        | UnsetType
    ) = UNSET


class CreateQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a queue. Making one that is there already, with the same owner, policy and bindings, changes nothing."""

    queue: QueueName
    policy: Policy = Policy()
    bindings: Annotated[
        tuple[Filter, ...], Meta(max_length=1000, description="Topic filters whose messages the queue takes.")
    ] = ()


class GetQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell everything about a queue."""

    queue: QueueName


class ListQueues(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the queues that the caller may read or change, in order of their names."""

    pattern: NamePattern = "*"
    after: Annotated[str, Meta(description="List names after this one.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class ChangeQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Change a queue. Only what is given changes; ``bindings`` takes the place of all there are."""

    queue: QueueName
    policy: Policy = Policy()
    bindings: Annotated[tuple[Filter, ...], Meta(max_length=1000)] | UnsetType = UNSET


class PurgeQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Drop every message of a queue that no consumer has."""

    queue: QueueName


class DeleteQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delete a queue with all its messages."""

    queue: QueueName
    if_empty: Annotated[bool, Meta(description="Only if it holds no message.")] = False
    if_unused: Annotated[bool, Meta(description="Only if it has no consumer.")] = False


class RedriveQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move dead letters back to the queues they came from, oldest first, with their deliveries counted anew."""

    queue: QueueName
    limit: Annotated[int, Meta(ge=0, description="Messages at the most. 0: all.")] = 0


class QueueNumbers(Struct, frozen=True, kw_only=True):
    """A queue in numbers. Rates are messages per second, damped over a minute; ``oldest_age`` is seconds."""

    depth: int
    ready: int
    leased: int
    delayed: int
    bytes: int
    oldest_age: float
    consumers: int
    enqueued: int
    delivered: int
    acked: int
    redelivered: int
    expired: int
    dead_lettered: int
    dropped: int
    duplicates: int
    enqueue_rate: float
    ack_rate: float


class QueueInfo(Struct, frozen=True, kw_only=True):
    """A queue: ``policy`` is complete, wherever its parts come from; ``owner`` is empty for an anonymous one."""

    queue: str
    owner: str
    created_at: float
    policy: Policy
    bindings: tuple[str, ...]
    numbers: QueueNumbers


class QueueList(Struct, frozen=True, kw_only=True):
    """Queues in order of their names; ``more`` tells whether there are further ones."""

    queues: tuple[QueueInfo, ...]
    more: bool


class Count(Struct, frozen=True, kw_only=True):
    """How many messages an operation was about."""

    count: int


class PutGrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let another user use one's own queues whose names fit a pattern. Takes the place of an earlier grant with the
    same user and pattern."""

    user: Annotated[str, Meta(min_length=1, max_length=256)]
    pattern: NamePattern
    rights: Annotated[tuple[Right, ...], Meta(min_length=1, max_length=3)]


class DeleteGrant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a grant back."""

    user: Annotated[str, Meta(min_length=1, max_length=256)]
    pattern: NamePattern


class ListGrants(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the grants that the caller has given."""


class Grant(Struct, frozen=True, kw_only=True):
    """``user`` may use those queues of ``owner`` whose names fit ``pattern``."""

    owner: str
    user: str
    pattern: str
    rights: tuple[Right, ...]


class GrantList(Struct, frozen=True, kw_only=True):
    """Grants, in order of user and pattern."""

    grants: tuple[Grant, ...]


class Done(Struct, frozen=True, kw_only=True):
    """It is done, and on disk."""
