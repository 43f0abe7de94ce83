"""Request and response: a service is asked and its reply is the response, at once or later; and workers that poll."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp

from mombroker.api.caller import Caller
from mombroker.api.http.context import Context
from mombroker.api.http.endpoint import Endpoint, operation
from mombroker.api.http.events import EVENT_STREAM, READY, EventStream, event
from mombroker.api.http.messages import ANY, CONTENT_HEADERS
from mombroker.api.http.reading import JSON, Parameters, content, fields_of, part_of
from mombroker.api.http.waiting import while_connected
from mombroker.api.http.writing import REPLY, json_response, reply_response
from mombroker.operations.problems import (
    BAD_REQUEST,
    CANCELLED,
    DEADLINE_PASSED,
    NO_SUCH_REQUEST,
    NO_SUCH_SERVICE,
    NO_WORKERS,
    QUEUE_FULL,
    SERVICE_FAILED,
    Problem,
)
from mombroker.operations.services import (
    FetchReply,
    NextRequest,
    Part,
    Reply,
    ReplyState,
    Request,
    RequestLater,
    SendReply,
    ServiceName,
    Ticket,
)

FAILURES: Final = (SERVICE_FAILED, DEADLINE_PASSED, CANCELLED)
LONGEST_SECONDS: Final = 3600
"""As long as anybody may wait for a reply without asking for it later."""


class AskParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to ask a service."""

    service: ServiceName
    timeout: (
        Annotated[
            float,
            Meta(
                gt=0,
                le=2_592_000,
                description="Seconds after which the request is void: 30 by itself and 3600 at most, or with `later` "
                "3600 by itself and 2592000 at most.",
            ),
        ]
        | UnsetType
    ) = UNSET
    patient: Annotated[bool, Meta(description="Wait for a worker if there is none.")] = False
    later: Annotated[
        bool, Meta(description="Do not wait: the reply can be fetched. The same as `Prefer: respond-async`.")
    ] = False
    keep: Annotated[
        float, Meta(gt=0, le=2_592_000, description="Seconds for which the reply is kept, with `later`.")
    ] = 86_400.0


async def _ask(context: Context, request: HttpRequest, caller: Caller, parameters: Any) -> ASGIApp:
    given = {"service": parameters.service}
    if parameters.timeout is not UNSET:
        given["timeout"] = parameters.timeout
    async with context.uploads.body(request) as body:
        given |= content(request, body)
        if parameters.later or "respond-async" in request.headers.get("prefer", "").lower():
            ticket: Any = await context.native.call(caller, RequestLater(keep=parameters.keep, **given))
            return json_response(ticket, 202, {"location": f"/v1/requests/{ticket.id}"})
    if given.get("timeout", 0) > LONGEST_SECONDS:
        raise Problem(BAD_REQUEST, f"nobody can wait for more than {LONGEST_SECONDS} s; ask with ?later instead")
    question = Request(patient=parameters.patient, **given)
    accepted = request.headers.get("accept", "")
    if EVENT_STREAM in accepted:
        events = _events(context.native.parts(caller, question))
        first = await while_connected(context, request, _first(events), _drop)
        return EventStream(context, events, first, events.aclose)
    reply: Any = await while_connected(context, request, context.native.call(caller, question), _drop)
    return reply_response(reply, REPLY in accepted)


async def _events(parts: AsyncIterator[Part]) -> AsyncGenerator[bytes, None]:
    async for part in parts:
        yield event("part", part)


async def _first(events: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(events, READY)


async def _drop(_reply: object) -> None:
    """A reply that nobody waits for any more is dropped."""


ask: Final = Endpoint(
    id="request",
    operations=("request.wait", "request.later"),
    summary="Ask a service and wait for the reply, or fetch it later",
    description="The body is the request's payload. The reply is the response: its payload, content type and "
    f"properties (Mom-Property-NAME). A reply of several parts comes as JSON, and any does with `Accept: {REPLY}`; "
    "with `Accept: text/event-stream`, each part is an event.",
    parameters=Parameters(AskParameters),
    headers={**CONTENT_HEADERS, "Accept": f"`{REPLY}` or `text/event-stream`.", "Prefer": "`respond-async`."},
    body={ANY: None},
    gives={200: {ANY: None, REPLY: Reply, EVENT_STREAM: None}, 202: {JSON: Ticket}},
    problems=(NO_SUCH_SERVICE, NO_WORKERS, QUEUE_FULL, *FAILURES),
    answer=_ask,
)


async def _fetched(context: Context, request: HttpRequest, caller: Caller, parameters: Any) -> ReplyState:
    work = context.native.call(caller, FetchReply(**fields_of(parameters)))
    state: Any = await (while_connected(context, request, work, _drop) if parameters.wait else work)
    return state  # type: ignore[no-any-return]


async def _fetch(context: Context, request: HttpRequest, caller: Caller, parameters: Any) -> ASGIApp:
    return json_response(await _fetched(context, request, caller, parameters))


fetch: Final = operation("request.fetch", query="wait", problems=(NO_SUCH_REQUEST,), answer=_fetch)


async def _fetch_content(context: Context, request: HttpRequest, caller: Caller, parameters: Any) -> ASGIApp:
    state = await _fetched(context, request, caller, parameters)
    match state.state:
        case "done":
            return reply_response(Reply(parts=state.parts), REPLY in request.headers.get("accept", ""))
        case "waiting" | "running":
            return json_response(state, 202)
        case "cancelled":
            raise Problem(CANCELLED, f"the request {state.id} was cancelled")
        case "expired":
            raise Problem(DEADLINE_PASSED, f"nobody answered the request {state.id} in time")
    raise Problem(state.code or SERVICE_FAILED, state.detail, state.worker_code)


fetch_content: Final = Endpoint(
    id="request.fetch.content",
    operations=("request.fetch",),
    summary="Fetch the reply to an earlier request as it is",
    description="The response is what it would have been to somebody who had waited. 202 as long as there is none.",
    parameters=Parameters(part_of(FetchReply, ["id", "wait"], "FetchReplyParameters")),
    gives={200: {ANY: None, REPLY: Reply}, 202: {JSON: ReplyState}},
    problems=(NO_SUCH_REQUEST, NO_WORKERS, NO_SUCH_SERVICE, *FAILURES),
    answer=_fetch_content,
)


async def _next_request(context: Context, request: HttpRequest, caller: Caller, parameters: Any) -> ASGIApp:
    work = context.native.call(caller, NextRequest(**fields_of(parameters)))
    if not parameters.wait:
        return json_response(await work)
    async with context.uploads.body(request):
        return json_response(await while_connected(context, request, work, _drop))


next_request: Final = operation("worker.next", query="limit wait linger", answer=_next_request)


async def _reply(context: Context, request: HttpRequest, caller: Caller, parameters: Any) -> ASGIApp:
    async with context.uploads.body(request) as body:
        reply = SendReply(**content(request, body), **fields_of(parameters))
        if parameters.error:
            reply = with_text(reply)
        await context.native.call(caller, reply)
    return Response(status_code=204)


def with_text(reply: SendReply) -> SendReply:
    """A failure with its detail as text. Raises Problem (bad-request) if that is not UTF-8."""
    try:
        return SendReply(
            id=reply.id, text=reply.payload.decode("utf-8"), properties=reply.properties, error=reply.error
        )
    except UnicodeDecodeError:
        raise Problem(BAD_REQUEST, "the body tells why the request failed, and is not UTF-8") from None


reply: Final = Endpoint(
    id="worker.reply",
    operations=("worker.reply",),
    summary="Answer a request, as a worker",
    description="The body is the reply, or with `more` one part of it; with `error`, it is a text that says why there "
    "is none.",
    parameters=Parameters(part_of(SendReply, ["id", "more", "error"], "ReplyParameters")),
    headers=CONTENT_HEADERS,
    body={ANY: None},
    gives={204: {}},
    problems=(NO_SUCH_REQUEST, DEADLINE_PASSED, CANCELLED),
    answer=_reply,
)
