"""The stream Produce: batches in, what became of each out."""

from collections.abc import AsyncIterable
from functools import partial
from typing import Any, Final

from mombroker.api.caller import Caller
from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc.calls import Calls
from mombroker.api.grpc.conversion import Writer, checked, parsed, plain
from mombroker.api.grpc.pipeline import Pipeline, Step
from mombroker.api.grpc.problems import failure
from mombroker.api.ports import Native
from mombroker.operations.messages import Enqueue
from mombroker.operations.problems import Problem

_ENQUEUED: Final = Writer(pb.Enqueued)


class Produce:
    """Handles the calls of this method."""

    def __init__(self, calls: Calls, native: Native) -> None:
        self._calls = calls
        self._native = native

    async def handle(self, requests: AsyncIterable[bytes], context: Any) -> None:
        """Answer batches until the client has no more."""
        await self._calls.carry_out(context, partial(self._answer, requests, context), waits=True)

    async def _answer(self, requests: AsyncIterable[bytes], context: Any, caller: Caller) -> None:
        await Pipeline(partial(self._begin, caller), context.write).run(requests)

    def _begin(self, caller: Caller, data: bytes) -> Step:
        self._calls.check_size(data)
        values = plain(parsed(pb.ProduceRequest, data))
        return self._enqueue(caller, values.pop("number", 0), values)

    async def _enqueue(self, caller: Caller, number: int, values: dict[str, Any]) -> bytes:
        try:
            enqueued = await self._native.call(caller, checked(values, Enqueue))
        except Problem as problem:
            return pb.ProduceResponse(number=number, failure=failure(problem)).SerializeToString()
        # mypy knows no dict in the place of a message; protobuf does.
        fields: Any = _ENQUEUED.fields(enqueued)
        return pb.ProduceResponse(number=number, enqueued=fields).SerializeToString()
