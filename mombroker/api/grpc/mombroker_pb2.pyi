from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Overflow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERFLOW_UNSPECIFIED: _ClassVar[Overflow]
    OVERFLOW_REJECT: _ClassVar[Overflow]
    OVERFLOW_DROP_OLDEST: _ClassVar[Overflow]
    OVERFLOW_DROP_NEWEST: _ClassVar[Overflow]
    OVERFLOW_DEAD_LETTER: _ClassVar[Overflow]

class Right(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RIGHT_UNSPECIFIED: _ClassVar[Right]
    RIGHT_CONFIGURE: _ClassVar[Right]
    RIGHT_WRITE: _ClassVar[Right]
    RIGHT_READ: _ClassVar[Right]

class RequestProgress(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REQUEST_PROGRESS_UNSPECIFIED: _ClassVar[RequestProgress]
    REQUEST_PROGRESS_WAITING: _ClassVar[RequestProgress]
    REQUEST_PROGRESS_RUNNING: _ClassVar[RequestProgress]
    REQUEST_PROGRESS_DONE: _ClassVar[RequestProgress]
    REQUEST_PROGRESS_FAILED: _ClassVar[RequestProgress]
    REQUEST_PROGRESS_CANCELLED: _ClassVar[RequestProgress]
    REQUEST_PROGRESS_EXPIRED: _ClassVar[RequestProgress]
OVERFLOW_UNSPECIFIED: Overflow
OVERFLOW_REJECT: Overflow
OVERFLOW_DROP_OLDEST: Overflow
OVERFLOW_DROP_NEWEST: Overflow
OVERFLOW_DEAD_LETTER: Overflow
RIGHT_UNSPECIFIED: Right
RIGHT_CONFIGURE: Right
RIGHT_WRITE: Right
RIGHT_READ: Right
REQUEST_PROGRESS_UNSPECIFIED: RequestProgress
REQUEST_PROGRESS_WAITING: RequestProgress
REQUEST_PROGRESS_RUNNING: RequestProgress
REQUEST_PROGRESS_DONE: RequestProgress
REQUEST_PROGRESS_FAILED: RequestProgress
REQUEST_PROGRESS_CANCELLED: RequestProgress
REQUEST_PROGRESS_EXPIRED: RequestProgress

class Done(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Count(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class Property(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "detail", "worker_code")
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    WORKER_CODE_FIELD_NUMBER: _ClassVar[int]
    code: str
    detail: str
    worker_code: str
    def __init__(self, code: _Optional[str] = ..., detail: _Optional[str] = ..., worker_code: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("max_messages", "max_bytes", "overflow", "message_ttl", "expires", "lease", "max_leased", "max_deliveries", "retry_delay", "dead_letter", "dedup_window", "single_active")
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TTL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MAX_LEASED_FIELD_NUMBER: _ClassVar[int]
    MAX_DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    DEDUP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    SINGLE_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    max_messages: int
    max_bytes: int
    overflow: Overflow
    message_ttl: float
    expires: float
    lease: float
    max_leased: int
    max_deliveries: int
    retry_delay: float
    dead_letter: str
    dedup_window: float
    single_active: bool
    def __init__(self, max_messages: _Optional[int] = ..., max_bytes: _Optional[int] = ..., overflow: _Optional[_Union[Overflow, str]] = ..., message_ttl: _Optional[float] = ..., expires: _Optional[float] = ..., lease: _Optional[float] = ..., max_leased: _Optional[int] = ..., max_deliveries: _Optional[int] = ..., retry_delay: _Optional[float] = ..., dead_letter: _Optional[str] = ..., dedup_window: _Optional[float] = ..., single_active: _Optional[bool] = ...) -> None: ...

class CreateQueueRequest(_message.Message):
    __slots__ = ("queue", "policy", "bindings")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    queue: str
    policy: Policy
    bindings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, queue: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., bindings: _Optional[_Iterable[str]] = ...) -> None: ...

class GetQueueRequest(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    def __init__(self, queue: _Optional[str] = ...) -> None: ...

class ListQueuesRequest(_message.Message):
    __slots__ = ("pattern", "after", "limit")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    after: str
    limit: int
    def __init__(self, pattern: _Optional[str] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ChangeQueueRequest(_message.Message):
    __slots__ = ("queue", "policy", "bindings")
    class Bindings(_message.Message):
        __slots__ = ("filters",)
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        filters: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, filters: _Optional[_Iterable[str]] = ...) -> None: ...
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    queue: str
    policy: Policy
    bindings: ChangeQueueRequest.Bindings
    def __init__(self, queue: _Optional[str] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., bindings: _Optional[_Union[ChangeQueueRequest.Bindings, _Mapping]] = ...) -> None: ...

class PurgeQueueRequest(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    def __init__(self, queue: _Optional[str] = ...) -> None: ...

class DeleteQueueRequest(_message.Message):
    __slots__ = ("queue", "if_empty", "if_unused")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    IF_EMPTY_FIELD_NUMBER: _ClassVar[int]
    IF_UNUSED_FIELD_NUMBER: _ClassVar[int]
    queue: str
    if_empty: bool
    if_unused: bool
    def __init__(self, queue: _Optional[str] = ..., if_empty: _Optional[bool] = ..., if_unused: _Optional[bool] = ...) -> None: ...

class RedriveQueueRequest(_message.Message):
    __slots__ = ("queue", "limit")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    queue: str
    limit: int
    def __init__(self, queue: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class QueueInfo(_message.Message):
    __slots__ = ("queue", "owner", "created_at", "policy", "bindings", "numbers")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    queue: str
    owner: str
    created_at: float
    policy: Policy
    bindings: _containers.RepeatedScalarFieldContainer[str]
    numbers: QueueNumbers
    def __init__(self, queue: _Optional[str] = ..., owner: _Optional[str] = ..., created_at: _Optional[float] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., bindings: _Optional[_Iterable[str]] = ..., numbers: _Optional[_Union[QueueNumbers, _Mapping]] = ...) -> None: ...

class QueueNumbers(_message.Message):
    __slots__ = ("depth", "ready", "leased", "delayed", "bytes", "oldest_age", "consumers", "enqueued", "delivered", "acked", "redelivered", "expired", "dead_lettered", "dropped", "duplicates", "enqueue_rate", "ack_rate")
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    LEASED_FIELD_NUMBER: _ClassVar[int]
    DELAYED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_AGE_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    ENQUEUED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    ACKED_FIELD_NUMBER: _ClassVar[int]
    REDELIVERED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    ENQUEUE_RATE_FIELD_NUMBER: _ClassVar[int]
    ACK_RATE_FIELD_NUMBER: _ClassVar[int]
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
    def __init__(self, depth: _Optional[int] = ..., ready: _Optional[int] = ..., leased: _Optional[int] = ..., delayed: _Optional[int] = ..., bytes: _Optional[int] = ..., oldest_age: _Optional[float] = ..., consumers: _Optional[int] = ..., enqueued: _Optional[int] = ..., delivered: _Optional[int] = ..., acked: _Optional[int] = ..., redelivered: _Optional[int] = ..., expired: _Optional[int] = ..., dead_lettered: _Optional[int] = ..., dropped: _Optional[int] = ..., duplicates: _Optional[int] = ..., enqueue_rate: _Optional[float] = ..., ack_rate: _Optional[float] = ...) -> None: ...

class QueueList(_message.Message):
    __slots__ = ("queues", "more")
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[QueueInfo]
    more: bool
    def __init__(self, queues: _Optional[_Iterable[_Union[QueueInfo, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class PutGrantRequest(_message.Message):
    __slots__ = ("user", "pattern", "rights")
    USER_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    user: str
    pattern: str
    rights: _containers.RepeatedScalarFieldContainer[Right]
    def __init__(self, user: _Optional[str] = ..., pattern: _Optional[str] = ..., rights: _Optional[_Iterable[_Union[Right, str]]] = ...) -> None: ...

class DeleteGrantRequest(_message.Message):
    __slots__ = ("user", "pattern")
    USER_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    user: str
    pattern: str
    def __init__(self, user: _Optional[str] = ..., pattern: _Optional[str] = ...) -> None: ...

class ListGrantsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Grant(_message.Message):
    __slots__ = ("owner", "user", "pattern", "rights")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_FIELD_NUMBER: _ClassVar[int]
    owner: str
    user: str
    pattern: str
    rights: _containers.RepeatedScalarFieldContainer[Right]
    def __init__(self, owner: _Optional[str] = ..., user: _Optional[str] = ..., pattern: _Optional[str] = ..., rights: _Optional[_Iterable[_Union[Right, str]]] = ...) -> None: ...

class GrantList(_message.Message):
    __slots__ = ("grants",)
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    def __init__(self, grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ...) -> None: ...

class OutMessage(_message.Message):
    __slots__ = ("payload", "text", "content_type", "properties", "id", "priority", "key", "delay", "deliver_at", "ttl")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    DELIVER_AT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    text: str
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    id: str
    priority: int
    key: str
    delay: float
    deliver_at: float
    ttl: float
    def __init__(self, payload: _Optional[bytes] = ..., text: _Optional[str] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., id: _Optional[str] = ..., priority: _Optional[int] = ..., key: _Optional[str] = ..., delay: _Optional[float] = ..., deliver_at: _Optional[float] = ..., ttl: _Optional[float] = ...) -> None: ...

class EnqueueRequest(_message.Message):
    __slots__ = ("queue", "messages")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    queue: str
    messages: _containers.RepeatedCompositeFieldContainer[OutMessage]
    def __init__(self, queue: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[OutMessage, _Mapping]]] = ...) -> None: ...

class Enqueued(_message.Message):
    __slots__ = ("ids", "duplicates")
    IDS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    duplicates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., duplicates: _Optional[_Iterable[str]] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("topic", "payload", "text", "qos", "retain", "content_type", "properties", "ttl")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    QOS_FIELD_NUMBER: _ClassVar[int]
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    topic: str
    payload: bytes
    text: str
    qos: int
    retain: bool
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    ttl: float
    def __init__(self, topic: _Optional[str] = ..., payload: _Optional[bytes] = ..., text: _Optional[str] = ..., qos: _Optional[int] = ..., retain: _Optional[bool] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., ttl: _Optional[float] = ...) -> None: ...

class Published(_message.Message):
    __slots__ = ("matched",)
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    matched: bool
    def __init__(self, matched: _Optional[bool] = ...) -> None: ...

class PullRequest(_message.Message):
    __slots__ = ("queue", "limit", "wait", "lease")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    limit: int
    wait: float
    lease: float
    def __init__(self, queue: _Optional[str] = ..., limit: _Optional[int] = ..., wait: _Optional[float] = ..., lease: _Optional[float] = ...) -> None: ...

class Death(_message.Message):
    __slots__ = ("queue", "reason", "at", "deliveries")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    queue: str
    reason: str
    at: float
    deliveries: int
    def __init__(self, queue: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[float] = ..., deliveries: _Optional[int] = ...) -> None: ...

class InMessage(_message.Message):
    __slots__ = ("id", "queue", "lease", "topic", "payload", "content_type", "properties", "priority", "key", "deliveries", "enqueued_at", "expires_at", "deliver_at", "deaths")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    ENQUEUED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    DELIVER_AT_FIELD_NUMBER: _ClassVar[int]
    DEATHS_FIELD_NUMBER: _ClassVar[int]
    id: str
    queue: str
    lease: str
    topic: str
    payload: bytes
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    priority: int
    key: str
    deliveries: int
    enqueued_at: float
    expires_at: float
    deliver_at: float
    deaths: _containers.RepeatedCompositeFieldContainer[Death]
    def __init__(self, id: _Optional[str] = ..., queue: _Optional[str] = ..., lease: _Optional[str] = ..., topic: _Optional[str] = ..., payload: _Optional[bytes] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., priority: _Optional[int] = ..., key: _Optional[str] = ..., deliveries: _Optional[int] = ..., enqueued_at: _Optional[float] = ..., expires_at: _Optional[float] = ..., deliver_at: _Optional[float] = ..., deaths: _Optional[_Iterable[_Union[Death, _Mapping]]] = ...) -> None: ...

class MessageList(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[InMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[InMessage, _Mapping]]] = ...) -> None: ...

class AckRequest(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, leases: _Optional[_Iterable[str]] = ...) -> None: ...

class NackRequest(_message.Message):
    __slots__ = ("leases", "delay", "dead_letter", "reason")
    LEASES_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedScalarFieldContainer[str]
    delay: float
    dead_letter: bool
    reason: str
    def __init__(self, leases: _Optional[_Iterable[str]] = ..., delay: _Optional[float] = ..., dead_letter: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class ExtendRequest(_message.Message):
    __slots__ = ("leases", "seconds")
    LEASES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedScalarFieldContainer[str]
    seconds: float
    def __init__(self, leases: _Optional[_Iterable[str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class Settled(_message.Message):
    __slots__ = ("settled", "unknown")
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    settled: int
    unknown: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, settled: _Optional[int] = ..., unknown: _Optional[_Iterable[str]] = ...) -> None: ...

class PeekRequest(_message.Message):
    __slots__ = ("queue", "limit")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    queue: str
    limit: int
    def __init__(self, queue: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class FindMessageRequest(_message.Message):
    __slots__ = ("queue", "id")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    queue: str
    id: str
    def __init__(self, queue: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ProduceRequest(_message.Message):
    __slots__ = ("number", "queue", "messages")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    number: int
    queue: str
    messages: _containers.RepeatedCompositeFieldContainer[OutMessage]
    def __init__(self, number: _Optional[int] = ..., queue: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[OutMessage, _Mapping]]] = ...) -> None: ...

class ProduceResponse(_message.Message):
    __slots__ = ("number", "enqueued", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ENQUEUED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    enqueued: Enqueued
    failure: Failure
    def __init__(self, number: _Optional[int] = ..., enqueued: _Optional[_Union[Enqueued, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("number", "start", "ack", "nack", "extend", "more_credit")
    class Start(_message.Message):
        __slots__ = ("queue", "credit", "lease")
        QUEUE_FIELD_NUMBER: _ClassVar[int]
        CREDIT_FIELD_NUMBER: _ClassVar[int]
        LEASE_FIELD_NUMBER: _ClassVar[int]
        queue: str
        credit: int
        lease: float
        def __init__(self, queue: _Optional[str] = ..., credit: _Optional[int] = ..., lease: _Optional[float] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    NACK_FIELD_NUMBER: _ClassVar[int]
    EXTEND_FIELD_NUMBER: _ClassVar[int]
    MORE_CREDIT_FIELD_NUMBER: _ClassVar[int]
    number: int
    start: ConsumeRequest.Start
    ack: AckRequest
    nack: NackRequest
    extend: ExtendRequest
    more_credit: int
    def __init__(self, number: _Optional[int] = ..., start: _Optional[_Union[ConsumeRequest.Start, _Mapping]] = ..., ack: _Optional[_Union[AckRequest, _Mapping]] = ..., nack: _Optional[_Union[NackRequest, _Mapping]] = ..., extend: _Optional[_Union[ExtendRequest, _Mapping]] = ..., more_credit: _Optional[int] = ...) -> None: ...

class ConsumeResponse(_message.Message):
    __slots__ = ("number", "messages", "settled", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    messages: MessageList
    settled: Settled
    failure: Failure
    def __init__(self, number: _Optional[int] = ..., messages: _Optional[_Union[MessageList, _Mapping]] = ..., settled: _Optional[_Union[Settled, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class CreateServiceRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class DeleteServiceRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class ListServicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServiceInfo(_message.Message):
    __slots__ = ("service", "owner", "workers", "waiting", "running")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    service: str
    owner: str
    workers: int
    waiting: int
    running: int
    def __init__(self, service: _Optional[str] = ..., owner: _Optional[str] = ..., workers: _Optional[int] = ..., waiting: _Optional[int] = ..., running: _Optional[int] = ...) -> None: ...

class ServiceList(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[ServiceInfo]
    def __init__(self, services: _Optional[_Iterable[_Union[ServiceInfo, _Mapping]]] = ...) -> None: ...

class RequestRequest(_message.Message):
    __slots__ = ("service", "payload", "text", "content_type", "properties", "timeout", "patient")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    service: str
    payload: bytes
    text: str
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    timeout: float
    patient: bool
    def __init__(self, service: _Optional[str] = ..., payload: _Optional[bytes] = ..., text: _Optional[str] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., timeout: _Optional[float] = ..., patient: _Optional[bool] = ...) -> None: ...

class RequestLaterRequest(_message.Message):
    __slots__ = ("service", "payload", "text", "content_type", "properties", "timeout", "keep")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    service: str
    payload: bytes
    text: str
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    timeout: float
    keep: float
    def __init__(self, service: _Optional[str] = ..., payload: _Optional[bytes] = ..., text: _Optional[str] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., timeout: _Optional[float] = ..., keep: _Optional[float] = ...) -> None: ...

class Ticket(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("payload", "content_type", "properties")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    def __init__(self, payload: _Optional[bytes] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class FetchReplyRequest(_message.Message):
    __slots__ = ("id", "wait")
    ID_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    id: str
    wait: float
    def __init__(self, id: _Optional[str] = ..., wait: _Optional[float] = ...) -> None: ...

class ReplyState(_message.Message):
    __slots__ = ("id", "service", "state", "parts", "code", "detail", "worker_code")
    ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    WORKER_CODE_FIELD_NUMBER: _ClassVar[int]
    id: str
    service: str
    state: RequestProgress
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    code: str
    detail: str
    worker_code: str
    def __init__(self, id: _Optional[str] = ..., service: _Optional[str] = ..., state: _Optional[_Union[RequestProgress, str]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., worker_code: _Optional[str] = ...) -> None: ...

class CancelRequestRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class NextRequestRequest(_message.Message):
    __slots__ = ("service", "limit", "wait", "linger")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    LINGER_FIELD_NUMBER: _ClassVar[int]
    service: str
    limit: int
    wait: float
    linger: float
    def __init__(self, service: _Optional[str] = ..., limit: _Optional[int] = ..., wait: _Optional[float] = ..., linger: _Optional[float] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "service", "payload", "content_type", "properties", "deadline")
    ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    id: str
    service: str
    payload: bytes
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    deadline: float
    def __init__(self, id: _Optional[str] = ..., service: _Optional[str] = ..., payload: _Optional[bytes] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., deadline: _Optional[float] = ...) -> None: ...

class Tasks(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ...) -> None: ...

class SendReplyRequest(_message.Message):
    __slots__ = ("id", "payload", "text", "content_type", "properties", "more", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    payload: bytes
    text: str
    content_type: str
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    more: bool
    error: str
    def __init__(self, id: _Optional[str] = ..., payload: _Optional[bytes] = ..., text: _Optional[str] = ..., content_type: _Optional[str] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., more: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class ServeRequest(_message.Message):
    __slots__ = ("number", "start", "reply", "more_credit")
    class Start(_message.Message):
        __slots__ = ("service", "credit")
        SERVICE_FIELD_NUMBER: _ClassVar[int]
        CREDIT_FIELD_NUMBER: _ClassVar[int]
        service: str
        credit: int
        def __init__(self, service: _Optional[str] = ..., credit: _Optional[int] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    MORE_CREDIT_FIELD_NUMBER: _ClassVar[int]
    number: int
    start: ServeRequest.Start
    reply: SendReplyRequest
    more_credit: int
    def __init__(self, number: _Optional[int] = ..., start: _Optional[_Union[ServeRequest.Start, _Mapping]] = ..., reply: _Optional[_Union[SendReplyRequest, _Mapping]] = ..., more_credit: _Optional[int] = ...) -> None: ...

class ServeResponse(_message.Message):
    __slots__ = ("number", "tasks", "done", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    tasks: Tasks
    done: Done
    failure: Failure
    def __init__(self, number: _Optional[int] = ..., tasks: _Optional[_Union[Tasks, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ("after", "limit", "connected")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    after: str
    limit: int
    connected: bool
    def __init__(self, after: _Optional[str] = ..., limit: _Optional[int] = ..., connected: _Optional[bool] = ...) -> None: ...

class ClientInfo(_message.Message):
    __slots__ = ("client_id", "username", "connected", "address", "version", "expiry", "subscriptions", "queued", "inflight")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    INFLIGHT_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    username: str
    connected: bool
    address: str
    version: int
    expiry: int
    subscriptions: int
    queued: int
    inflight: int
    def __init__(self, client_id: _Optional[str] = ..., username: _Optional[str] = ..., connected: _Optional[bool] = ..., address: _Optional[str] = ..., version: _Optional[int] = ..., expiry: _Optional[int] = ..., subscriptions: _Optional[int] = ..., queued: _Optional[int] = ..., inflight: _Optional[int] = ...) -> None: ...

class ClientList(_message.Message):
    __slots__ = ("clients", "more")
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedCompositeFieldContainer[ClientInfo]
    more: bool
    def __init__(self, clients: _Optional[_Iterable[_Union[ClientInfo, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class DisconnectClientRequest(_message.Message):
    __slots__ = ("client_id", "forget")
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    forget: bool
    def __init__(self, client_id: _Optional[str] = ..., forget: _Optional[bool] = ...) -> None: ...

class ListRetainedRequest(_message.Message):
    __slots__ = ("filter", "after", "limit")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    filter: str
    after: str
    limit: int
    def __init__(self, filter: _Optional[str] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class RetainedInfo(_message.Message):
    __slots__ = ("topic", "qos", "bytes", "published_at", "expires_at")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    QOS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    topic: str
    qos: int
    bytes: int
    published_at: float
    expires_at: float
    def __init__(self, topic: _Optional[str] = ..., qos: _Optional[int] = ..., bytes: _Optional[int] = ..., published_at: _Optional[float] = ..., expires_at: _Optional[float] = ...) -> None: ...

class RetainedList(_message.Message):
    __slots__ = ("retained", "more")
    RETAINED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    retained: _containers.RepeatedCompositeFieldContainer[RetainedInfo]
    more: bool
    def __init__(self, retained: _Optional[_Iterable[_Union[RetainedInfo, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class DeleteRetainedRequest(_message.Message):
    __slots__ = ("topic",)
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    topic: str
    def __init__(self, topic: _Optional[str] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UserInfo(_message.Message):
    __slots__ = ("user", "roles")
    USER_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    user: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ...) -> None: ...

class UserList(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[UserInfo]
    def __init__(self, users: _Optional[_Iterable[_Union[UserInfo, _Mapping]]] = ...) -> None: ...

class PutUserRequest(_message.Message):
    __slots__ = ("user", "password", "roles")
    class Roles(_message.Message):
        __slots__ = ("names",)
        NAMES_FIELD_NUMBER: _ClassVar[int]
        names: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...
    USER_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    user: str
    password: str
    roles: PutUserRequest.Roles
    def __init__(self, user: _Optional[str] = ..., password: _Optional[str] = ..., roles: _Optional[_Union[PutUserRequest.Roles, _Mapping]] = ...) -> None: ...

class DeleteUserRequest(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: str
    def __init__(self, user: _Optional[str] = ...) -> None: ...

class GetStatisticsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BrokerStatistics(_message.Message):
    __slots__ = ("version", "uptime", "compiled", "clients_connected", "sessions", "subscriptions", "queues", "services", "messages_waiting", "retained", "publishes_received", "publishes_sent", "publishes_dropped", "bytes_received", "bytes_sent", "commits")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    COMPILED_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_WAITING_FIELD_NUMBER: _ClassVar[int]
    RETAINED_FIELD_NUMBER: _ClassVar[int]
    PUBLISHES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    PUBLISHES_SENT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    version: str
    uptime: float
    compiled: bool
    clients_connected: int
    sessions: int
    subscriptions: int
    queues: int
    services: int
    messages_waiting: int
    retained: int
    publishes_received: int
    publishes_sent: int
    publishes_dropped: int
    bytes_received: int
    bytes_sent: int
    commits: int
    def __init__(self, version: _Optional[str] = ..., uptime: _Optional[float] = ..., compiled: _Optional[bool] = ..., clients_connected: _Optional[int] = ..., sessions: _Optional[int] = ..., subscriptions: _Optional[int] = ..., queues: _Optional[int] = ..., services: _Optional[int] = ..., messages_waiting: _Optional[int] = ..., retained: _Optional[int] = ..., publishes_received: _Optional[int] = ..., publishes_sent: _Optional[int] = ..., publishes_dropped: _Optional[int] = ..., bytes_received: _Optional[int] = ..., bytes_sent: _Optional[int] = ..., commits: _Optional[int] = ...) -> None: ...
