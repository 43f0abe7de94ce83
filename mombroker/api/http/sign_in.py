"""Tokens by HTTP: a user with a password gets one, and gives it back."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from mombroker.api.caller import Caller
from mombroker.api.http.context import Context
from mombroker.api.http.endpoint import Endpoint
from mombroker.api.http.logins import authorization
from mombroker.api.http.reading import JSON, Parameters
from mombroker.api.http.writing import json_response
from mombroker.operations.problems import NOT_LOGGED_IN, Problem


class NoParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """None."""


class Token(Struct, frozen=True, kw_only=True):
    """A bearer token, to be sent as `Authorization: Bearer TOKEN`."""

    token: str
    expires_in: Annotated[float, Meta(description="Seconds.")]


async def _issue(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
    username = caller.identity.username
    if authorization(request)[0] != "basic" or username is None:
        raise Problem(NOT_LOGGED_IN, "a token is for a user who logs in with a password: use Basic")
    tokens = context.logins.tokens
    token = Token(token=tokens.issue(caller, username), expires_in=tokens.lifetime_for(caller))
    return json_response(token, 201, {"cache-control": "no-store"})


issue_token: Final = Endpoint(
    id="token.issue",
    summary="Get a bearer token, with Basic login",
    description="The token stands for the login until one of them runs out, it is revoked, or the broker stops.",
    parameters=Parameters(NoParameters),
    gives={201: {JSON: Token}},
    answer=_issue,
)


async def _revoke(context: Context, request: Request, caller: Caller, parameters: Any) -> ASGIApp:
    scheme, credentials = authorization(request)
    if scheme != "bearer" or not context.logins.tokens.revoke(credentials):
        raise Problem(NOT_LOGGED_IN, "only the token that a request is sent with can be revoked: use Bearer")
    return Response(status_code=204)


revoke_token: Final = Endpoint(
    id="token.revoke",
    summary="Revoke the bearer token that the request is sent with",
    parameters=Parameters(NoParameters),
    gives={204: {}},
    answer=_revoke,
)
