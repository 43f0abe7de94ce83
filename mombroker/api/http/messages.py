"""Messages: put into queues and topics as raw bodies or JSON batches, and taken out."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, structs
from starlette.requests import Request
from starlette.types import ASGIApp

from mombroker.api.caller import Caller
from mombroker.api.http.context import Context
from mombroker.api.http.endpoint import Endpoint, operation
from mombroker.api.http.reading import JSON, JsonBody, Parameters, content, essence, fields_of, part_of, structs_from
from mombroker.api.http.waiting import while_connected
from mombroker.api.http.writing import json_response
from mombroker.operations.messages import (
    Ack,
    Enqueue,
    Enqueued,
    Lease,
    Nack,
    OutMessage,
    Publish,
    Published,
    Pull,
    Settled,
)
from mombroker.operations.problems import NO_SUCH_QUEUE, QUEUE_FULL, QUOTA, UNKNOWN_LEASE

BATCH: Final = "application/vnd.mombroker.messages+json"
ANY: Final = "*/*"
CONTENT_HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "The content type, passed on. What curl -d says by itself (application/x-www-form-urlencoded) "
    "counts as none.",
    "Mom-Property-NAME": "A property of the application's own, in UTF-8; NAME in small letters.",
}

_OPTIONS: Final = ("id", "priority", "key", "delay", "deliver_at", "ttl")
_batch: Final = JsonBody(part_of(Enqueue, ["messages"], "EnqueueBatch", "Messages to be put into a queue, in order."))


async def _enqueue(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
    async with context.uploads.body(request) as body:
        if essence(request.headers.get("content-type", "")) == BATCH:
            messages = _batch.read(body).messages
        else:
            options = {name: getattr(parameters, name) for name in _OPTIONS}
            messages = (OutMessage(**content(request, body), **options),)
        return json_response(await context.native.call(caller, Enqueue(queue=parameters.queue, messages=messages)), 201)


enqueue: Final = Endpoint(
    id="message.enqueue",
    operations=("message.enqueue",),
    summary="Put a message, or a batch of them, into a queue",
    description=f"The body is the message, whatever it is, and the parameters are its options. With the content type "
    f"{BATCH} it is a batch in JSON: all of its messages are taken, or none. Answered when they are on disk.",
    parameters=Parameters(
        structs_from(
            [
                *(field for field in structs.fields(Enqueue) if field.name == "queue"),
                *(field for field in structs.fields(OutMessage) if field.name in _OPTIONS),
            ],
            "EnqueueParameters",
        )
    ),
    headers=CONTENT_HEADERS,
    body={ANY: None, BATCH: _batch.kind},
    gives={201: {JSON: Enqueued}},
    problems=(NO_SUCH_QUEUE, QUEUE_FULL, QUOTA),
    answer=_enqueue,
)


async def _publish(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
    async with context.uploads.body(request) as body:
        publish = Publish(**content(request, body), **fields_of(parameters))
        return json_response(await context.native.call(caller, publish))


publish: Final = Endpoint(
    id="message.publish",
    operations=("message.publish",),
    summary="Publish to an MQTT topic",
    description="The body is the payload. Answered, with qos 1, when it is on disk in every queue that takes it.",
    parameters=Parameters(part_of(Publish, ["topic", "qos", "retain", "ttl"], "PublishParameters")),
    headers=CONTENT_HEADERS,
    body={ANY: None},
    gives={200: {JSON: Published}},
    problems=(QUEUE_FULL, QUOTA),
    answer=_publish,
)


async def _pull(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
    pull = Pull(**fields_of(parameters))
    if not pull.wait:
        return json_response(await context.native.call(caller, pull))

    async def give_back(answer: Any) -> None:
        leases = tuple(message.lease for message in answer.messages)
        if leases:
            await context.native.call(caller, Nack(leases=leases, delay=0.0))

    async with context.uploads.body(request):
        return json_response(await while_connected(context, request, context.native.call(caller, pull), give_back))


pull: Final = operation("message.pull", query="limit wait lease", problems=(NO_SUCH_QUEUE,), answer=_pull)


async def _ack_one(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
    return json_response(await context.native.call(caller, Ack(leases=(parameters.lease,))))


class LeaseParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lease."""

    lease: Lease


ack_one: Final = Endpoint(
    id="message.ack.one",
    operations=("message.ack",),
    summary="A message is handled: it leaves its queue",
    description="The same as POST /v1/leases/ack, for one lease.",
    parameters=Parameters(LeaseParameters),
    gives={200: {JSON: Settled}},
    problems=(UNKNOWN_LEASE,),
    answer=_ack_one,
)
