"""A native API in memory: small, single-minded, and honest where the transports look."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, Struct, structs

from mombroker.model.identity import Identity
from mombroker.operations import admin, messages, queues, services
from mombroker.operations import problems as p
from mombroker.operations.catalogue import OPERATIONS
from mombroker.operations.names import check_name, matches
from mombroker.operations.problems import Problem

PASSWORDS = {"ann": b"secret", "bob": b"s\xc3\xa4fe"}
NUMBERS = dict.fromkeys(queues.QueueNumbers.__struct_fields__, 0)


@dataclass(frozen=True)
class Caller:
    identity: Identity
    transport: str


@dataclass
class Held:
    message: messages.InMessage
    queue: str


@dataclass
class Asked:
    id: str
    service: str
    request: Any
    state: str = "waiting"
    parts: list[services.Part] = field(default_factory=list)
    code: str = ""
    detail: str = ""
    worker_code: str = ""


class FakeNative:
    """``fails`` makes operations fail, by the type of their request; ``anonymous``: whether a login is not needed."""

    def __init__(self) -> None:
        self.anonymous = True
        self.fails: dict[type[Struct], BaseException] = {}
        self.queues: dict[str, queues.CreateQueue] = {}
        self.waiting: dict[str, list[messages.InMessage]] = {}
        self.leased: dict[str, Held] = {}
        self.published: list[messages.Publish] = []
        self.enqueued: list[messages.OutMessage] = []
        self.services: dict[str, list[Asked]] = {}
        self.workers: dict[str, int] = {}
        self.requests: dict[str, Asked] = {}
        self.grants: dict[tuple[str, str], queues.Grant] = {}
        self.calls: list[tuple[Caller, Struct]] = []
        self.logins: list[str | None] = []
        self.consumptions: list[FakeConsumption] = []
        self.pulling = 0
        self.changed = asyncio.Condition()
        self._ids = itertools.count(1)

    async def login(self, username: str | None, password: bytes | None, address: str, transport: str) -> Caller:
        self.logins.append(username)
        if username is None and not self.anonymous:
            raise Problem(p.NOT_LOGGED_IN, "anonymous clients are not let in")
        if username is not None and PASSWORDS.get(username) != password:
            raise Problem(p.NOT_LOGGED_IN, "bad user name or password")
        return Caller(Identity(f"{transport}:{username or ''}", username, address=address), transport)

    async def call(self, caller: Caller, request: Any) -> Struct:
        self.calls.append((caller, request))
        if type(request) in self.fails:
            raise self.fails[type(request)]
        for name, operation in OPERATIONS.items():
            if operation.request is type(request):
                answer: Struct = await getattr(self, "_" + name.replace(".", "_"))(caller, request)
                assert type(answer) is operation.response
                return answer
        raise AssertionError(request)

    def consume(self, caller: Caller, queue: str, credit: int, lease: float = 0.0) -> "FakeConsumption":
        consumption = FakeConsumption(self, queue, credit)
        self.consumptions.append(consumption)
        return consumption

    async def parts(self, caller: Caller, request: services.Request) -> AsyncIterator[services.Part]:
        reply: Any = await self.call(caller, request)
        for part in reply.parts:
            yield part

    async def notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _queue(self, name: str) -> list[messages.InMessage]:
        if name not in self.queues:
            raise Problem(p.NO_SUCH_QUEUE, f"there is no queue {check_name(name)!r}")
        return self.waiting[name]

    def take(self, queue: str, limit: int) -> tuple[messages.InMessage, ...]:
        here = self._queue(queue)
        taken = tuple(structs.replace(message, lease=f"lease-{next(self._ids)}") for message in here[:limit])
        del here[:limit]
        self.leased |= {message.lease: Held(message, queue) for message in taken}
        return taken

    # Queues

    def _info(self, name: str) -> queues.QueueInfo:
        made = self.queues[name]
        numbers = queues.QueueNumbers(**{**NUMBERS, "depth": len(self.waiting[name])})
        bindings = made.bindings if made.bindings is not UNSET else ()
        return queues.QueueInfo(
            queue=name, owner="ann", created_at=1.0, policy=made.policy, bindings=bindings, numbers=numbers
        )

    async def _queue_create(self, caller: Caller, request: queues.CreateQueue) -> queues.QueueInfo:
        check_name(request.queue)
        if request.policy.lease == 13.0:
            raise Problem(p.BAD_POLICY, "13 is unlucky")
        if self.queues.setdefault(request.queue, request) != request:
            raise Problem(p.QUEUE_EXISTS, f"the queue {request.queue!r} is there with another policy")
        self.waiting.setdefault(request.queue, [])
        return self._info(request.queue)

    async def _queue_get(self, caller: Caller, request: queues.GetQueue) -> queues.QueueInfo:
        self._queue(request.queue)
        return self._info(request.queue)

    async def _queue_list(self, caller: Caller, request: queues.ListQueues) -> queues.QueueList:
        names = [name for name in sorted(self.queues) if matches(request.pattern, name) and name > request.after]
        return queues.QueueList(queues=tuple(map(self._info, names[: request.limit])), more=len(names) > request.limit)

    async def _queue_change(self, caller: Caller, request: queues.ChangeQueue) -> queues.QueueInfo:
        self._queue(request.queue)
        old = self.queues[request.queue]
        given = {name: getattr(request.policy, name) for name in request.policy.__struct_fields__}
        policy = structs.replace(old.policy, **{name: value for name, value in given.items() if value is not UNSET})
        bindings = old.bindings if request.bindings is UNSET else request.bindings
        self.queues[request.queue] = queues.CreateQueue(queue=request.queue, policy=policy, bindings=bindings)
        return self._info(request.queue)

    async def _queue_purge(self, caller: Caller, request: queues.PurgeQueue) -> queues.Count:
        here = self._queue(request.queue)
        count = len(here)
        here.clear()
        return queues.Count(count=count)

    async def _queue_delete(self, caller: Caller, request: queues.DeleteQueue) -> queues.Count:
        count = len(self._queue(request.queue))
        if request.if_empty and count:
            raise Problem(p.QUEUE_IN_USE, f"the queue {request.queue!r} holds messages")
        del self.queues[request.queue]
        del self.waiting[request.queue]
        return queues.Count(count=count)

    async def _queue_redrive(self, caller: Caller, request: queues.RedriveQueue) -> queues.Count:
        self._queue(request.queue)
        return queues.Count(count=request.limit)

    async def _grant_put(self, caller: Caller, request: queues.PutGrant) -> queues.Done:
        owner = caller.identity.username or ""
        self.grants[request.user, request.pattern] = queues.Grant(
            owner=owner, user=request.user, pattern=request.pattern, rights=request.rights
        )
        return queues.Done()

    async def _grant_delete(self, caller: Caller, request: queues.DeleteGrant) -> queues.Done:
        self.grants.pop((request.user, request.pattern), None)
        return queues.Done()

    async def _grant_list(self, caller: Caller, request: queues.ListGrants) -> queues.GrantList:
        return queues.GrantList(grants=tuple(grant for _, grant in sorted(self.grants.items())))

    # Messages

    async def _message_enqueue(self, caller: Caller, request: messages.Enqueue) -> messages.Enqueued:
        here = self._queue(request.queue)
        if len(here) + len(request.messages) > 1000:
            raise Problem(p.QUEUE_FULL, f"the queue {request.queue!r} is full")
        self.enqueued.extend(request.messages)
        ids = []
        for message in request.messages:
            ids.append(message.id or f"m{next(self._ids)}")
            here.append(
                messages.InMessage(
                    id=ids[-1],
                    queue=request.queue,
                    payload=message.content(),
                    content_type=message.content_type,
                    properties=message.properties,
                    priority=message.priority,
                    key=message.key,
                )
            )
        await self.notify()
        return messages.Enqueued(ids=tuple(ids))

    async def _message_publish(self, caller: Caller, request: messages.Publish) -> messages.Published:
        if "+" in request.topic or "#" in request.topic:
            raise Problem(p.BAD_REQUEST, f"{request.topic[:100]!r} is no topic name: it has a wildcard")
        self.published.append(request)
        return messages.Published(matched=True)

    async def _message_pull(self, caller: Caller, request: messages.Pull) -> messages.Messages:
        self._queue(request.queue)
        self.pulling += 1
        try:
            async with asyncio.timeout(request.wait or 0.0), self.changed:
                await self.changed.wait_for(lambda: self._queue(request.queue))
        except TimeoutError:
            pass
        finally:
            self.pulling -= 1
        return messages.Messages(messages=self.take(request.queue, request.limit))

    def _settle(self, leases: tuple[str, ...]) -> tuple[list[Held], messages.Settled]:
        held = [self.leased.pop(lease) for lease in leases if lease in self.leased]
        if not held:
            raise Problem(p.UNKNOWN_LEASE, "none of these leases is held")
        unknown = tuple(leases)[len(held) :] if len(held) < len(leases) else ()
        return held, messages.Settled(settled=len(held), unknown=unknown)

    async def _message_ack(self, caller: Caller, request: messages.Ack) -> messages.Settled:
        _, answer = self._settle(request.leases)
        await self.notify()
        return answer

    async def _message_nack(self, caller: Caller, request: messages.Nack) -> messages.Settled:
        held, answer = self._settle(request.leases)
        for one in reversed(held):
            again = structs.replace(one.message, lease="", deliveries=one.message.deliveries + 1)
            if one.queue in self.waiting:
                self.waiting[one.queue].insert(0, again)
        await self.notify()
        return answer

    async def _message_extend(self, caller: Caller, request: messages.Extend) -> messages.Settled:
        held, answer = self._settle(request.leases)
        self.leased |= {one.message.lease: one for one in held}
        return answer

    async def _message_peek(self, caller: Caller, request: messages.Peek) -> messages.Messages:
        return messages.Messages(messages=tuple(self._queue(request.queue)[: request.limit]))

    async def _message_find(self, caller: Caller, request: messages.FindMessage) -> messages.InMessage:
        for message in self._queue(request.queue):
            if message.id == request.id:
                return message
        raise Problem(p.NO_SUCH_MESSAGE, f"the queue {request.queue!r} holds no message {request.id!r}")

    # Services

    def _service(self, name: str) -> list[Asked]:
        if name not in self.services:
            raise Problem(p.NO_SUCH_SERVICE, f"there is no service {check_name(name)!r}")
        return self.services[name]

    async def _service_create(self, caller: Caller, request: services.CreateService) -> services.ServiceInfo:
        self.services.setdefault(check_name(request.service), [])
        return services.ServiceInfo(service=request.service, owner="ann", workers=0, waiting=0, running=0)

    async def _service_delete(self, caller: Caller, request: services.DeleteService) -> queues.Done:
        self._service(request.service)
        del self.services[request.service]
        return queues.Done()

    async def _service_list(self, caller: Caller, request: services.ListServices) -> services.ServiceList:
        return services.ServiceList(
            services=tuple(
                services.ServiceInfo(service=name, owner="ann", workers=0, waiting=len(asked), running=0)
                for name, asked in sorted(self.services.items())
            )
        )

    async def _ask(self, request: Any) -> Asked:
        here = self._service(request.service)
        asked = Asked(f"r{next(self._ids)}", request.service, request)
        here.append(asked)
        self.requests[asked.id] = asked
        await self.notify()
        return asked

    async def _request_wait(self, caller: Caller, request: services.Request) -> services.Reply:
        self._service(request.service)
        if not request.patient and not self.workers.get(request.service):
            raise Problem(p.NO_WORKERS, f"nobody serves {request.service!r} now")
        asked = await self._ask(request)
        try:
            async with asyncio.timeout(request.timeout), self.changed:
                await self.changed.wait_for(lambda: asked.state not in ("waiting", "running"))
        except TimeoutError:
            raise Problem(p.DEADLINE_PASSED, f"{request.service!r} did not answer in time") from None
        except asyncio.CancelledError:
            asked.state = "cancelled"
            raise
        if asked.state == "failed":
            raise Problem(asked.code, asked.detail, asked.worker_code)
        return services.Reply(parts=tuple(asked.parts))

    async def _request_later(self, caller: Caller, request: services.RequestLater) -> services.Ticket:
        return services.Ticket(id=(await self._ask(request)).id)

    def _request(self, id: str) -> Asked:
        if id not in self.requests:
            raise Problem(p.NO_SUCH_REQUEST, f"there is no request {id!r}")
        return self.requests[id]

    async def _request_fetch(self, caller: Caller, request: services.FetchReply) -> services.ReplyState:
        asked = self._request(request.id)
        try:
            async with asyncio.timeout(request.wait or 0.0), self.changed:
                await self.changed.wait_for(lambda: asked.state not in ("waiting", "running"))
        except TimeoutError:
            pass
        return services.ReplyState(
            id=asked.id,
            service=asked.service,
            state=asked.state,  # type: ignore[arg-type]
            parts=tuple(asked.parts),
            code=asked.code,
            detail=asked.detail,
            worker_code=asked.worker_code,
        )

    async def _request_cancel(self, caller: Caller, request: services.CancelRequest) -> queues.Done:
        self._request(request.id).state = "cancelled"
        await self.notify()
        return queues.Done()

    async def _worker_next(self, caller: Caller, request: services.NextRequest) -> services.Tasks:
        here = self.services.setdefault(check_name(request.service), [])
        self.workers[request.service] = 1
        await self.notify()
        try:
            async with asyncio.timeout(request.wait or 0.0), self.changed:
                await self.changed.wait_for(lambda: here)
        except TimeoutError:
            pass
        tasks = here[: request.limit]
        del here[: request.limit]
        for asked in tasks:
            asked.state = "running"
        return services.Tasks(
            tasks=tuple(
                services.Task(
                    id=asked.id,
                    service=asked.service,
                    payload=asked.request.content(),
                    content_type=asked.request.content_type,
                    properties=asked.request.properties,
                    deadline=time.time() + asked.request.timeout,
                )
                for asked in tasks
            )
        )

    async def _worker_reply(self, caller: Caller, request: services.SendReply) -> queues.Done:
        asked = self._request(request.id)
        if asked.state == "cancelled":
            raise Problem(p.CANCELLED, f"the request {request.id!r} was cancelled")
        if request.error:
            asked.state, asked.code, asked.worker_code = "failed", p.SERVICE_FAILED, request.error
            asked.detail = request.content().decode()
        else:
            asked.parts.append(
                services.Part(
                    payload=request.content(), content_type=request.content_type, properties=request.properties
                )
            )
            asked.state = "running" if request.more else "done"
        await self.notify()
        return queues.Done()

    # Administration

    async def _client_list(self, caller: Caller, request: admin.ListClients) -> admin.ClientList:
        one = admin.ClientInfo(
            client_id="thermometer/1",
            username="ann",
            connected=True,
            address="127.0.0.1",
            version=4,
            expiry=0,
            subscriptions=1,
            queued=0,
            inflight=0,
        )
        return admin.ClientList(clients=(one,), more=False)

    async def _client_disconnect(self, caller: Caller, request: admin.DisconnectClient) -> queues.Done:
        if request.client_id != "thermometer/1":
            raise Problem(p.NO_SUCH_CLIENT, f"there is no client {request.client_id[:100]!r}")
        return queues.Done()

    async def _retained_list(self, caller: Caller, request: admin.ListRetained) -> admin.RetainedList:
        one = admin.RetainedInfo(topic="a/b", qos=1, bytes=3, published_at=1.0, expires_at=0.0)
        return admin.RetainedList(retained=(one,), more=False)

    async def _retained_delete(self, caller: Caller, request: admin.DeleteRetained) -> queues.Done:
        if request.topic != "a/b":
            raise Problem(p.NO_SUCH_MESSAGE, f"nothing is retained at {request.topic[:100]!r}")
        return queues.Done()

    async def _user_list(self, caller: Caller, request: admin.ListUsers) -> admin.UserList:
        return admin.UserList(users=tuple(admin.UserInfo(user=name, roles=()) for name in sorted(PASSWORDS)))

    async def _user_put(self, caller: Caller, request: admin.PutUser) -> queues.Done:
        return queues.Done()

    async def _user_delete(self, caller: Caller, request: admin.DeleteUser) -> queues.Done:
        if request.user not in PASSWORDS:
            raise Problem(p.NO_SUCH_USER, f"there is no user {request.user[:100]!r}")
        return queues.Done()

    async def _broker_statistics(self, caller: Caller, request: admin.GetStatistics) -> admin.BrokerStatistics:
        numbers = dict.fromkeys(admin.BrokerStatistics.__struct_fields__, 0)
        return admin.BrokerStatistics(**{**numbers, "version": "0", "compiled": False})  # type: ignore[arg-type]


class FakeConsumption:
    """Pushes what comes; holds no more than its credit."""

    def __init__(self, native: FakeNative, queue: str, credit: int) -> None:
        self._native = native
        self._queue = queue
        self._credit = credit
        self._mine: set[str] = set()
        self.closed = asyncio.Event()

    def __aiter__(self) -> "FakeConsumption":
        return self

    async def begin(self) -> None:
        self._native._queue(self._queue)

    def _room(self) -> int:
        return self._credit - len(self._mine & self._native.leased.keys())

    async def __anext__(self) -> tuple[messages.InMessage, ...]:
        self._native._queue(self._queue)
        async with self._native.changed:
            await self._native.changed.wait_for(lambda: self._native._queue(self._queue) and self._room() > 0)
        taken = self._native.take(self._queue, self._room())
        self._mine |= {message.lease for message in taken}
        return taken

    async def close(self) -> None:
        leases = tuple(sorted(self._mine & self._native.leased.keys()))
        if leases:
            await self._native._message_nack(Caller(Identity("x"), "http"), messages.Nack(leases=leases))
        self.closed.set()
