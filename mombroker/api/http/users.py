"""Users: a change of one ends its tokens."""

from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp

from mombroker.api.caller import Caller
from mombroker.api.http.context import Context
from mombroker.api.http.endpoint import Endpoint, operation
from mombroker.operations.problems import NO_SUCH_USER, NOT_AVAILABLE


def _ending_tokens(endpoint: Endpoint) -> Endpoint:
    async def answer(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
        response = await endpoint.answer(context, request, caller, parameters)
        context.logins.tokens.revoke_user(parameters.user)
        return response

    return replace(endpoint, answer=answer)


put: Final = _ending_tokens(operation("user.put", body="password roles", problems=(NO_SUCH_USER, NOT_AVAILABLE)))
delete: Final = _ending_tokens(operation("user.delete", problems=(NO_SUCH_USER, NOT_AVAILABLE)))
