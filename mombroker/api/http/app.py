"""The ASGI application: every route behind the guard, and the pages that need no login."""

from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from mombroker.api.http.context import Context
from mombroker.api.http.guard import Guard
from mombroker.api.http.openapi import openapi_document
from mombroker.api.http.page import page_files
from mombroker.api.http.problem_documents import problem_response
from mombroker.api.http.resource import Resource
from mombroker.api.http.routes import ROUTES
from mombroker.operations.problems import BAD_REQUEST, NO_SUCH_OPERATION, Problem

ALIVE: Final = b'{"status":"alive"}'
READY: Final = b'{"status":"ready"}'
JSON: Final = "application/json"


class App:
    """All of HTTP, as one ASGI application. ``hosts`` are further names of this machine, see :class:`Guard`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._guard = Guard(context.settings.hosts)
        self._document: bytes | None = None
        pages: list[tuple[str, Any]] = [("/health", self._health), ("/ready", self._ready), ("/", self._home)]
        pages.append(("/openapi.json", self._openapi))
        pages += [(f"/docs{name}", _file(content, media_type)) for name, content, media_type in page_files()]
        self._router = Router(
            [
                *(Route(path, Resource(context, methods)) for path, methods in ROUTES.items()),
                *(Route(path, Page(answer)) for path, answer in pages),
            ],
            redirect_slashes=False,
            default=_not_found,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            _check_path(scope)
            self._guard.check(scope)
        except Problem as problem:
            await problem_response(problem)(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    def _health(self) -> Response:
        return Response(ALIVE, media_type=JSON)

    def _ready(self) -> Response:
        trouble = self._context.trouble()
        return Response(READY, media_type=JSON) if trouble is None else problem_response(trouble)

    def _home(self) -> Response:
        return RedirectResponse("/docs")

    def _openapi(self) -> Response:
        if self._document is None:
            self._document = msgspec.json.encode(openapi_document())
        return Response(self._document, media_type=JSON)


class Page:
    """Something to look at: GET and HEAD, without a login."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] in ("GET", "HEAD"):
            response = self._answer()
        else:
            problem = Problem(NO_SUCH_OPERATION, f"{scope['path'][:200]!r} can only be looked at")
            response = problem_response(problem, 405, {"allow": "GET, HEAD"})
        await response(scope, receive, send)


def _file(content: bytes, media_type: str) -> Any:
    headers = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'", "cache-control": "no-cache"}
    return lambda: Response(content, headers=headers, media_type=media_type)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    path = Request(scope).url.path[:200]
    response = problem_response(Problem(NO_SUCH_OPERATION, f"there is nothing at {path!r}; /docs lists what there is"))
    await response(scope, receive, send)


def _check_path(scope: Scope) -> None:
    """The server has replaced bytes that are no UTF-8: another name than the one that was meant."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" in raw:
        try:
            unquote_to_bytes(raw).decode("utf-8")
        except UnicodeDecodeError:
            raise Problem(BAD_REQUEST, "the path is not UTF-8") from None
