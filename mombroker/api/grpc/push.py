"""The streams that push, Consume and Serve: items out as there is credit, steps in that settle them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from google.protobuf.message import Message
from msgspec import Meta, Struct

from mombroker.api.caller import Caller
from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc.calls import Calls
from mombroker.api.grpc.conversion import Writer, checked, parsed, plain
from mombroker.api.grpc.pipeline import Pipeline, Step
from mombroker.api.grpc.problems import failure
from mombroker.api.ports import Native, Stream
from mombroker.operations.messages import Ack, Extend, Messages, Nack
from mombroker.operations.problems import BAD_REQUEST, Problem
from mombroker.operations.queues import QueueName
from mombroker.operations.services import SendReply, ServiceName, Tasks

BATCH_BYTES: Final = 1024 * 1024
"""Contents that go out in one message, if they are more than one: most clients take no message above 4 MiB."""

FINISH_SECONDS: Final = 1.0
"""How long a message that is being written when its stream ends may take to leave."""

Credit = Annotated[int, Meta(ge=1, le=65_535)]


class ConsumeStart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is consumed, and how much at a time."""

    queue: QueueName
    credit: Credit = 100
    lease: Annotated[float, Meta(ge=0, le=86_400)] = 0.0


class ServeStart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is served, and how much at a time."""

    service: ServiceName
    credit: Credit = 10


class MoreCredit(Struct, frozen=True, kw_only=True):
    """By how much the credit is raised."""

    more_credit: Credit


@dataclass(frozen=True)
class Kind:
    """What one of the streams consists of. ``steps`` are those that settle. ``result`` is the field for what became of
    one, ``items`` that for a batch, which is written as the Struct that ``batch`` makes. ``credit_by_hand`` tells that
    the native API does not give the credit of settled items back."""

    request: type[Message]
    response: type[Message]
    start: type[Struct]
    open: Callable[[Native, Caller, Any], Stream[Any]]
    steps: Mapping[str, type[Struct]]
    credit_by_hand: bool
    result: str
    result_writer: Writer
    items: str
    items_writer: Writer
    batch: Callable[[tuple[Any, ...]], Struct]


CONSUME: Final = Kind(
    request=pb.ConsumeRequest,
    response=pb.ConsumeResponse,
    start=ConsumeStart,
    open=lambda native, caller, start: native.consume(caller, start.queue, start.credit, start.lease),
    steps={"ack": Ack, "nack": Nack, "extend": Extend},
    credit_by_hand=False,
    result="settled",
    result_writer=Writer(pb.Settled),
    items="messages",
    items_writer=Writer(pb.MessageList),
    batch=lambda items: Messages(messages=items),
)
SERVE: Final = Kind(
    request=pb.ServeRequest,
    response=pb.ServeResponse,
    start=ServeStart,
    open=lambda native, caller, start: native.serve(caller, start.service, start.credit),
    steps={"reply": SendReply},
    credit_by_hand=True,
    result="done",
    result_writer=Writer(pb.Done),
    items="tasks",
    items_writer=Writer(pb.Tasks),
    batch=lambda items: Tasks(tasks=items),
)


class Push:
    """Handles the calls of one of these methods."""

    def __init__(self, calls: Calls, native: Native, kind: Kind) -> None:
        self._calls = calls
        self._native = native
        self._kind = kind

    async def handle(self, requests: AsyncIterator[bytes], context: Any) -> None:
        """Push until the client has no more steps."""
        await self._calls.carry_out(context, partial(self._push, requests, context), waits=True)

    async def _push(self, requests: AsyncIterator[bytes], context: Any, caller: Caller) -> None:
        start = self._started(await anext(requests, b""))
        stream = self._kind.open(self._native, caller, start)
        try:
            await Pushed(self._calls, self._native, self._kind, caller, stream, context).run(requests)
        finally:
            await stream.close()

    def _started(self, data: bytes) -> Struct:
        values = plain(parsed(self._kind.request, data))
        if "start" not in values:
            raise Problem(BAD_REQUEST, "the first step of the stream has to be `start`; send it before anything else")
        return checked(values["start"], self._kind.start)


class Pushed:
    """One stream that has been started."""

    def __init__(
        self, calls: Calls, native: Native, kind: Kind, caller: Caller, stream: Stream[Any], context: Any
    ) -> None:
        self._calls = calls
        self._native = native
        self._kind = kind
        self._caller = caller
        self._stream = stream
        self._context = context
        self._collected: list[Any] = []
        self._arrived = asyncio.Event()
        self._writing = asyncio.Lock()
        self._under_way: asyncio.Future[None] | None = None
        self._unanswered: set[str] = set()

    async def run(self, requests: AsyncIterator[bytes]) -> None:
        """Collect, deliver and settle, until the stream or the client is at its end."""
        try:
            await first_to_end(self._collect(), self._deliver(), Pipeline(self._begin, self._write).run(requests))
        finally:
            await self._finish_writing()

    async def _collect(self) -> None:
        async for items in self._stream:
            if self._kind.credit_by_hand:
                self._unanswered.update(item.id for item in items)
            self._collected.extend(items)
            self._arrived.set()

    async def _deliver(self) -> None:
        # What arrives while a message is being written goes into the next one: the busier, the larger they are.
        kind = self._kind
        while await self._arrived.wait():
            self._arrived.clear()
            items = tuple(self._collected)
            self._collected.clear()
            for portion in portions(items):
                await self._write(self._response(0, kind.items, kind.items_writer.fields(kind.batch(portion))))

    async def _write(self, data: bytes) -> None:
        # gRPC takes one message at a time, and when the client's window is open for it. One that it has taken cannot be
        # taken back: whoever gives up waiting for it leaves it under way.
        async with self._writing:
            self._under_way = asyncio.ensure_future(self._context.write(data))
            await asyncio.shield(self._under_way)

    async def _finish_writing(self) -> None:
        """Let a message that is under way arrive before the status follows, if the client reads it soon."""
        writing = self._under_way
        if writing is not None and not writing.done():
            await asyncio.wait({writing}, timeout=FINISH_SECONDS)
        if writing is not None and not writing.cancel() and not writing.cancelled():
            writing.exception()  # told to whoever waited for it, if anybody still did

    def _begin(self, data: bytes) -> Step | None:
        self._calls.check_size(data)
        values = plain(parsed(self._kind.request, data))
        number = values.pop("number", 0)
        if "more_credit" in values:
            self._stream.add_credit(checked(values, MoreCredit).more_credit)
            return None
        for name, operation in self._kind.steps.items():
            if name in values:
                return self._settle(number, values[name], operation)
        expected = ", ".join([*self._kind.steps, "more_credit"])
        raise Problem(BAD_REQUEST, f"after the start, each step of the stream is one of {expected}")

    async def _settle(self, number: int, values: dict[str, Any], operation: type[Struct]) -> bytes:
        try:
            result = await self._native.call(self._caller, checked(values, operation))
        except Problem as problem:
            answer = self._response(number, "failure", failure(problem))
        else:
            answer = self._response(number, self._kind.result, self._kind.result_writer.fields(result))
        if self._kind.credit_by_hand and not values.get("more"):
            self._give_credit_back(values.get("id", ""))
        return answer

    def _give_credit_back(self, request: str) -> None:
        # Also after a failure: a request that cannot be answered any more keeps no worker from the next one.
        if request in self._unanswered:
            self._unanswered.discard(request)
            self._stream.add_credit(1)

    def _response(self, number: int, field: str, value: object) -> bytes:
        # The constructor takes a dict in the place of a message.
        return self._kind.response(**{"number": number, field: value}).SerializeToString()


def portions(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The items in portions of at most BATCH_BYTES of content each, but one item at the least."""
    begin = size = 0
    for at, item in enumerate(items):
        if at > begin and size + len(item.payload) > BATCH_BYTES:
            yield items[begin:at]
            begin, size = at, 0
        size += len(item.payload)
    if begin < len(items):
        yield items[begin:]


async def first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Do things side by side until the first of them is at its end, and break off the others. Raises what it raised."""
    tasks: Sequence[asyncio.Task[None]] = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
