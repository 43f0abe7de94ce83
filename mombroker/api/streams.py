"""Streams of the native API: messages pushed to a consumer, requests pushed to a worker, each as credit allows."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from mombroker.api.contents import in_message, read_properties
from mombroker.core.named.consumers import Pull, StreamConsumer
from mombroker.core.named.leases import Lease
from mombroker.core.named.queue import NamedQueue
from mombroker.core.named.service import Pending, Service, TaskWorker
from mombroker.operations.messages import InMessage
from mombroker.operations.problems import NO_SUCH_QUEUE, NO_SUCH_SERVICE, Problem
from mombroker.operations.services import Task

if TYPE_CHECKING:
    from mombroker.api.caller import Caller
    from mombroker.api.context import ApiContext

PULL_BYTES = 4 * 1024 * 1024
"""Payloads that one pull is answered with, at the most; but always one message."""


class ApiPull(Pull):
    """One pull, answered through a future."""

    def __init__(
        self,
        future: "asyncio.Future[list[Lease]]",
        key: str,
        caller: "Caller",
        limit: int,
        lease: float,
        deadline: float,
    ) -> None:
        super().__init__(key, caller.identity.username, limit, lease, deadline)
        self.future = future
        self._room = PULL_BYTES

    def has_credit(self) -> bool:
        """Whether one more message may come along."""
        return self.credit > 0 and self._room > 0 and not self.ended and not self.future.done()

    def take(self, queue: NamedQueue, ref, deliveries: int) -> None:  # type: ignore[no-untyped-def]
        """Take a message on a lease."""
        self._room -= ref.message.size()
        super().take(queue, ref, deliveries)

    def arrived(self, leases: list[Lease]) -> None:
        """This is the answer."""
        if self.future.done():
            give_back(leases)
        else:
            self.future.set_result(leases)

    def queue_deleted(self) -> None:
        """There is nothing to wait for any more."""
        if not self.future.done():
            self.future.set_exception(Problem(NO_SUCH_QUEUE, "the queue was deleted"))


def give_back(leases: list[Lease]) -> None:
    """Nobody has received these messages: they are for the next consumer, and that was no delivery."""
    for lease in leases:
        queue = lease.queue
        if lease.ended or queue.deleted:
            continue
        queue.end_lease(lease)
        queue.let_go(lease.ref)
        queue.make_ready(lease.ref)
    for queue in {id(lease.queue): lease.queue for lease in leases}.values():
        queue.pump(queue.queue)


class _Stream(StreamConsumer):
    def __init__(self, key: str, caller: "Caller", credit: int, lease: float) -> None:
        super().__init__(key, caller.identity.username, credit, lease)
        self.waiting: deque[list[Lease]] = deque()
        self.wake = asyncio.Event()
        self.gone = False

    def arrived(self, leases: list[Lease]) -> None:
        """Keep them until they are asked for."""
        self.waiting.append(leases)
        self.wake.set()

    def queue_deleted(self) -> None:
        """There is nothing to wait for any more."""
        self.gone = True
        self.wake.set()


class Consumption:
    """Messages pushed from a queue: an async iterator of batches. At no time are more than ``credit`` messages out that
    have not been settled; settling one gives its credit back."""

    def __init__(self, context: "ApiContext", caller: "Caller", queue: str, credit: int, lease: float) -> None:
        self._context = context
        self._caller = caller
        self._name = queue
        self._credit = credit
        self._lease = lease
        self._queue: NamedQueue | None = None
        self._stream: _Stream | None = None
        self._closed = False

    def __aiter__(self) -> "Consumption":
        return self

    async def __anext__(self) -> tuple[InMessage, ...]:
        """The next batch. Raises :class:`Problem` if there is no such queue, or it is deleted."""
        stream = self._stream or await self._begin()
        while not stream.waiting:
            if self._closed:
                raise StopAsyncIteration
            if stream.gone:
                raise Problem(NO_SUCH_QUEUE, f"the queue {self._name} was deleted")
            stream.wake.clear()
            await self._context.wait_for(stream.wake, self._caller)
        self._context.check_login(self._caller)
        leases = [lease for lease in stream.waiting.popleft() if not lease.ended]
        return tuple(in_message(lease.queue, lease.ref, lease.token, lease.deliveries) for lease in leases)

    async def begin(self) -> None:
        """Begin to consume now, and not with the first iteration: so that a :class:`Problem` shows up at once."""
        if self._stream is None:
            await self._begin()

    async def _begin(self) -> _Stream:
        queue = await self._context.queue(self._caller, "read", self._name)
        key = f"stream:{queue.engine.new_id():x}"
        stream = self._stream = _Stream(key, self._caller, self._credit, self._lease)
        self._queue = queue
        queue.add(stream)
        queue.engine.wake()
        return stream

    def add_credit(self, count: int) -> None:
        """Let so many messages more be out at a time."""
        if self._stream is None:
            self._credit += count
        elif self._queue is not None and not self._queue.deleted:
            self._stream.credit += count
            engine = self._context.enter()
            self._queue.pump(self._queue.queue)
            engine.wake()

    async def close(self) -> None:
        """No more messages; those that are out are available to others again."""
        self._closed = True
        stream, queue = self._stream, self._queue
        if stream is None or queue is None or stream.ended:
            return
        stream.ended = True
        stream.wake.set()
        if not queue.deleted and not self._context.closing:
            engine = self._context.enter()
            unseen = [lease for batch in stream.waiting for lease in batch]
            stream.waiting.clear()
            give_back(unseen)
            queue.remove(stream)
            engine.wake()


def task_of(pending: Pending) -> Task:
    """A request as a worker gets it."""
    ref = pending.ref
    assert ref is not None, "a request that is not running has no task"
    message = ref.message
    content_type, properties = read_properties(message.properties) if message.properties else ("", ())
    return Task(
        id=pending.id,
        service=pending.service.name,
        payload=message.payload,
        content_type=content_type,
        properties=properties,
        deadline=pending.deadline,
    )


class _StreamWorker(TaskWorker):
    def __init__(self, key: str, caller: "Caller", service: Service, credit: int) -> None:
        super().__init__(key, caller.identity.username, service, credit)
        self.waiting: deque[list[Pending]] = deque()
        self.wake = asyncio.Event()
        self.gone = False

    def arrived(self, requests: list[Pending]) -> None:
        """Keep them until they are asked for."""
        self.waiting.append(requests)
        self.wake.set()

    def service_deleted(self) -> None:
        """There is nothing to wait for any more."""
        self.gone = True
        self.wake.set()


class Serving:
    """Requests pushed to a worker: an async iterator of batches. A reply does not give credit back; ``add_credit``
    does."""

    def __init__(self, context: "ApiContext", caller: "Caller", service: str, credit: int) -> None:
        self._context = context
        self._caller = caller
        self._name = service
        self._credit = credit
        self._worker: _StreamWorker | None = None
        self._closed = False

    def __aiter__(self) -> "Serving":
        return self

    async def __anext__(self) -> tuple[Task, ...]:
        """The next batch. Raises :class:`Problem` if the service is deleted."""
        worker = self._worker or await self._begin()
        while not worker.waiting:
            if self._closed:
                raise StopAsyncIteration
            if worker.gone:
                raise Problem(NO_SUCH_SERVICE, f"the service {self._name} was deleted")
            worker.wake.clear()
            await self._context.wait_for(worker.wake, self._caller)
        self._context.check_login(self._caller)
        return tuple(task_of(pending) for pending in worker.waiting.popleft() if pending.worker is worker)

    async def _begin(self) -> _StreamWorker:
        service = await serve(self._context, self._caller, self._name)
        key = f"stream:{self._context.engine.new_id():x}"
        worker = self._worker = _StreamWorker(key, self._caller, service, self._credit)
        service.queue.add(worker)
        self._context.engine.wake()
        return worker

    def add_credit(self, count: int) -> None:
        """Take so many requests more."""
        worker = self._worker
        if worker is None:
            self._credit += count
        elif not worker.gone:
            worker.credit += count
            engine = self._context.enter()
            worker.service.queue.pump(worker.service.queue.queue)
            engine.wake()

    async def close(self) -> None:
        """No more requests; those that were not answered are for other workers."""
        worker = self._worker
        if worker is None or self._closed:
            self._closed = True
            return
        self._closed = True
        worker.wake.set()
        if not worker.gone and not self._context.closing:
            engine = self._context.enter()
            engine.requests.leave(worker)
            engine.wake()


async def serve(context: "ApiContext", caller: "Caller", name: str) -> Service:
    """The service that a worker works for from now on, made if it is not there."""
    engine = context.enter()
    if name in engine.requests.services:
        return await context.service(caller, "read", name)
    await context.may_make(caller, f"service:{name}")
    return engine.requests.create(name, caller.user)
