"""One method of one resource: what it takes and gives, as data, and the function that answers.

The same data make the router, the OpenAPI document and the checks of the tests.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, structs
from starlette.requests import Request
from starlette.types import ASGIApp

from mombroker.api.caller import Caller
from mombroker.api.http.context import Context
from mombroker.api.http.reading import JSON, JsonBody, Parameters, check_json, fields_of, part_of
from mombroker.api.http.writing import json_response
from mombroker.operations.catalogue import OPERATIONS
from mombroker.operations.problems import (
    BAD_REQUEST,
    FORBIDDEN,
    INTERNAL,
    NO_SUCH_OPERATION,
    NOT_LOGGED_IN,
    OVERLOADED,
    SHUTTING_DOWN,
    STORE_FULL,
    TOO_LARGE,
    UNSUPPORTED_CONTENT,
)
from mombroker.operations.queues import Done

ALWAYS = (BAD_REQUEST, NOT_LOGGED_IN, FORBIDDEN, NO_SUCH_OPERATION, OVERLOADED, SHUTTING_DOWN, INTERNAL)
"""Problems that any endpoint may have."""
WITH_BODY = (TOO_LARGE, UNSUPPORTED_CONTENT, STORE_FULL)
"""Those that come with a body."""

Contents = Mapping[str, type[Struct] | None]
"""Media types and what is in them; None: any bytes."""
Answer = Callable[[Context, Request, Caller, Any], Awaitable[ASGIApp]]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """``id`` names it in the OpenAPI document; ``operations`` are the names in the catalogue of what it does, if there.
    ``body`` is what it takes, ``gives`` what it answers with, by status.

    ``headers`` are request headers worth telling of, with their meanings.
    """

    id: str
    summary: str
    parameters: Parameters
    gives: Mapping[int, Contents]
    answer: Answer
    operations: tuple[str, ...] = ()
    body: Contents = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Every problem that it may have."""
        return tuple(dict.fromkeys((*self.problems, *ALWAYS, *(WITH_BODY if self.body else ()))))


def operation(
    name: str, *, query: str = "", body: str = "", problems: tuple[str, ...] = (), answer: Answer | None = None
) -> Endpoint:
    """The endpoint of one operation that takes and gives JSON. ``query`` and ``body`` name the fields of the request
    that come from there; the others come from the path."""
    entry = OPERATIONS[name]
    in_body = body.split()
    elsewhere = [field.name for field in structs.fields(entry.request) if field.name not in in_body]
    in_path = [field for field in elsewhere if field not in query.split()]
    title = entry.request.__name__
    parameters = Parameters(part_of(entry.request, [*in_path, *query.split()], f"{title}Parameters"))
    taken = JsonBody(part_of(entry.request, in_body, f"{title}Body")) if in_body else None
    gives: Mapping[int, Contents] = {204: {}} if entry.response is Done else {200: {JSON: entry.response}}

    async def plain(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
        given = fields_of(parameters)
        if taken is not None:
            check_json(request)
            async with context.uploads.body(request) as body:
                given |= fields_of(taken.read(body))
        return json_response(await context.native.call(caller, entry.request(**given)))

    return Endpoint(
        id=name,
        operations=(name,),
        summary=entry.summary,
        description=" ".join((entry.request.__doc__ or "").split()),
        parameters=parameters,
        gives=gives,
        answer=answer or plain,
        body={} if taken is None else {JSON: taken.kind},
        problems=problems,
    )
