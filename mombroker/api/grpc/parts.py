"""The call RequestParts: the parts of a reply as they come."""

from contextlib import aclosing
from functools import partial
from typing import Any, Final, cast

from mombroker.api.caller import Caller
from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc.calls import Calls
from mombroker.api.grpc.conversion import Reader, Writer
from mombroker.api.grpc.unary import bounded
from mombroker.api.ports import Native
from mombroker.operations.services import Request

_REQUEST: Final = Reader(pb.RequestRequest, Request)
_PART: Final = Writer(pb.Part)


class Parts:
    """Handles the calls of this method."""

    def __init__(self, calls: Calls, native: Native) -> None:
        self._calls = calls
        self._native = native

    async def handle(self, data: bytes, context: Any) -> None:
        """Ask, and write what is answered."""
        await self._calls.carry_out(context, partial(self._answer, data, context), waits=True)

    async def _answer(self, data: bytes, context: Any, caller: Caller) -> None:
        self._calls.check_size(data)
        request = _REQUEST.read(data)
        if (remaining := context.time_remaining()) is not None:
            request = bounded(request, remaining)
        # Closed at once when the client goes: that cancels the request.
        async with aclosing(cast(Any, self._native.parts(caller, request))) as parts:
            async for part in parts:
                await context.write(_PART.write(part))
