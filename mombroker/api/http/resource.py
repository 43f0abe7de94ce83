"""A resource: the endpoints of one path, by method. From here on nothing but a response comes out."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mombroker.api.http.context import Context
from mombroker.api.http.endpoint import Endpoint
from mombroker.api.http.logins import caller_of
from mombroker.api.http.problem_documents import problem_response
from mombroker.api.http.uploads import ClientGone
from mombroker.operations.problems import INTERNAL, NO_SUCH_OPERATION, Problem


class Resource:
    """An ASGI application for one path."""

    def __init__(self, context: Context, methods: Mapping[str, Endpoint]) -> None:
        self._context = context
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._answer(Request(scope, receive))
        except Problem as problem:
            response = problem_response(problem)
        except ClientGone:
            response = Response(status_code=400)  # nobody gets it
        except Exception as error:
            response = self._failed(scope, error)
        try:
            await response(scope, receive, send)
        except Exception as error:
            # The status has gone out: all that can be done is to log it, and to have the connection closed.
            self._log(scope, error)
            raise

    async def _answer(self, request: Request) -> ASGIApp:
        endpoint = self._methods.get(request.method)
        if endpoint is None:
            return self._not_allowed(request)
        parameters = endpoint.parameters.read(request)
        caller = await caller_of(self._context.logins, request)
        return await endpoint.answer(self._context, request, caller, parameters)

    def _not_allowed(self, request: Request) -> Response:
        allowed = ", ".join(self._methods)
        problem = Problem(
            NO_SUCH_OPERATION, f"{request.url.path[:200]!r} takes {allowed} and not {request.method[:20]!r}"
        )
        return problem_response(problem, 405, {"allow": allowed})

    def _failed(self, scope: Scope, error: Exception) -> Response:
        self._log(scope, error)
        return problem_response(Problem(INTERNAL, "the broker failed on this request; its log tells more"))

    def _log(self, scope: Scope, error: Exception) -> None:
        self._context.log.error(
            "an HTTP request failed", exc_info=error, method=scope["method"], path=scope["path"][:200]
        )
