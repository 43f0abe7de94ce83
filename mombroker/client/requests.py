"""Asking a service: ``await mom.request("thumbs", payload)``."""

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, Self

from mombroker.client.connection import Connection
from mombroker.client.publishing import publish_properties
from mombroker.client.replies import Replies
from mombroker.model.errors import MombrokerError
from mombroker.mqtt import Publish
from mombroker.operations import Problem
from mombroker.operations.names import check_name
from mombroker.operations.services import Part

PREFIX: Final = "$service/"
REMEMBERED_FORMS: Final = 256
"""Property blocks of requests that are kept: most callers ask the same few services in the same few ways."""

Properties = Mapping[str, str] | Iterable[tuple[str, str]]


class Reply:
    """The whole reply to a request: its parts in order, and for the usual case of one part its content."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts

    @property
    def payload(self) -> bytes:
        """The content of all parts."""
        parts = self.parts
        return parts[0].content() if len(parts) == 1 else b"".join([part.content() for part in parts])

    @property
    def text(self) -> str:
        """The content as text. Raises UnicodeDecodeError where it is not UTF-8."""
        return self.payload.decode()

    @property
    def content_type(self) -> str:
        """What the worker says the first part is."""
        return self.parts[0].content_type

    @property
    def properties(self) -> dict[str, str]:
        """The first part's user properties."""
        return dict(self.parts[0].properties)

    def __repr__(self) -> str:
        return f"Reply({len(self.parts)} parts, {len(self.payload)} bytes)"


def part_of(publish: Publish) -> Part:
    """A part of a reply as it came over MQTT, without the broker's own properties."""
    properties = publish.properties
    content_type = ""
    user: tuple[tuple[str, str], ...] = ()
    if properties is not None:
        content_type = properties.content_type or ""
        if properties.user:
            user = tuple([pair for pair in properties.user if not pair[0].startswith("mom-")])
    return Part(payload=publish.payload(), content_type=content_type, properties=user)


def problem_of(publish: Publish, error: str, worker_code: str) -> Problem:
    """The failure that a reply tells of."""
    return Problem(error, publish.payload().decode(errors="replace"), worker_code)


class Whole:
    """Waits for a whole reply."""

    __slots__ = ("deadline", "future", "_parts")

    def __init__(self, future: "asyncio.Future[Reply]", deadline: float) -> None:
        self.deadline = deadline
        self.future = future
        self._parts: tuple[Part, ...] = ()

    def part(self, publish: Publish, error: str, worker_code: str, more: bool) -> None:
        """A part has come."""
        if self.future.done():
            return
        if error:
            self.future.set_exception(problem_of(publish, error, worker_code))
            return
        self._parts += (part_of(publish),)
        if not more:
            self.future.set_result(Reply(self._parts))

    def broken(self, error: MombrokerError) -> None:
        """There will be no reply."""
        if not self.future.done():
            self.future.set_exception(error)


class Parts:
    """The parts of a reply, each as soon as it comes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self.deadline = deadline
        self._loop = loop
        self._parts: deque[Part] = deque()
        self._end: MombrokerError | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def part(self, publish: Publish, error: str, worker_code: str, more: bool) -> None:
        """A part has come."""
        if error:
            self._end = problem_of(publish, error, worker_code)
        else:
            self._parts.append(part_of(publish))
        self._ended = not more
        self._wake()

    def broken(self, error: MombrokerError) -> None:
        """There will be no further part."""
        self._end = error
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Part:
        while not self._parts:
            if self._end is not None:
                end, self._end = self._end, None
                raise end
            if self._ended:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._parts.popleft()


class Requests:
    """Asks services over one connection."""

    def __init__(self, connection: Connection, replies: Replies) -> None:
        self._connection = connection
        self._replies = replies
        self._forms: dict[tuple[float, bool, str], bytes] = {}

    async def whole(
        self, service: str, payload: bytes, timeout: float, content_type: str, properties: Properties, patient: bool
    ) -> Reply:
        """Ask, and wait for the whole reply."""
        if not self._replies.is_open:
            await self._replies.open(timeout)
        block = self._form(timeout, content_type, properties, patient)
        loop = self._connection.loop
        waiting = Whole(loop.create_future(), loop.time() + timeout)
        self._replies.ask(_topic(service), payload, block, waiting)
        return await waiting.future

    async def parts(
        self, service: str, payload: bytes, timeout: float, content_type: str, properties: Properties, patient: bool
    ) -> Parts:
        """Ask; the parts come as they are made."""
        if not self._replies.is_open:
            await self._replies.open(timeout)
        block = self._form(timeout, content_type, properties, patient)
        waiting = Parts(self._connection.loop, self._connection.loop.time() + timeout)
        self._replies.ask(_topic(service), payload, block, waiting)
        return waiting

    def _form(self, timeout: float, content_type: str, properties: Properties, patient: bool) -> bytes:
        """The property block but for the correlation data, remembered where it has no properties of the caller's."""
        key = (timeout, patient, content_type)
        known = None if properties else self._forms.get(key)
        if known is not None:
            return known
        if timeout <= 0:
            raise ValueError(f"a timeout of {timeout:g} s leaves no time for a reply")
        user = list(properties.items()) if isinstance(properties, Mapping) else list(properties)
        if timeout != int(timeout):
            user.append(("mom-timeout", f"{timeout:.3f}"))
        if patient:
            user.append(("mom-patient", "1"))
        block = publish_properties(content_type, user, math.ceil(timeout), self._replies.topic)
        if not properties and len(self._forms) < REMEMBERED_FORMS:
            self._forms[key] = block
        return block


_topics: Final[dict[str, bytes]] = {}


def _topic(service: str) -> bytes:
    topic = _topics.get(service)
    if topic is None:
        topic = f"{PREFIX}{check_name(service)}".encode()
        if len(_topics) < REMEMBERED_FORMS:
            _topics[service] = topic
    return topic
