"""What can go wrong with an operation: one table of codes, and what each transport calls it.

An operation that fails raises a :class:`Problem`, wherever it was asked for. Its ``code`` is the same over MQTT, HTTP
and gRPC, and in the Python client.
"""

from dataclasses import dataclass
from typing import Final

from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import (
    IMPLEMENTATION_SPECIFIC_ERROR,
    NOT_AUTHORIZED,
    PACKET_TOO_LARGE,
    PAYLOAD_FORMAT_INVALID,
    QUOTA_EXCEEDED,
    SERVER_SHUTTING_DOWN,
    TOPIC_NAME_INVALID,
)


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its HTTP status, the name of its gRPC status, its MQTT 5 reason code, and its title."""

    status: int
    grpc: str
    reason: int
    title: str


BAD_REQUEST: Final = "bad-request"
BAD_POLICY: Final = "bad-policy"
NOT_LOGGED_IN: Final = "not-logged-in"
FORBIDDEN: Final = "forbidden"
NO_SUCH_OPERATION: Final = "no-such-operation"
NO_SUCH_QUEUE: Final = "no-such-queue"
NO_SUCH_SERVICE: Final = "no-such-service"
NO_SUCH_MESSAGE: Final = "no-such-message"
NO_SUCH_REQUEST: Final = "no-such-request"
NO_SUCH_CLIENT: Final = "no-such-client"
NO_SUCH_USER: Final = "no-such-user"
UNKNOWN_LEASE: Final = "unknown-lease"
QUEUE_EXISTS: Final = "queue-exists"
QUEUE_IN_USE: Final = "queue-in-use"
QUEUE_FULL: Final = "queue-full"
QUOTA: Final = "quota-exceeded"
STORE_FULL: Final = "store-full"
TOO_LARGE: Final = "too-large"
UNSUPPORTED_CONTENT: Final = "unsupported-content"
NO_WORKERS: Final = "no-workers"
DEADLINE_PASSED: Final = "deadline-passed"
SERVICE_FAILED: Final = "service-failed"
CANCELLED: Final = "cancelled"
OVERLOADED: Final = "overloaded"
SHUTTING_DOWN: Final = "shutting-down"
NOT_AVAILABLE: Final = "not-available"
INTERNAL: Final = "internal"

KINDS: Final[dict[str, Kind]] = {
    BAD_REQUEST: Kind(400, "INVALID_ARGUMENT", PAYLOAD_FORMAT_INVALID, "The request is malformed"),
    BAD_POLICY: Kind(422, "INVALID_ARGUMENT", PAYLOAD_FORMAT_INVALID, "The queue cannot have this policy"),
    NOT_LOGGED_IN: Kind(401, "UNAUTHENTICATED", NOT_AUTHORIZED, "Log in first"),
    FORBIDDEN: Kind(403, "PERMISSION_DENIED", NOT_AUTHORIZED, "Not allowed"),
    NO_SUCH_OPERATION: Kind(404, "UNIMPLEMENTED", TOPIC_NAME_INVALID, "There is no such operation"),
    NO_SUCH_QUEUE: Kind(404, "NOT_FOUND", TOPIC_NAME_INVALID, "There is no such queue"),
    NO_SUCH_SERVICE: Kind(404, "NOT_FOUND", TOPIC_NAME_INVALID, "There is no such service"),
    NO_SUCH_MESSAGE: Kind(404, "NOT_FOUND", IMPLEMENTATION_SPECIFIC_ERROR, "There is no such message"),
    NO_SUCH_REQUEST: Kind(404, "NOT_FOUND", TOPIC_NAME_INVALID, "There is no such request"),
    NO_SUCH_CLIENT: Kind(404, "NOT_FOUND", IMPLEMENTATION_SPECIFIC_ERROR, "There is no such client"),
    NO_SUCH_USER: Kind(404, "NOT_FOUND", IMPLEMENTATION_SPECIFIC_ERROR, "There is no such user"),
    UNKNOWN_LEASE: Kind(404, "NOT_FOUND", IMPLEMENTATION_SPECIFIC_ERROR, "The lease is not, or no longer, held"),
    QUEUE_EXISTS: Kind(409, "ALREADY_EXISTS", IMPLEMENTATION_SPECIFIC_ERROR, "The queue exists already"),
    QUEUE_IN_USE: Kind(409, "FAILED_PRECONDITION", IMPLEMENTATION_SPECIFIC_ERROR, "The queue is in use"),
    QUEUE_FULL: Kind(429, "RESOURCE_EXHAUSTED", QUOTA_EXCEEDED, "The queue is full"),
    QUOTA: Kind(429, "RESOURCE_EXHAUSTED", QUOTA_EXCEEDED, "The user's quota is used up"),
    STORE_FULL: Kind(507, "RESOURCE_EXHAUSTED", QUOTA_EXCEEDED, "The disk is full"),
    TOO_LARGE: Kind(413, "RESOURCE_EXHAUSTED", PACKET_TOO_LARGE, "The request is too large"),
    UNSUPPORTED_CONTENT: Kind(415, "INVALID_ARGUMENT", PAYLOAD_FORMAT_INVALID, "The content type is not supported"),
    NO_WORKERS: Kind(503, "UNAVAILABLE", IMPLEMENTATION_SPECIFIC_ERROR, "Nobody serves this service now"),
    DEADLINE_PASSED: Kind(504, "DEADLINE_EXCEEDED", IMPLEMENTATION_SPECIFIC_ERROR, "The deadline has passed"),
    SERVICE_FAILED: Kind(502, "ABORTED", IMPLEMENTATION_SPECIFIC_ERROR, "The service failed on the request"),
    CANCELLED: Kind(410, "CANCELLED", IMPLEMENTATION_SPECIFIC_ERROR, "The request was cancelled"),
    OVERLOADED: Kind(503, "UNAVAILABLE", QUOTA_EXCEEDED, "Too many requests at a time"),
    SHUTTING_DOWN: Kind(503, "UNAVAILABLE", SERVER_SHUTTING_DOWN, "The broker is shutting down"),
    NOT_AVAILABLE: Kind(501, "UNIMPLEMENTED", IMPLEMENTATION_SPECIFIC_ERROR, "This broker is not set up for that"),
    INTERNAL: Kind(500, "INTERNAL", IMPLEMENTATION_SPECIFIC_ERROR, "The broker failed"),
}


class Problem(MombrokerError):
    """An operation failed. ``code`` is a key of :data:`KINDS`; ``detail`` says what happened, to which queue or
    message, and what to do; ``worker_code`` is what a failing worker called its error, empty otherwise."""

    def __init__(self, code: str, detail: str, worker_code: str = "") -> None:
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.detail = detail
        self.worker_code = worker_code

    @property
    def kind(self) -> Kind:
        """What the transports call it. A code of a newer broker counts as internal."""
        return KINDS.get(self.code, KINDS[INTERNAL])
