"""Messages of a queue pushed to a client as events, with credit."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.types import ASGIApp

from mombroker.api.caller import Caller
from mombroker.api.http.context import Context
from mombroker.api.http.endpoint import Endpoint
from mombroker.api.http.events import EVENT_STREAM, READY, EventStream, event
from mombroker.api.http.reading import Parameters
from mombroker.api.streams import Consumption
from mombroker.operations.problems import NO_SUCH_QUEUE
from mombroker.operations.queues import QueueName


class StreamParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to push, and how."""

    queue: QueueName
    credit: Annotated[
        int, Meta(ge=1, le=10_000, description="Messages that the client may have at a time, unacknowledged.")
    ] = 100
    lease: Annotated[
        float, Meta(ge=0, le=86_400, description="Seconds to have them for. 0: as the queue's policy says.")
    ] = 0.0


async def _stream(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
    consumption = context.native.consume(caller, parameters.queue, parameters.credit, parameters.lease)
    await consumption.begin()
    return EventStream(context, _events(consumption), READY, consumption.close)


async def _events(consumption: Consumption) -> AsyncGenerator[bytes, None]:
    async for messages in consumption:
        # None are left of a batch whose leases have all run out.
        if messages:
            yield b"".join(event("message", message) for message in messages)


stream: Final = Endpoint(
    id="message.stream",
    summary="Have messages of a queue pushed, as Server-Sent Events",
    description="Each message is an event `message`; acknowledge it with its lease, which gives its credit back. The "
    "stream ends with an event `end` or `problem`. When the client goes, what it has not settled is for others.",
    parameters=Parameters(StreamParameters),
    gives={200: {EVENT_STREAM: None}},
    problems=(NO_SUCH_QUEUE,),
    answer=_stream,
)
