"""The clients that ask and answer, each as its makers mean it to be used: mombroker's own, nats-py and pika.

All have the same four methods. ``ask`` returns the reply; ``serve`` answers with ``answer`` what is asked from now on,
as long as somebody waits in ``rest``.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

TIMEOUT = 5.0
"""Seconds after which a request counts as unanswered."""

SERVICE = "bench-echo"
CREDIT = 256
"""Requests that a worker may have at a time: more than any scenario has in flight."""

REST = 0.02

Answer = Callable[[bytes], bytes]


class MombrokerClient:
    """``mombroker.client``. The handler blocks nowhere, so it needs no thread."""

    def __init__(self, port: int) -> None:
        import mombroker

        self._mom: Any = mombroker.connect(f"mqtt://127.0.0.1:{port}")

    async def __aenter__(self) -> Self:
        await self._mom.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._mom.close()

    async def ask(self, payload: bytes) -> bytes:
        """Ask and wait."""
        payload = (await self._mom.request(SERVICE, payload, timeout=TIMEOUT)).payload
        return payload

    async def serve(self, answer: Answer) -> None:
        """Answer from now on."""
        await self._mom.serve(SERVICE, lambda request: answer(request.payload), concurrency=CREDIT, threads=False)

    async def rest(self) -> None:
        """Let others work for a moment."""
        await asyncio.sleep(REST)


class NatsClient:
    """nats-py, with requests and replies of NATS itself: nothing of it is stored."""

    def __init__(self, port: int) -> None:
        self._url = f"nats://127.0.0.1:{port}"
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        import nats

        self._connection = await nats.connect(self._url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def ask(self, payload: bytes) -> bytes:
        """Ask and wait."""
        reply: bytes = (await self._connection.request(SERVICE, payload, timeout=TIMEOUT)).data
        return reply

    async def serve(self, answer: Answer) -> None:
        """Answer from now on."""

        async def handle(message: Any) -> None:
            await message.respond(answer(message.data))

        await self._connection.subscribe(SERVICE, queue="workers", cb=handle)
        # A subscription is there when the server has answered what was sent after it.
        await self._connection.flush()

    async def rest(self) -> None:
        """Let others work for a moment."""
        await asyncio.sleep(REST)


class PikaClient:
    """pika's blocking connection, with RabbitMQ's direct reply-to: one request at a time."""

    REPLIES = "amq.rabbitmq.reply-to"

    def __init__(self, port: int) -> None:
        import pika

        self._pika: Any = pika
        self._parameters = pika.ConnectionParameters("127.0.0.1", port)
        self._reply: bytes | None = None
        self._replies = False

    async def __aenter__(self) -> Self:
        self._connection = self._pika.BlockingConnection(self._parameters)
        self._channel = self._connection.channel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    async def ask(self, payload: bytes) -> bytes:
        """Ask and wait."""
        if not self._replies:
            self._replies = True
            self._channel.basic_consume(self.REPLIES, self._replied, auto_ack=True)
        self._reply = None
        properties = self._pika.BasicProperties(reply_to=self.REPLIES)
        self._channel.basic_publish("", SERVICE, payload, properties)
        while self._reply is None:
            self._connection.process_data_events(time_limit=TIMEOUT)
        return self._reply

    def _replied(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._reply = body

    async def serve(self, answer: Answer) -> None:
        """Answer from now on."""

        def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            channel.basic_publish("", properties.reply_to, answer(body))

        self._channel.queue_declare(SERVICE, auto_delete=True)
        self._channel.basic_consume(SERVICE, handle, auto_ack=True)

    async def rest(self) -> None:
        """Work for a moment; there is no other thread that would."""
        self._connection.process_data_events(time_limit=REST)


CLIENTS: dict[str, Any] = {"mombroker": MombrokerClient, "nats": NatsClient, "pika": PikaClient}
