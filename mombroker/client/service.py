"""``@mom.service("thumbs")``: answering requests.

A worker has a connection of its own, whose Receive Maximum bounds the requests it has at a time. A request is
acknowledged after its reply, on the same connection: a worker that dies before it hands the request to another.
"""

import asyncio
import inspect
import json
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mombroker.client.branches import Branches
from mombroker.client.connection import Connection
from mombroker.client.dispatch import Dispatch
from mombroker.client.errors import ServiceError
from mombroker.client.protocol import Message, Outgoing, Wish
from mombroker.client.publishing import publish_properties, to_bytes
from mombroker.client.replies import LARGE
from mombroker.client.subscription import Granted
from mombroker.model.errors import MombrokerError
from mombroker.mqtt import SubscribeFilter
from mombroker.operations.names import check_name
from mombroker.operations.services import Part

Answer = bytes | str | bytearray | memoryview | Part | None
Handler = Callable[["ServiceRequest"], Answer | Awaitable[Answer] | AsyncGenerator[Answer, None]]
"""What serves: a function, a coroutine function, or an asynchronous generator for a reply in several parts."""

_log = logging.getLogger("mombroker.client")


class ServiceRequest:
    """A request as a handler gets it."""

    __slots__ = ("service", "message")

    def __init__(self, service: str, message: Message) -> None:
        self.service = service
        self.message = message

    @property
    def deadline(self) -> float:
        """When the caller stops waiting, Unix seconds; 0.0 where the broker gave no time."""
        return _seconds(self.message.properties.get("mom-deadline", ""))

    @property
    def id(self) -> str:
        """The request's id."""
        return self.message.topic.rpartition("/")[2]

    @property
    def payload(self) -> bytes:
        """The content."""
        return self.message.payload

    @property
    def text(self) -> str:
        """The content as text. Raises UnicodeDecodeError where it is not UTF-8."""
        return self.message.payload.decode()

    @property
    def content_type(self) -> str:
        """What the caller says the payload is."""
        return self.message.content_type

    @property
    def properties(self) -> dict[str, str]:
        """The caller's own properties."""
        return {name: value for name, value in self.message.properties.items() if not name.startswith("mom-")}

    @property
    def remaining(self) -> float:
        """Seconds until the caller stops waiting; negative when that is past."""
        deadline = self.deadline
        return deadline - time.time() if deadline else float("inf")

    def __repr__(self) -> str:
        return f"ServiceRequest(service={self.service!r}, id={self.id!r}, {len(self.payload)} bytes)"


class Worker:
    """Serves one service until it is stopped or its client is closed.

    At most ``concurrency`` requests are worked on at a time. Plain functions run in threads, unless ``threads`` is
    False: then right where the request arrives, which is fastest for those that never block.
    """

    def __init__(self, branches: Branches, service: str, handler: Handler, concurrency: int, threads: bool) -> None:
        self.service = check_name(service)
        self.filters: tuple[str, ...] = (f"$service/{service}/request/+",)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failed.add_done_callback(_seen)
        self._branches = branches
        self._handler = handler
        self._concurrency = concurrency
        self._dispatch = Dispatch()
        self._connection: Connection = branches.connection(concurrency, self._dispatch)
        plain = not _is_async(handler)
        self._inline = plain and not threads
        self._threads = ThreadPoolExecutor(concurrency, f"mombroker-{service}") if plain and threads else None
        self._requests: deque[Message] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to serve. Raises Problem, SubscribeRefused or ConnectionFailed."""
        self._branches.opened(self)
        try:
            await self._connection.open()
            self._connection.on_lost.append(self._lost)
            identifier = self._dispatch.add(self)
            answer = Granted(self._connection.loop, self.filters)
            entry = SubscribeFilter(self.filters[0], 1)
            self._connection.session.subscriptions.ask(Wish([entry], identifier, answer, False))
            await answer.future
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop serving; requests that are being worked on go to other workers."""
        self._branches.closed(self)
        if not self.failed.done():
            self.failed.set_result(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _lost(self, error: MombrokerError) -> None:
        self._requests.clear()
        if self._connection.ended is not None and not self.failed.done():
            self.failed.set_exception(error)

    def received(self, message: Message) -> None:
        """A request has come."""
        if self._inline:
            self._serve_inline(message)
            return
        self._requests.append(message)
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return
        if len(self._tasks) < self._concurrency:
            self._tasks.append(self._connection.loop.create_task(self._work()))

    async def _work(self) -> None:
        """One of the worker's hands: takes requests one after the other, for as long as the worker serves."""
        loop = self._connection.loop
        while True:
            while not self._requests:
                idle: asyncio.Future[None] = loop.create_future()
                self._idle.append(idle)
                await idle
            message = self._requests.popleft()
            request = ServiceRequest(self.service, message)
            try:
                await self._answer(request)
            except Exception as error:
                self.fail(message, error)
            message.ack()

    async def _answer(self, request: ServiceRequest) -> None:
        answer: Any
        if self._threads is not None:
            answer = await self._connection.loop.run_in_executor(self._threads, self._handler, request)
        else:
            answer = self._handler(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, AsyncGenerator):
            await self._send_parts(request.message, answer)
        else:
            self._send(request.message, answer, "")

    async def _send_parts(self, message: Message, parts: AsyncGenerator[Answer, None]) -> None:
        """The last part is known to be the last only when the generator has ended: each waits for the next one."""
        held: Answer = None
        first = True
        async for part in parts:
            if not first:
                self._send(message, held, "/more")
            held, first = part, False
        self._send(message, held, "")

    def _serve_inline(self, message: Message) -> None:
        try:
            answer: Any = self._handler(ServiceRequest(self.service, message))
            self._send(message, answer, "")
        except Exception as error:
            self.fail(message, error)
        message.ack()

    def _send(self, message: Message, answer: Answer, ending: str) -> None:
        properties = b""
        if isinstance(answer, Part):
            properties = publish_properties(answer.content_type, answer.properties)
            answer = answer.content()
        payload = b"" if answer is None else to_bytes(answer)
        self._publish(message, ending, payload, properties)

    def fail(self, message: Message, error: Exception) -> None:
        """Tell the caller; what is no ServiceError is a fault of the handler, and logged."""
        if isinstance(error, ServiceError):
            code, detail = error.code, error.detail
        else:
            code, detail = type(error).__name__, str(error)
            _log.error("the handler of the service %s failed on %s", self.service, message.topic, exc_info=error)
        body = json.dumps({"code": code, "detail": detail}).encode()
        self._publish(message, "/error", body, publish_properties("application/json"))

    def _publish(self, message: Message, ending: str, payload: bytes, properties: bytes) -> None:
        """Reply over the connection that the request came on; if that is gone, so is our lease."""
        if self._connection.connected and not message.stale:
            topic = (message.response_topic or message.topic.replace("/request/", "/reply/", 1)) + ending
            receipt = Unsendable(self, message) if len(payload) >= LARGE else None
            self._connection.publish(Outgoing(topic.encode(), payload, 0, properties, receipt))


class Unsendable:
    """Watches over a large reply: where the broker does not take packets of its size, the caller is told so."""

    def __init__(self, worker: Worker, message: Message) -> None:
        self._worker = worker
        self._message = message

    def settled(self, reason: int, text: str) -> None:
        """It was written, or cannot be."""
        if reason:
            self._worker.fail(self._message, ServiceError("reply-too-large", f"the reply cannot be sent: {text}"))

    def broken(self, error: MombrokerError) -> None:
        """The worker has come to its end: another one gets the request."""


def _seen(failed: "asyncio.Future[None]") -> None:
    """Whoever waits for the end of a worker is told its failure; nobody has to."""
    if not failed.cancelled():
        failed.exception()


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
