"""The native API in memory: enough of it to see what the transport makes of it.

A queue or service called ``problem.CODE`` fails with that code. ``calls`` holds every request that has come.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

from msgspec import Struct, structs

from mombroker.api.caller import Caller
from mombroker.model.identity import Identity
from mombroker.operations import admin, queues, services
from mombroker.operations.messages import (
    Ack,
    Enqueue,
    Enqueued,
    Extend,
    FindMessage,
    InMessage,
    Messages,
    Nack,
    OutMessage,
    Peek,
    Publish,
    Published,
    Pull,
    Settled,
)
from mombroker.operations.problems import (
    NO_SUCH_MESSAGE,
    NO_SUCH_QUEUE,
    NO_SUCH_REQUEST,
    NO_WORKERS,
    NOT_LOGGED_IN,
    SERVICE_FAILED,
    UNKNOWN_LEASE,
    Problem,
)

Item = TypeVar("Item", InMessage, services.Task)
GATED = (Enqueue, queues.GetQueue)
"""What waits as long as the gate is closed."""

NUMBERS = queues.QueueNumbers(
    depth=5,
    ready=3,
    leased=1,
    delayed=1,
    bytes=2**40,
    oldest_age=1.5,
    consumers=2,
    enqueued=10,
    delivered=9,
    acked=4,
    redelivered=1,
    expired=0,
    dead_lettered=0,
    dropped=0,
    duplicates=0,
    enqueue_rate=0.25,
    ack_rate=0.0,
)


class Changes:
    """Wakes those who wait for something to hold."""

    def __init__(self) -> None:
        self.waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Something has changed."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, holds: Callable[[], Any]) -> None:
        """Return when it holds."""
        while not holds():
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.add(waiter)
            try:
                await waiter
            finally:
                self.waiters.discard(waiter)


class FakeNative:
    """Users: ``anna`` with the password ``secret``, and anonymous ones."""

    def __init__(self) -> None:
        self.calls: list[Struct] = []
        self.callers: list[Caller] = []
        self.ready: dict[str, deque[InMessage]] = {}
        self.leased: dict[str, InMessage] = {}
        self.streams: list[FakeStream[Any]] = []
        self.replies: dict[str, asyncio.Future[services.Reply]] = {}
        self.tasks: dict[str, services.Task] = {}
        self.changed = Changes()
        self.numbers = itertools.count(1)
        self.closed_parts = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def login(self, username: str | None, password: bytes | None, address: str, transport: str) -> Caller:
        """Who this is."""
        if (username, password) not in ((None, None), ("anna", b"secret")):
            raise Problem(NOT_LOGGED_IN, f"the name or the password of {username} is wrong")
        return Caller(Identity(f"{transport}:{username or ''}", username, address=address), transport)

    async def call(self, caller: Caller, request: Struct) -> Struct:
        """Carry out an operation."""
        self.calls.append(request)
        self.callers.append(caller)
        if type(request) in GATED:
            await self.gate.wait()
        name = str(getattr(request, "queue", "") or getattr(request, "service", ""))
        if name.startswith("problem."):
            raise Problem(name.removeprefix("problem."), f"{name} is none: déjà vu", "E42 ü%")
        handler = getattr(self, f"_{type(request).__name__.lower()}", None)
        answer: Struct = await handler(request) if handler is not None else ANSWERS[type(request)]
        return answer

    async def parts(self, caller: Caller, request: services.Request) -> AsyncIterator[services.Part]:
        """Ask a service that answers in three parts, and then fails."""
        self.calls.append(request)
        try:
            for number in range(3):
                yield services.Part(payload=request.content() + b"%d" % number)
            if request.patient:
                await self.changed.until(lambda: False)
            raise Problem(SERVICE_FAILED, "that was all", worker_code="E3")
        finally:
            self.closed_parts.set()

    def consume(self, caller: Caller, queue: str, credit: int, lease: float = 0.0) -> "FakeStream[InMessage]":
        """Push messages."""
        return self._stream(self, queue, credit)

    def serve(self, caller: Caller, service: str, credit: int) -> "FakeStream[services.Task]":
        """Push requests."""
        return self._stream(self, f"service:{service}", credit)

    def _stream(self, *arguments: Any) -> "FakeStream[Any]":
        stream: FakeStream[Any] = FakeStream(*arguments)
        self.streams.append(stream)
        return stream

    def put(self, queue: str, messages: Any) -> None:
        """Let items be ready."""
        self.ready.setdefault(queue, deque()).extend(messages)
        self.changed.notify()

    def take(self, queue: str, limit: int) -> Iterator[InMessage]:
        """Lease items that are ready."""
        if queue not in self.ready:
            raise Problem(NO_SUCH_QUEUE, f"there is no queue {queue}; create it first")
        ready = self.ready[queue]
        for _ in range(min(limit, len(ready))):
            item = ready.popleft()
            leased = structs.replace(item, lease=f"lease-{next(self.numbers)}")
            self.leased[leased.lease] = leased
            yield leased

    async def _createqueue(self, request: queues.CreateQueue) -> queues.QueueInfo:
        self.put(request.queue, ())
        return info(request.queue, request.policy, request.bindings)

    async def _enqueue(self, request: Enqueue) -> Enqueued:
        made = [in_message(request.queue, message, next(self.numbers)) for message in request.messages]
        self.put(request.queue, made)
        return Enqueued(ids=tuple(message.id for message in made))

    async def _pull(self, request: Pull) -> Messages:
        messages = tuple(self.take(request.queue, request.limit))
        if not messages and request.wait:
            try:
                async with asyncio.timeout(request.wait):
                    await self.changed.until(lambda: self.ready[request.queue])
            except TimeoutError:
                return Messages(messages=())
            messages = tuple(self.take(request.queue, request.limit))
        return Messages(messages=messages)

    async def _peek(self, request: Peek) -> Messages:
        return Messages(messages=tuple(self.ready[request.queue])[: request.limit])

    async def _findmessage(self, request: FindMessage) -> InMessage:
        for message in self.ready[request.queue]:
            if message.id == request.id:
                return message
        raise Problem(NO_SUCH_MESSAGE, f"there is no message {request.id}")

    def _settled(self, leases: tuple[str, ...]) -> tuple[list[InMessage], Settled]:
        known = [self.leased.pop(lease) for lease in leases if lease in self.leased]
        if not known:
            raise Problem(UNKNOWN_LEASE, "none of the leases is held")
        gone = {message.lease for message in known}
        self._give_credit_back(gone)
        return known, Settled(settled=len(known), unknown=tuple(lease for lease in leases if lease not in gone))

    async def _ack(self, request: Ack) -> Settled:
        return self._settled(request.leases)[1]

    async def _nack(self, request: Nack) -> Settled:
        known, settled = self._settled(request.leases)
        for message in known:
            self.put(message.queue, [structs.replace(message, lease="", deliveries=message.deliveries + 1)])
        return settled

    async def _extend(self, request: Extend) -> Settled:
        return Settled(settled=len(request.leases))

    async def _request(self, request: services.Request) -> services.Reply:
        if not request.patient and f"service:{request.service}" not in self.ready:
            raise Problem(NO_WORKERS, f"nobody serves {request.service}")
        task = services.Task(id=f"request-{next(self.numbers)}", service=request.service, payload=request.content())
        self.tasks[task.id] = task
        self.replies[task.id] = asyncio.get_running_loop().create_future()
        self.put(f"service:{request.service}", [task])
        return await self.replies[task.id]

    async def _sendreply(self, request: services.SendReply) -> queues.Done:
        if request.id not in self.replies:
            raise Problem(NO_SUCH_REQUEST, f"there is no request {request.id}")
        if request.error:
            self.replies[request.id].set_exception(
                Problem(SERVICE_FAILED, request.content().decode(), worker_code=request.error)
            )
        else:
            part = services.Part(payload=request.content(), content_type=request.content_type)
            self.replies[request.id].set_result(services.Reply(parts=(part,)))
        for stream in self.streams:
            stream.answered(request.id)
        return queues.Done()

    def _give_credit_back(self, settled: set[str]) -> None:
        for stream in self.streams:
            stream.settled(settled)
        self.changed.notify()


class FakeStream(Generic[Item]):
    """Pushes what is ready."""

    def __init__(self, native: FakeNative, queue: str, credit: int) -> None:
        self._native = native
        self._queue = queue
        self._credit = credit
        self._held: dict[str, Item] = {}
        self.batches = 0
        self.closed = asyncio.Event()
        if queue.startswith("service:"):
            native.ready.setdefault(queue, deque())

    def __aiter__(self) -> "FakeStream[Item]":
        return self

    async def __anext__(self) -> tuple[Item, ...]:
        native = self._native
        if self._queue not in native.ready:
            raise Problem(NO_SUCH_QUEUE, f"there is no queue {self._queue}; create it first")
        await native.changed.until(
            lambda: self._queue not in native.ready or (native.ready[self._queue] and len(self._held) < self._credit)
        )
        if self._queue not in native.ready:
            raise Problem(NO_SUCH_QUEUE, f"the queue {self._queue} has been deleted")
        free = self._credit - len(self._held)
        items: tuple[Any, ...]
        if self._queue.startswith("service:"):
            ready: Any = native.ready[self._queue]
            items = tuple(ready.popleft() for _ in range(min(free, len(ready))))
            self._held.update((item.id, item) for item in items)
        else:
            items = tuple(native.take(self._queue, free))
            self._held.update((item.lease, item) for item in items)
        self.batches += 1
        return items

    def settled(self, names: set[str]) -> None:
        """Credit comes back."""
        for name in names:
            self._held.pop(name, None)

    def answered(self, name: str) -> None:
        """A request is answered, which gives no credit back."""
        if self._held.pop(name, None) is not None:
            self._credit -= 1

    def add_credit(self, count: int) -> None:
        """More at a time."""
        self._credit += count
        self._native.changed.notify()

    async def close(self) -> None:
        """Give everything back."""
        held = list(self._held.values())
        self._held.clear()
        for item in reversed(held):
            if isinstance(item, InMessage):
                self._native.leased.pop(item.lease, None)
                item = structs.replace(item, lease="")
            self._native.ready[self._queue].appendleft(item)  # type: ignore[arg-type]
        self._native.changed.notify()
        self.closed.set()


def in_message(queue: str, message: OutMessage, number: int) -> InMessage:
    """A message as it comes out of a queue."""
    return InMessage(
        id=message.id or f"m{number}",
        queue=queue,
        payload=message.content(),
        content_type=message.content_type,
        properties=message.properties,
        priority=message.priority,
        key=message.key,
        enqueued_at=1_700_000_000.5,
    )


def info(queue: str, policy: queues.Policy, bindings: tuple[str, ...]) -> queues.QueueInfo:
    """All about a queue."""
    return queues.QueueInfo(
        queue=queue, owner="anna", created_at=1.5, policy=policy, bindings=bindings, numbers=NUMBERS
    )


POLICY = queues.Policy(overflow="drop-oldest", max_messages=0, dead_letter="", single_active=True, lease=30.0)
INFO = info("jobs", POLICY, ("a/#", "b"))
SERVICE = services.ServiceInfo(service="thumbs", owner="", workers=1, waiting=2, running=3)
DONE = queues.Done()
ANSWERS: dict[type[Struct], Struct] = {
    queues.GetQueue: INFO,
    queues.ListQueues: queues.QueueList(queues=(INFO, INFO), more=True),
    queues.ChangeQueue: INFO,
    queues.PurgeQueue: queues.Count(count=7),
    queues.DeleteQueue: queues.Count(count=0),
    queues.RedriveQueue: queues.Count(count=2**40),
    queues.PutGrant: DONE,
    queues.DeleteGrant: DONE,
    queues.ListGrants: queues.GrantList(
        grants=(queues.Grant(owner="anna", user="bob", pattern="j*", rights=("read", "write")),)
    ),
    Publish: Published(matched=True),
    services.CreateService: SERVICE,
    services.DeleteService: DONE,
    services.ListServices: services.ServiceList(services=(SERVICE,)),
    services.RequestLater: services.Ticket(id="r1"),
    services.FetchReply: services.ReplyState(
        id="r1",
        service="thumbs",
        state="failed",
        parts=(services.Part(text="so far"),),
        code="service-failed",
        detail="no",
        worker_code="E1",
    ),
    services.CancelRequest: DONE,
    services.NextRequest: services.Tasks(
        tasks=(services.Task(id="r1", service="thumbs", text="ü", properties=(("a", "1"), ("a", "2")), deadline=9.5),)
    ),
    admin.ListClients: admin.ClientList(
        clients=(
            admin.ClientInfo(
                client_id="c",
                username="",
                connected=True,
                address="::1",
                version=5,
                expiry=0xFFFFFFFF,
                subscriptions=1,
                queued=2,
                inflight=3,
            ),
        ),
        more=False,
    ),
    admin.DisconnectClient: DONE,
    admin.ListRetained: admin.RetainedList(
        retained=(admin.RetainedInfo(topic="t", qos=1, bytes=3, published_at=1.0, expires_at=0.0),), more=False
    ),
    admin.DeleteRetained: DONE,
    admin.ListUsers: admin.UserList(users=(admin.UserInfo(user="anna", roles=("admin",)),)),
    admin.PutUser: DONE,
    admin.DeleteUser: DONE,
    admin.GetStatistics: admin.BrokerStatistics(
        version="1",
        uptime=1.0,
        compiled=True,
        clients_connected=1,
        sessions=2,
        subscriptions=3,
        queues=4,
        services=5,
        messages_waiting=6,
        retained=7,
        publishes_received=8,
        publishes_sent=9,
        publishes_dropped=10,
        bytes_received=11,
        bytes_sent=12,
        commits=13,
    ),
}
