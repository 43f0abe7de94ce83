"""Operations of the broker's native API: one request, one response (``$mom/v1/...`` in MessagePack)."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from mombroker.client.connection import Connection
from mombroker.client.publishing import publish_properties
from mombroker.client.replies import Replies
from mombroker.model.errors import MombrokerError
from mombroker.mqtt import Publish
from mombroker.operations import BY_REQUEST, Problem
from mombroker.operations.problems import INTERNAL

PREFIX: Final = "$mom/v1/"
CONTENT_TYPE: Final = "application/msgpack"

_encode: Final = msgspec.msgpack.Encoder().encode
_decoders: Final[dict[type[Struct], msgspec.msgpack.Decoder[Any]]] = {}


class Failure(Struct):
    """The body of a failed operation's answer."""

    code: str
    detail: str = ""
    title: str = ""
    worker_code: str = ""


class Call:
    """Waits for the answer to one operation."""

    __slots__ = ("deadline", "future", "_response")

    def __init__(self, future: "asyncio.Future[Any]", deadline: float, response: type[Struct]) -> None:
        self.deadline = deadline
        self.future = future
        self._response = response

    def part(self, publish: Publish, error: str, worker_code: str, more: bool) -> None:
        """The answer."""
        if self.future.done():
            return
        try:
            if error:
                self.future.set_exception(_problem(publish, error))
            else:
                self.future.set_result(decoder(self._response)(publish.payload()))
        except msgspec.MsgspecError as broken:
            self.future.set_exception(Problem(error or INTERNAL, f"the broker's answer cannot be read: {broken}"))

    def broken(self, error: MombrokerError) -> None:
        """There will be no answer."""
        if not self.future.done():
            self.future.set_exception(error)


def _problem(publish: Publish, error: str) -> Problem:
    """What an answer tells of; one that is not in our form is the detail as text."""
    properties = publish.properties
    if properties is None or properties.content_type != CONTENT_TYPE:
        return Problem(error, publish.payload().decode(errors="replace"))
    failure: Failure = decoder(Failure)(publish.payload())
    return Problem(failure.code, failure.detail, failure.worker_code)


def decoder(kind: type[Struct]) -> Callable[[bytes], Any]:
    """The function that reads one kind of Struct from MessagePack."""
    known = _decoders.get(kind)
    if known is None:
        known = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    return known.decode


class Calls:
    """Calls operations over one connection."""

    def __init__(self, connection: Connection, replies: Replies) -> None:
        self._connection = connection
        self._replies = replies
        self._properties = b""

    async def call(self, request: Struct, timeout: float) -> Any:
        """Carry out one operation of the catalogue and return its response.

        Raises Problem as the broker says, or deadline-passed after ``timeout`` seconds; ConnectionLost where it is not
        known whether the operation was carried out; TypeError for what is no request.
        """
        operation = BY_REQUEST.get(type(request))
        if operation is None:
            raise TypeError(f"{type(request).__name__} is no request of an operation")
        if not self._replies.is_open:
            await self._replies.open(timeout)
        if not self._properties:
            self._properties = publish_properties(CONTENT_TYPE, response_topic=self._replies.topic)
        loop = self._connection.loop
        call = Call(loop.create_future(), loop.time() + timeout, operation.response)
        self._replies.ask(f"{PREFIX}{operation.name}".encode(), _encode(request), self._properties, call)
        return await call.future
