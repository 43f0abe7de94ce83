"""Problems over gRPC: a status with a message and trailing metadata for a call, a Failure for a step of a stream."""

from typing import Any, Final, NoReturn
from urllib.parse import quote

import grpc

from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.operations.problems import INTERNAL, SHUTTING_DOWN, Problem

CODE: Final = "mom-code"
WORKER_CODE: Final = "mom-worker-code"

MAX_DETAIL: Final = 2000
"""Bytes of a detail that go into a status. Clients take 8 KiB of trailing metadata, where a byte may be three."""

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


async def refuse(context: Any, problem: Problem) -> NoReturn:
    """End a call with a problem."""
    await context.abort(
        grpc.StatusCode[problem.kind.grpc],
        problem.detail.encode("utf-8", "replace")[:MAX_DETAIL].decode("utf-8", "ignore"),
        trailing_metadata(problem),
    )
    raise AssertionError("abort raises")


def trailing_metadata(problem: Problem) -> tuple[tuple[str, str], ...]:
    """The code, and that of the worker if there is one, percent-encoded where it is not printable ASCII."""
    metadata = ((CODE, problem.code),)
    if problem.worker_code:
        return (*metadata, (WORKER_CODE, quote(problem.worker_code, safe=_PRINTABLE, errors="replace")))
    return metadata


def failure(problem: Problem) -> pb.Failure:
    """A problem as a message."""
    return pb.Failure(code=problem.code, detail=problem.detail, worker_code=problem.worker_code)


def broken(error: Exception) -> Problem:
    """What the client is told of an error that is none of its business; the log has the rest."""
    return Problem(INTERNAL, f"the broker failed with {type(error).__name__}; its log says more")


def stopped() -> Problem:
    """What the client is told whose call was broken off because the broker stops."""
    return Problem(SHUTTING_DOWN, "the broker is shutting down; call again when it is back")
