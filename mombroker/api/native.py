"""The native API: every operation, carried out in one place, whichever way it was asked for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from msgspec import Struct

from mombroker.api.admin_operations import AdminOperations
from mombroker.api.caller import Caller
from mombroker.api.context import ApiContext
from mombroker.api.message_operations import MessageOperations
from mombroker.api.queue_operations import QueueOperations
from mombroker.api.service_operations import ServiceOperations
from mombroker.api.streams import Consumption, Serving
from mombroker.core import Hooks
from mombroker.hooks.requests import ConnectRequest, UserDirectory
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import SERVER_UNAVAILABLE
from mombroker.operations import BY_REQUEST, Problem
from mombroker.operations.problems import INTERNAL, NO_SUCH_OPERATION, NOT_AVAILABLE, NOT_LOGGED_IN
from mombroker.operations.services import Part, Request
from mombroker.wiring.runtime import Runtime

Handler = Callable[[Caller, Any], Awaitable[Struct]]


class NativeApi:
    """What the transports call. Everything raises :class:`Problem`, and nothing else."""

    def __init__(
        self,
        runtime: Runtime,
        hooks: Hooks,
        loop: asyncio.AbstractEventLoop,
        log: Any,
        directory: UserDirectory | None = None,
    ) -> None:
        self._context = ApiContext(runtime, hooks, loop, log, directory)
        self._log = log
        self._queues = QueueOperations(self._context)
        self._messages = MessageOperations(self._context)
        self._services = ServiceOperations(self._context)
        self._admin = AdminOperations(self._context)
        self._handlers: dict[str, Handler] = self._make_handlers()

    def _make_handlers(self) -> dict[str, Handler]:
        queues, messages, services, admin = self._queues, self._messages, self._services, self._admin
        return {
            "queue.create": queues.create,
            "queue.get": queues.get,
            "queue.list": queues.list_queues,
            "queue.change": queues.change,
            "queue.purge": queues.purge,
            "queue.delete": queues.delete,
            "queue.redrive": queues.redrive,
            "grant.put": queues.put_grant,
            "grant.delete": queues.delete_grant,
            "grant.list": queues.list_grants,
            "message.enqueue": messages.enqueue,
            "message.publish": messages.publish,
            "message.pull": messages.pull,
            "message.ack": messages.ack,
            "message.nack": messages.nack,
            "message.extend": messages.extend,
            "message.peek": messages.peek,
            "message.find": messages.find,
            "service.create": services.create,
            "service.delete": services.delete,
            "service.list": services.list_services,
            "request.wait": services.request,
            "request.later": services.later,
            "request.fetch": services.fetch,
            "request.cancel": services.cancel,
            "worker.next": services.next,
            "worker.reply": services.reply,
            "client.list": admin.list_clients,
            "client.disconnect": admin.disconnect,
            "retained.list": admin.list_retained,
            "retained.delete": admin.delete_retained,
            "user.list": admin.list_users,
            "user.put": admin.put_user,
            "user.delete": admin.delete_user,
            "broker.statistics": admin.statistics,
        }

    async def login(
        self, username: str | None, password: bytes | None, address: str, transport: str, port: int = 0
    ) -> Caller:
        """Who somebody is, by the same hooks as an MQTT client. Raises :class:`Problem` (not-logged-in)."""
        self._context.enter()
        request = ConnectRequest(
            client_id=f"{transport}:{username or ''}",
            username=username,
            password=password,
            version=0,
            address=address,
            port=port,
            listener=transport,
        )
        future = self._context.future()
        self._context.hooks.authenticate(request, lambda answer: None if future.done() else future.set_result(answer))
        answer: Identity | Refusal = await future
        if isinstance(answer, Refusal):
            if answer.reason == SERVER_UNAVAILABLE:
                raise Problem(NOT_AVAILABLE, "logging in does not work now")
            raise Problem(NOT_LOGGED_IN, answer.message or "who are you?")
        caller = Caller(answer, transport)
        self._context.check_login(caller)
        return caller

    async def call(self, caller: Caller, request: Struct) -> Struct:
        """Carry out an operation. Raises :class:`Problem`."""
        operation = BY_REQUEST.get(type(request))
        if operation is None:
            raise Problem(NO_SUCH_OPERATION, f"{type(request).__name__} is no operation")
        self._context.check_login(caller)
        try:
            return await self._handlers[operation.name](caller, request)
        except Problem:
            raise
        except Exception as defect:
            raise self._failed(operation.name, defect) from defect

    def _failed(self, operation: str, defect: Exception) -> Problem:
        """A defect of ours: seen in the log, and a problem for the one caller."""
        self._log.error("operation failed", operation=operation, exc_info=defect)
        return Problem(INTERNAL, f"{operation} failed: see the log of the broker")

    async def parts(self, caller: Caller, request: Request) -> AsyncIterator[Part]:
        """Ask a service, and give the parts of the reply as they come."""
        async for part in self._services.parts(caller, request):
            yield part

    def consume(self, caller: Caller, queue: str, credit: int, lease: float = 0.0) -> Consumption:
        """Have the messages of a queue pushed."""
        return Consumption(self._context, caller, queue, credit, lease)

    def serve(self, caller: Caller, service: str, credit: int) -> Serving:
        """Have the requests of a service pushed."""
        return Serving(self._context, caller, service, credit)

    def on_user_changed(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the name of each user that is changed or removed."""
        self._context.user_listeners.append(listener)

    def close(self) -> None:
        """Whoever waits is told that the broker shuts down; nothing is carried out any more."""
        self._services.close()
        self._context.close()
