"""Request and response: asked, answered, fetched later."""

import asyncio
from collections.abc import AsyncIterator

from mombroker.api.caller import Caller as ApiCaller
from mombroker.api.contents import check_size, part_of, properties_of
from mombroker.api.context import ApiContext
from mombroker.api.polling import Polls
from mombroker.api.streams import serve
from mombroker.core.named.access import service_resource
from mombroker.core.named.later import ENDED, Kept, Watcher, part_from, part_key
from mombroker.core.named.service import Caller, Pending, Service
from mombroker.model.identity import CONFIGURE, READ, WRITE
from mombroker.model.message import Message
from mombroker.model.queues import SERVICE_PREFIX
from mombroker.model.unit import TABLE_REQUEST
from mombroker.operations import queues
from mombroker.operations import services as ops
from mombroker.operations.problems import (
    CANCELLED,
    DEADLINE_PASSED,
    NO_SUCH_REQUEST,
    SERVICE_FAILED,
    SHUTTING_DOWN,
    Problem,
)


class Waiting(Caller):
    """A caller that waits for the parts of a reply."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[ops.Part, bool] | Problem] = asyncio.Queue()

    def answered(self, payload: bytes, properties: bytes, more: bool) -> None:
        """A part has come."""
        self.arrived.put_nowait((part_of(payload, properties), more))

    def failed(self, code: str, detail: str, worker_code: str) -> None:
        """There will be none."""
        self.arrived.put_nowait(Problem(code, detail, worker_code))


class _Ended(Watcher):
    def __init__(self, future: "asyncio.Future[None]") -> None:
        self._future = future

    def ended(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class ServiceOperations:
    """Services, requests, replies."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._polls = Polls(context)
        self._waiting: set[Waiting] = set()

    async def create(self, caller: ApiCaller, request: ops.CreateService) -> ops.ServiceInfo:
        """Make a service."""
        context = self._context
        engine = context.enter()
        if request.service in engine.requests.services:
            service = await context.service(caller, CONFIGURE, request.service)
        else:
            await context.may_make(caller, service_resource(request.service))
            service = engine.requests.create(request.service, caller.user)
            await context.on_disk(True)
        return _info(service)

    async def delete(self, caller: ApiCaller, request: ops.DeleteService) -> queues.Done:
        """Delete a service."""
        service = await self._context.service(caller, CONFIGURE, request.service)
        self._context.engine.requests.delete(service)
        await self._context.on_disk(True)
        return queues.Done()

    async def list_services(self, caller: ApiCaller, request: ops.ListServices) -> ops.ServiceList:
        """List the services that the caller may use."""
        found: list[ops.ServiceInfo] = []
        for name in sorted(self._context.enter().requests.services):
            for action in (WRITE, READ):
                try:
                    service = await self._context.service(caller, action, name)
                except Problem:
                    continue
                found.append(_info(service))
                break
        return ops.ServiceList(services=tuple(found))

    def close(self) -> None:
        """Whoever waits for a reply is told, and no timer is left behind."""
        for waiting in self._waiting:
            waiting.failed(SHUTTING_DOWN, "the broker is shutting down", "")
        self._polls.close()

    # -- asking

    async def request(self, caller: ApiCaller, request: ops.Request) -> ops.Reply:
        """Ask and wait for the whole reply."""
        parts = [part async for part in self.parts(caller, request)]
        return ops.Reply(parts=tuple(parts))

    async def parts(self, caller: ApiCaller, request: ops.Request) -> AsyncIterator[ops.Part]:
        """Ask, and give the parts of the reply as they come. Whoever stops listening cancels the request."""
        context = self._context
        service = await context.service(caller, WRITE, request.service)
        message = self._message(request)
        waiting = Waiting()
        requests = context.engine.requests
        user = caller.identity.username
        pending = requests.ask(service, message, waiting, user, request.timeout, request.patient)
        context.engine.wake()
        self._waiting.add(waiting)
        more = True
        try:
            while more:
                found = await waiting.arrived.get()
                if isinstance(found, Problem):
                    raise found
                part, more = found
                yield part
        finally:
            self._waiting.discard(waiting)
            if requests.pending.get(pending.id) is pending and not context.closing:
                context.enter()
                requests.cancel(pending)
                context.engine.wake()

    def _message(self, request: ops.Request | ops.RequestLater) -> Message:
        engine = self._context.engine
        payload = check_size(request.content(), engine.limits.max_packet_size)
        return Message(SERVICE_PREFIX + request.service, payload, 1, False, properties_of(request), engine.now)

    async def later(self, caller: ApiCaller, request: ops.RequestLater) -> ops.Ticket:
        """Ask, and fetch the reply later."""
        context = self._context
        service = await context.service(caller, WRITE, request.service)
        context.check_room()
        user = caller.identity.username
        pending = context.engine.requests.ask_later(
            service, self._message(request), user, request.timeout, request.keep
        )
        await context.on_disk(False)
        return ops.Ticket(id=pending.id)

    async def fetch(self, caller: ApiCaller, request: ops.FetchReply) -> ops.ReplyState:
        """Fetch the reply to an earlier request."""
        kept = self._kept(caller, request.id)
        if request.wait and kept.state not in ENDED:
            future = self._context.future()
            watcher = _Ended(future)
            kept.watchers.append(watcher)
            done, _ = await asyncio.wait({future}, timeout=request.wait)
            if done:
                future.result()
            else:
                kept.watchers = [other for other in kept.watchers if other is not watcher]
                future.cancel()
        if kept.state in ENDED:
            # What is told is on disk: whoever knows that it is done will not ask again.
            self._context.enter()
            await self._context.on_disk(True)
        return await self._state(kept)

    def _kept(self, caller: ApiCaller, id: str) -> Kept:
        kept = self._context.enter().requests.later.kept.get(id)
        if kept is None or kept.username != caller.identity.username:
            raise Problem(
                NO_SUCH_REQUEST, f"there is no request {id!r} of yours: it was never made, or not kept longer"
            )
        return kept

    async def _state(self, kept: Kept) -> ops.ReplyState:
        parts: list[ops.Part] = []
        for number in range(kept.parts):
            value = await self._context.get(TABLE_REQUEST, part_key(kept.id, number))
            if value is not None:
                parts.append(part_of(*part_from(value)))
        state = "expired" if kept.code == DEADLINE_PASSED else kept.state
        code, detail = kept.code, kept.detail
        if state == "cancelled":
            code, detail = CANCELLED, "the request was cancelled"
        return ops.ReplyState(
            id=kept.id,
            service=kept.service,
            state=state,  # type: ignore[arg-type]
            parts=tuple(parts),
            code=code,
            detail=detail,
            worker_code=kept.worker_code,
        )

    async def cancel(self, caller: ApiCaller, request: ops.CancelRequest) -> queues.Done:
        """Cancel an earlier request, or throw its reply away."""
        kept = self._kept(caller, request.id)
        requests = self._context.engine.requests
        if kept.state in ENDED:
            requests.later.drop(kept)
        else:
            pending = requests.pending.get(kept.id)
            if pending is not None:
                requests.cancel(pending)
            kept.cancelled()
        await self._context.on_disk(True)
        return queues.Done()

    # -- working

    async def next(self, caller: ApiCaller, request: ops.NextRequest) -> ops.Tasks:
        """Take requests of a service."""
        service = await serve(self._context, caller, request.service)
        return await self._polls.next(caller, service, request)

    async def reply(self, caller: ApiCaller, request: ops.SendReply) -> queues.Done:
        """Answer a request."""
        pending = self._running(caller, request.id)
        requests = self._context.engine.requests
        kept = isinstance(pending.caller, Kept)
        payload = check_size(request.content(), self._context.engine.limits.max_packet_size)
        if request.error:
            requests.fail(pending, SERVICE_FAILED, payload.decode("utf-8", "replace"), request.error)
        else:
            requests.reply(pending, payload, properties_of(request), request.more)
        self._context.engine.wake()
        if kept:
            await self._context.on_disk(True)
        return queues.Done()

    def _running(self, caller: ApiCaller, id: str) -> Pending:
        pending = self._context.enter().requests.pending.get(id)
        if pending is None or pending.worker is None or pending.worker.username != caller.identity.username:
            raise Problem(
                NO_SUCH_REQUEST, f"the request {id!r} has ended, or is not yours: its deadline may have passed"
            )
        return pending


def _info(service: Service) -> ops.ServiceInfo:
    queue = service.queue
    return ops.ServiceInfo(
        service=service.name,
        owner=queue.owner.name,
        workers=service.workers(),
        waiting=queue.count - queue.held_count,
        running=service.running(),
    )
