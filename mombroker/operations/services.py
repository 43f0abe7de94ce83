"""Request and response: services, the requests they are sent, and the replies.

A service is a queue whose consumers answer. It comes into being with its first worker, or is made by ``CreateService``.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.operations.messages import Properties
from mombroker.operations.queues import QueueName

ServiceName = QueueName
RequestId = Annotated[str, Meta(min_length=1, max_length=64, description="The id that request.later gave.")]


class CreateService(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Make a service, so that requests can be queued before the first worker comes."""

    service: ServiceName


class DeleteService(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delete a service; requests that wait fail with no-such-service."""

    service: ServiceName


class ListServices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the services that the caller may use."""


class ServiceInfo(Struct, frozen=True, kw_only=True):
    """A service: how many work for it, how many requests wait, and how many are being worked on."""

    service: str
    owner: str
    workers: int
    waiting: int
    running: int


class ServiceList(Struct, frozen=True, kw_only=True):
    """Services, in order of their names."""

    services: tuple[ServiceInfo, ...]


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask a service and wait for the reply, ``timeout`` seconds at the most. Without any worker it fails at once with
    no-workers, unless ``patient``."""

    service: ServiceName
    payload: bytes = b""
    text: str | None = None
    content_type: Annotated[str, Meta(max_length=256)] = ""
    properties: Properties = ()
    timeout: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    patient: bool = False

    def content(self) -> bytes:
        """The payload, whichever way it was given."""
        return self.payload if self.text is None else self.text.encode()


class RequestLater(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Ask a service and fetch the reply later. Answered with an id as soon as the request is on disk.

    The request is void after ``timeout`` seconds; the reply is kept for ``keep`` seconds, across restarts.
    """

    service: ServiceName
    payload: bytes = b""
    text: str | None = None
    content_type: Annotated[str, Meta(max_length=256)] = ""
    properties: Properties = ()
    timeout: Annotated[float, Meta(gt=0, le=2_592_000)] = 3600.0
    keep: Annotated[float, Meta(gt=0, le=2_592_000)] = 86_400.0

    def content(self) -> bytes:
        """The payload, whichever way it was given."""
        return self.payload if self.text is None else self.text.encode()


class Ticket(Struct, frozen=True, kw_only=True):
    """The id under which the reply can be fetched."""

    id: str


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One part of a reply."""

    payload: bytes = b""
    text: str | None = None
    content_type: str = ""
    properties: tuple[tuple[str, str], ...] = ()

    def content(self) -> bytes:
        """The payload, whichever way it came."""
        return self.payload if self.text is None else self.text.encode()


class Reply(Struct, frozen=True, kw_only=True):
    """A whole reply; most have one part."""

    parts: tuple[Part, ...]


class FetchReply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fetch the reply to an earlier request; waits up to ``wait`` seconds for its end."""

    id: RequestId
    wait: Annotated[float, Meta(ge=0, le=300)] = 0.0


class ReplyState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far an earlier request is. ``parts`` are those that have come; ``code``, ``detail`` and ``worker_code`` tell
    of a failure as a problem does."""

    id: str
    service: str
    state: Literal["waiting", "running", "done", "failed", "cancelled", "expired"]
    parts: tuple[Part, ...] = ()
    code: str = ""
    detail: str = ""
    worker_code: str = ""


class CancelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cancel an earlier request, or throw its reply away."""

    id: RequestId


class NextRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Be a worker by polling: take requests of a service, waiting up to ``wait`` seconds for the first one. A worker
    counts as there while it waits, and ``linger`` seconds after that."""

    service: ServiceName
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1
    wait: Annotated[float, Meta(ge=0, le=300)] = 0.0
    linger: Annotated[float, Meta(ge=0, le=300)] = 10.0


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A request as a worker gets it; ``id`` is for the reply, ``deadline`` is Unix seconds."""

    id: str
    service: str
    payload: bytes = b""
    text: str | None = None
    content_type: str = ""
    properties: tuple[tuple[str, str], ...] = ()
    deadline: float = 0.0

    def content(self) -> bytes:
        """The payload, whichever way it came."""
        return self.payload if self.text is None else self.text.encode()


class Tasks(Struct, frozen=True, kw_only=True):
    """Requests to work on."""

    tasks: tuple[Task, ...]


class SendReply(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Answer a request, with one part or, as long as ``more`` follow, with several; or say with ``error`` (a code of
    the worker's own) and ``text`` why it cannot be answered."""

    id: RequestId
    payload: bytes = b""
    text: str | None = None
    content_type: Annotated[str, Meta(max_length=256)] = ""
    properties: Properties = ()
    more: bool = False
    error: Annotated[str, Meta(max_length=64)] = ""

    def content(self) -> bytes:
        """The payload, whichever way it was given."""
        return self.payload if self.text is None else self.text.encode()
