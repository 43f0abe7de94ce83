"""Unary calls: one handler for every operation."""

import asyncio
from functools import partial
from typing import Any, Final, cast

from google.protobuf.descriptor import MethodDescriptor
from msgspec import structs

from mombroker.api.caller import Caller
from mombroker.api.grpc.calls import Calls
from mombroker.api.grpc.conversion import Reader, Writer, message_class
from mombroker.api.ports import Native
from mombroker.operations.catalogue import Operation
from mombroker.operations.messages import Messages, Nack
from mombroker.operations.problems import DEADLINE_PASSED, Problem
from mombroker.operations.services import Request

MARGIN: Final = 0.1
"""Seconds before the client's deadline, or a tenth of the time if that is less, at which waiting ends: what comes in
the last moment would be leased and never arrive."""


class Unary:
    """Handles the calls of one method."""

    def __init__(self, calls: Calls, native: Native, operation: Operation, method: MethodDescriptor) -> None:
        self._calls = calls
        self._native = native
        self._reader = Reader(message_class(method.input_type), operation.request)
        self._writer = Writer(message_class(method.output_type))
        self._waits = "wait" in operation.request.__struct_fields__ or operation.request is Request

    async def handle(self, data: bytes, context: Any) -> bytes:
        """The answer, in bytes as the request."""
        return await self._calls.carry_out(context, partial(self._answer, data, context), self._waits)

    async def _answer(self, data: bytes, context: Any, caller: Caller) -> bytes:
        self._calls.check_size(data)
        request = self._reader.read(data)
        if self._waits and (remaining := context.time_remaining()) is not None:
            request = bounded(request, remaining)
        answer = await self._native.call(caller, request)
        if isinstance(answer, Messages) and self._waits and answer.messages:
            # gRPC cancels the call's task if its client goes before the answer has left; the context does not tell.
            call = cast("asyncio.Task[bytes]", asyncio.current_task())
            call.add_done_callback(partial(self._give_back_unless_sent, caller, answer))
        return self._writer.write(answer)

    def _give_back_unless_sent(self, caller: Caller, pulled: Messages, call: "asyncio.Task[bytes]") -> None:
        if call.cancelled() or call.cancelling():
            leases = tuple(message.lease for message in pulled.messages)
            self._calls.run_errand(self._native.call(caller, Nack(leases=leases, delay=0.0)))


def bounded(request: Any, remaining: float) -> Any:
    """The request, with its waiting held to the seconds that its client still has. Raises Problem (deadline-passed)."""
    if remaining <= 0:
        raise Problem(DEADLINE_PASSED, "the deadline of the call passed before it was begun; give it more time")
    if isinstance(request, Request):
        return structs.replace(request, timeout=min(request.timeout, remaining))
    wait = min(request.wait, remaining - min(MARGIN, remaining / 10))
    return structs.replace(request, wait=wait)
