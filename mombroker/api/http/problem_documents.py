"""Problems on the wire: ``application/problem+json`` (RFC 9457)."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from mombroker.operations.problems import KINDS, NOT_LOGGED_IN, Problem

MEDIA_TYPE: Final = "application/problem+json"
CHALLENGE: Final = 'Basic realm="mombroker", charset="UTF-8", Bearer realm="mombroker"'


class ProblemDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. ``code`` is the same over MQTT, HTTP and gRPC; ``detail`` says what happened and what to do;
    ``worker_code`` is what a failing worker called its error."""

    type: Annotated[str, Meta(description="`urn:mombroker:problem:` and the code.")]
    title: str
    status: int
    code: Annotated[str, Meta(description="One of: " + ", ".join(KINDS) + ".")]
    detail: str
    worker_code: str = ""


def problem_document(problem: Problem, status: int = 0) -> bytes:
    """The problem in JSON; ``status`` takes the place of its kind's."""
    return msgspec.json.encode(
        ProblemDocument(
            type=f"urn:mombroker:problem:{problem.code}",
            title=problem.kind.title,
            status=status or problem.kind.status,
            code=problem.code,
            detail=problem.detail,
            worker_code=problem.worker_code,
        )
    )


def problem_response(problem: Problem, status: int = 0, headers: Mapping[str, str] | None = None) -> Response:
    """The response that tells of a problem; one that asks for a login says how."""
    more = dict(headers or {})
    if problem.code == NOT_LOGGED_IN:
        more["www-authenticate"] = CHALLENGE
    return Response(
        problem_document(problem, status), status or problem.kind.status, headers=more, media_type=MEDIA_TYPE
    )
