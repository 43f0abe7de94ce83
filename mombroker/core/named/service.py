"""Services: queues of requests whose consumers answer. A request is pending from the moment it is asked to its end.

The requests of callers who wait for the reply are in memory; those of callers who fetch it later are on disk, and so
are the replies (``later``).
"""

from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from mombroker.core.connection import OPEN
from mombroker.core.delivery import send_qos0
from mombroker.core.named.consumers import QueueConsumer, has_room_for_qos0
from mombroker.core.named.meta import Meta
from mombroker.core.named.queue import NamedQueue
from mombroker.core.queue import Ref
from mombroker.core.session import Session
from mombroker.model.message import Message
from mombroker.model.queues import SERVICE_PREFIX, SERVICE_QUEUE_PREFIX
from mombroker.mqtt.packet_types import V5
from mombroker.mqtt.properties import response_block, user_property
from mombroker.operations.problems import DEADLINE_PASSED, OVERLOADED, SERVICE_FAILED

if TYPE_CHECKING:
    from mombroker.core.named.requests import Requests

QUEUE_NAME_PREFIX: Final = SERVICE_QUEUE_PREFIX
"""Before the name of a service in the name of its queue."""

KEPT_PRIORITY: Final = 0
PASSING_PRIORITY: Final = 1
"""The lanes of a service: requests that are on disk, and, before them, those whose callers wait."""

WAITING: Final = "waiting"
RUNNING: Final = "running"


@mypyc_attr(allow_interpreted_subclasses=True)
class Caller:
    """Whoever has asked. Told of every part of the reply, or of a failure; after a failure, or a part that is the
    last one, of nothing more."""

    def answered(self, payload: bytes, properties: bytes, more: bool) -> None:
        """A part of the reply; ``properties`` is a block of MQTT 5 end-to-end properties."""
        raise NotImplementedError

    def failed(self, code: str, detail: str, worker_code: str) -> None:
        """There will be no reply, or no more of it: the code of a problem, and the worker's own if it gave one."""
        raise NotImplementedError

    def taken(self) -> None:
        """A worker has the request."""

    def can_begin_anew(self) -> bool:
        """Whether parts that it has been told of can be taken back, when another worker begins."""
        return False


class Pending:
    """A request that has not ended. ``deadline`` is Unix seconds; ``username`` is the caller's; ``begun`` tells whether
    parts of the reply have come."""

    __slots__ = ("id", "service", "caller", "username", "deadline", "state", "ref", "worker", "begun")

    def __init__(self, id: str, service: "Service", caller: Caller, username: str | None, deadline: float) -> None:
        self.id: str = id
        self.service: Service = service
        self.caller: Caller = caller
        self.username: str | None = username
        self.deadline: float = deadline
        self.begun: bool = False
        self.state: str = WAITING
        self.ref: Ref | None = None
        self.worker: Worker | None = None


@mypyc_attr(allow_interpreted_subclasses=True)
class Worker(QueueConsumer):
    """Who answers requests. ``running`` is what it has been given and not answered."""

    def __init__(self, key: str, username: str | None, service: "Service") -> None:
        super().__init__(key, username)
        self.service: Service = service
        self.running: dict[str, Pending] = {}

    def take(self, queue: NamedQueue, ref: Ref, deliveries: int) -> None:
        """Take a request, if anybody still waits for its reply."""
        pending = self.service.requests.pending.get(queue.meta(ref).request)
        if pending is None:
            queue.settled(queue.engine.barrier, ref)
            return
        pending.state = RUNNING
        pending.ref = ref
        pending.worker = self
        self.running[pending.id] = pending
        pending.caller.taken()
        self.give(pending, ref)

    def give(self, pending: Pending, ref: Ref) -> None:
        """Hand the request over."""
        raise NotImplementedError


class SessionWorker(Worker):
    """An MQTT client that has subscribed to ``$service/NAME/request/+``. Its window bounds what it works on."""

    def __init__(self, session: Session, service: "Service") -> None:
        super().__init__("client:" + session.client_id, session.identity.username, service)
        self.session: Session = session

    def is_there(self) -> bool:
        """Whether the client is connected."""
        connection = self.session.connection
        return connection is not None and connection.state == OPEN

    def has_credit(self) -> bool:
        """Whether the client is connected, reads, and works on few enough requests."""
        connection = self.session.connection
        if connection is None or connection.state != OPEN or not connection.takes_deliveries():
            return False
        return len(self.running) < connection.window and has_room_for_qos0(connection)

    def give(self, pending: Pending, ref: Ref) -> None:
        """Send the request. The lease, not an acknowledgement, sees to it that it is not lost."""
        connection = self.session.connection
        if connection is None:
            return
        engine = self.session.engine
        topic = f"{SERVICE_PREFIX}{self.service.name}/request/{pending.id}"
        message = ref.message
        properties = b""
        if connection.version == V5:
            reply_topic = f"{SERVICE_PREFIX}{self.service.name}/reply/{pending.id}"
            deadline = user_property("mom-deadline", f"{pending.deadline:.3f}")
            properties = response_block(reply_topic, pending.id.encode()) + deadline + message.properties
        request = Message(topic, message.payload, 0, False, properties, engine.now)
        send_qos0(self.session, connection, request, False, b"", engine.now)


@mypyc_attr(allow_interpreted_subclasses=True)
class TaskWorker(Worker):
    """A worker of the native API: it takes ``credit`` requests more."""

    def __init__(self, key: str, username: str | None, service: "Service", credit: int) -> None:
        super().__init__(key, username, service)
        self.credit: int = credit
        self.batch: list[Pending] = []

    def has_credit(self) -> bool:
        """Whether it takes one more."""
        return self.credit > 0

    def give(self, pending: Pending, ref: Ref) -> None:
        """Keep the request until the turn's are together."""
        self.credit -= 1
        self.batch.append(pending)

    def flush(self) -> None:
        """Hand on what was taken."""
        if self.batch:
            batch = self.batch
            self.batch = []
            self.arrived(batch)

    def arrived(self, requests: list[Pending]) -> None:
        """Requests to work on; the content is that of ``ref.message``."""
        raise NotImplementedError

    def service_deleted(self) -> None:
        """There will be no more requests."""
        raise NotImplementedError


class Service:
    """A service. Its queue has no bindings: requests come through :class:`Requests` only."""

    __slots__ = ("name", "queue", "requests")

    def __init__(self, name: str, queue: NamedQueue, requests: "Requests") -> None:
        self.name: str = name
        self.queue: NamedQueue = queue
        self.requests: Requests = requests
        queue.service = self
        queue.attach_lanes()

    def workers(self) -> int:
        """How many workers are there."""
        count = 0
        for consumer in self.queue.consumers:
            if isinstance(consumer, Worker) and consumer.is_there():
                count += 1
        return count

    def running(self) -> int:
        """How many requests are being worked on."""
        return self.queue.held_count

    def check_workers(self) -> None:
        """A client has gone: what it was working on is for others."""
        for consumer in self.queue.consumers:
            if isinstance(consumer, Worker) and consumer.running and not consumer.is_there():
                self.worker_gone(consumer)

    def worker_gone(self, worker: Worker) -> None:
        """What a worker had is for another one; but half a reply cannot be gone on with by somebody else."""
        running = worker.running
        worker.running = {}
        for pending in running.values():
            if pending.begun and not pending.caller.can_begin_anew():
                detail = f"the worker of {self.name} went away in the middle of its reply"
                self.requests.fail(pending, SERVICE_FAILED, detail, "")
                continue
            ref = pending.ref
            pending.state = WAITING
            pending.ref = None
            pending.worker = None
            if ref is not None:
                self.queue.returned(ref)
        self.queue.pump(self.queue.queue)

    def hand_back(self, pending: Pending) -> None:
        """A worker was given a request that it never got: it is for another one, and that was no delivery."""
        worker = pending.worker
        ref = pending.ref
        if worker is None or ref is None:
            return
        worker.running.pop(pending.id, None)
        pending.state = WAITING
        pending.ref = None
        pending.worker = None
        self.queue.let_go(ref)
        self.queue.make_ready(ref)
        self.queue.pump(self.queue.queue)

    def expired(self, ref: Ref) -> None:
        """A request waited for longer than its deadline."""
        self.requests.end(self.queue.meta(ref).request, DEADLINE_PASSED, f"nobody took it in time at {self.name}", "")
        self.queue.settled(self.queue.engine.barrier, ref)

    def in_vain(self, ref: Ref, reason: str) -> None:
        """Too many workers have gone while they had this request, or too many requests wait."""
        code = SERVICE_FAILED
        detail = f"every worker of {self.name} that took the request went away before it answered"
        if reason == "overflow":
            code = OVERLOADED
            detail = f"too many requests wait for {self.name}"
        self.requests.end(self.queue.meta(ref).request, code, detail, "")
        self.queue.settled(self.queue.engine.barrier, ref)


def request_meta(request_id: str, priority: int) -> Meta:
    """What the queue is to know of a request."""
    meta = Meta()
    meta.request = request_id
    meta.priority = priority
    return meta
