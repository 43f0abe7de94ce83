"""Requests: asked of a service, answered by a worker, ended by a reply, a failure, a deadline or a cancellation."""

from typing import TYPE_CHECKING, Final

from mombroker.core.barrier import Outcome
from mombroker.core.named import intake, records
from mombroker.core.named.later import Kept, LaterRequests
from mombroker.core.named.queue import SERVICE_KIND, NamedQueue
from mombroker.core.named.service import (
    KEPT_PRIORITY,
    PASSING_PRIORITY,
    QUEUE_NAME_PREFIX,
    Caller,
    Pending,
    Service,
    SessionWorker,
    TaskWorker,
    Worker,
    request_meta,
)
from mombroker.core.session import Session
from mombroker.core.timers import REQUEST
from mombroker.model.message import Message
from mombroker.model.queues import QueueSpec
from mombroker.model.store import Store
from mombroker.operations.names import check_name
from mombroker.operations.problems import (
    DEADLINE_PASSED,
    NO_SUCH_REQUEST,
    NO_SUCH_SERVICE,
    NO_WORKERS,
    OVERLOADED,
    QUOTA,
    STORE_FULL,
    Problem,
)

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

MOST_PENDING: Final = 100_000
"""Requests that may be pending at a time; one more is refused as overloaded."""

SWEEP_SECONDS: Final = 0.05
"""How exactly deadlines are kept."""

MOST_DELIVERIES: Final = 5
"""Workers that may go away with a request before its caller is told."""


class Requests:
    """Every service, and every request that has not ended."""

    def __init__(self, engine: "Engine") -> None:
        self.engine: Engine = engine
        self.services: dict[str, Service] = {}
        self.pending: dict[str, Pending] = {}
        self.later: LaterRequests = LaterRequests(self)
        self._sweep_at: float = 0.0

    # -- services

    def create(self, name: str, owner: str) -> Service:
        """Make a service, or return the one there is. Raises :class:`Problem`."""
        found = self.services.get(name)
        if found is not None:
            return found
        engine = self.engine
        who = engine.named.owner(owner)
        most = engine.limits.queues_per_user
        if most and who.queues >= most:
            raise Problem(QUOTA, f"{owner or 'nobody'} has {who.queues} queues, which is all that are allowed")
        spec = QueueSpec(QUEUE_NAME_PREFIX + check_name(name), SERVICE_KIND, False, owner or None)
        queue = engine.named.make(spec, {"max_deliveries": MOST_DELIVERIES})
        intake.open_main_lane(queue)
        records.put_definition(queue)
        return self.adopt(queue)

    def adopt(self, queue: NamedQueue) -> Service:
        """The service whose queue this is."""
        name = queue.name[len(QUEUE_NAME_PREFIX) :]
        service = self.services[name] = Service(name, queue, self)
        return service

    def find(self, name: str) -> Service:
        """A service. Raises :class:`Problem`."""
        found = self.services.get(name)
        if found is None:
            raise Problem(NO_SUCH_SERVICE, f"there is no service {name!r}: its first worker makes it")
        return found

    def delete(self, service: Service) -> None:
        """A service ends; so do its requests."""
        detail = f"the service {service.name} was deleted"
        for pending in [pending for pending in self.pending.values() if pending.service is service]:
            self.end(pending.id, NO_SUCH_SERVICE, detail, "")
        for consumer in service.queue.consumers:
            if isinstance(consumer, TaskWorker):
                consumer.service_deleted()
        del self.services[service.name]
        self.engine.named.delete(service.queue)

    def restore(self, store: Store) -> None:
        """Take over the kept requests; those that have not ended are pending again."""
        for kept in self.later.restore(store):
            service = self.services.get(kept.service)
            if service is None:
                kept.failed(NO_SUCH_SERVICE, f"the service {kept.service} is gone", "")
            else:
                self.pending[kept.id] = Pending(kept.id, service, kept, kept.username, kept.deadline)
        if self.later.kept:
            self.sweep_by(self.engine.now)

    # -- workers

    def serve(self, session: Session, name: str, owner: str) -> SessionWorker:
        """An MQTT client works for a service from now on. Raises :class:`Problem`."""
        service = self.create(name, owner)
        for consumer in service.queue.consumers:
            # It may have requests already, which are not to be forgotten.
            if isinstance(consumer, SessionWorker) and consumer.session is session:
                return consumer
        worker = SessionWorker(session, service)
        service.queue.add(worker)
        return worker

    def leave(self, worker: Worker) -> None:
        """A worker works for its service no more; what it had is for others."""
        queue = worker.service.queue
        queue.consumers = [other for other in queue.consumers if other is not worker]
        worker.service.worker_gone(worker)

    # -- asking

    def ask(
        self, service: Service, message: Message, caller: Caller, username: str | None, seconds: float, patient: bool
    ) -> Pending:
        """Ask a service; the caller is told of the reply. Raises :class:`Problem`."""
        if not patient and service.workers() == 0:
            raise Problem(NO_WORKERS, f"nobody serves {service.name} now")
        return self._begin(service, message, caller, username, seconds, "", PASSING_PRIORITY)

    def ask_later(
        self, service: Service, message: Message, username: str | None, seconds: float, keep: float
    ) -> Pending:
        """Ask a service; the reply is kept for ``keep`` seconds, for whoever fetches it. Raises :class:`Problem`."""
        engine = self.engine
        if engine.barrier.refusing:
            raise Problem(STORE_FULL, "the disk is full: nothing can be kept until there is room")
        request_id = f"{engine.new_id():x}"
        caller = self.later.begin(request_id, service.name, username, engine.now + seconds, keep)
        try:
            pending = self._begin(service, message, caller, username, seconds, request_id, KEPT_PRIORITY)
        except Problem:
            self.later.drop(caller)
            raise
        engine.barrier.tell(NotKept(self, caller))
        return pending

    def _begin(
        self,
        service: Service,
        message: Message,
        caller: Caller,
        username: str | None,
        seconds: float,
        request_id: str,
        priority: int,
    ) -> Pending:
        engine = self.engine
        if len(self.pending) >= MOST_PENDING:
            raise Problem(OVERLOADED, f"{MOST_PENDING} requests are pending already")
        queue = service.queue
        refused = intake.refusal_of(queue, 1, message.size(), message)
        if refused:
            raise Problem(refused, f"the queue of the service {service.name} is full")
        deadline = engine.now + seconds
        message.expires_at = deadline
        pending = Pending(request_id or f"{engine.new_id():x}", service, caller, username, deadline)
        self.pending[pending.id] = pending
        intake.enqueue(queue, message, request_meta(pending.id, priority))
        self.sweep_by(deadline)
        queue.pump(queue.queue)
        return pending

    # -- answering

    def running(self, request_id: str, worker_key: str) -> Pending:
        """The request that a worker is about to answer. Raises :class:`Problem`."""
        pending = self.pending.get(request_id)
        if pending is None or pending.worker is None or pending.worker.key != worker_key:
            detail = f"the request {request_id!r} has ended, or is not yours: its deadline may have passed"
            raise Problem(NO_SUCH_REQUEST, detail)
        return pending

    def reply(self, pending: Pending, payload: bytes, properties: bytes, more: bool) -> None:
        """A worker has a part of the reply."""
        pending.begun = True
        if not more:
            self._close(pending)
        pending.caller.answered(payload, properties, more)

    def fail(self, pending: Pending, code: str, detail: str, worker_code: str) -> None:
        """There will be no (further) reply."""
        self._close(pending)
        pending.caller.failed(code, detail, worker_code)

    def end(self, request_id: str, code: str, detail: str, worker_code: str) -> None:
        """The same by the request's id, if it is still pending."""
        pending = self.pending.get(request_id)
        if pending is not None:
            self.fail(pending, code, detail, worker_code)

    def cancel(self, pending: Pending) -> None:
        """Nobody wants the reply any more."""
        self._close(pending)

    def _close(self, pending: Pending) -> None:
        """A request ends: its message leaves the queue, and its worker has room for another one."""
        self.pending.pop(pending.id, None)
        worker = pending.worker
        ref = pending.ref
        pending.ref = None
        pending.worker = None
        if worker is not None:
            worker.running.pop(pending.id, None)
        queue = pending.service.queue
        if ref is not None:
            queue.ack(ref)
            queue.pump(queue.queue)

    # -- deadlines

    def sweep(self) -> None:
        """End what has passed its deadline, and what was kept long enough."""
        engine = self.engine
        if self._sweep_at > engine.now:
            return
        self._sweep_at = 0.0
        earliest = self.later.expire()
        late: list[Pending] = []
        for pending in self.pending.values():
            if pending.deadline <= engine.now:
                late.append(pending)
            elif earliest == 0.0 or pending.deadline < earliest:
                earliest = pending.deadline
        for pending in late:
            if self.pending.get(pending.id) is not pending:
                continue  # its queue has found out first, when a worker got room
            self.fail(pending, DEADLINE_PASSED, f"{pending.service.name} did not answer in time", "")
        if earliest:
            self.sweep_by(max(earliest, engine.now + SWEEP_SECONDS))

    def sweep_by(self, deadline: float) -> None:
        """Look at this time at the latest."""
        if self._sweep_at == 0.0 or deadline < self._sweep_at:
            self._sweep_at = deadline
            self.engine.timers.add(deadline, REQUEST)
            self.engine.schedule_tick()


class NotKept(Outcome):
    """A kept request is dropped again if the store has no room for it."""

    def __init__(self, requests: Requests, kept: Kept) -> None:
        super().__init__(False)
        self.requests: Requests = requests
        self.caller: Kept = kept

    def refused(self) -> None:
        """The store had no room."""
        pending = self.requests.pending.get(self.caller.id)
        if pending is not None:
            self.requests.cancel(pending)
        if self.caller.id in self.requests.later.kept:
            self.requests.later.drop(self.caller)
