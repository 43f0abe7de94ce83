"""Subscriptions and publishers without a loop."""

from types import TracebackType
from typing import Any, Self

from mombroker.client.protocol import Message
from mombroker.client.publishing import Payload, Publisher
from mombroker.client.queue_publishing import QueuePublisher
from mombroker.client.subscription import Subscription
from mombroker.client.sync.loop_thread import LoopThread
from mombroker.operations.messages import OutMessage


class SyncSubscription:
    """As :class:`mombroker.client.Subscription`: an iterator and context manager. ``for`` waits for messages."""

    def __init__(self, thread: LoopThread, subscription: Subscription) -> None:
        self._thread = thread
        self._subscription = subscription

    @property
    def granted(self) -> tuple[int, ...]:
        """The QoS for each filter."""
        return self._subscription.granted

    @property
    def dropped(self) -> int:
        """QoS 0 messages that were dropped since nobody took them."""
        return self._subscription.dropped

    def __enter__(self) -> Self:
        self._thread.run(self._subscription.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(self._subscription.__aexit__(kind, error, trace))

    def close(self) -> None:
        """End the subscription."""
        self._thread.run(self._subscription.close())

    def ack(self, message: Message) -> bool:
        """Acknowledge a message of a subscription with ``manual_ack``; as :meth:`Message.ack`, from any thread."""
        return self._thread.call(message.ack)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        message = self._thread.run(self._next())
        if message is None:
            raise StopIteration
        return message

    async def _next(self) -> Message | None:
        return await anext(self._subscription, None)


class SyncPublisher:
    """As :class:`mombroker.client.Publisher`: ``with mom.publisher("a") as publisher: publisher.send(payload)``.

    Messages are handed over in groups of ``group``: a message at a time would cost a switch of threads each.
    """

    def __init__(self, thread: LoopThread, publisher: Publisher | QueuePublisher, group: int = 256) -> None:
        self._thread = thread
        self._publisher = publisher
        self._group = group
        self._held: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()

    def send(self, payload: Payload | OutMessage) -> None:
        """Publish one; an OutMessage to a queue only."""
        self._held.append(payload)
        if len(self._held) >= self._group:
            self._hand_over()

    def flush(self) -> None:
        """Wait until all that was sent is acknowledged. Raises PublishesRefused."""
        self._hand_over()
        self._thread.run(self._publisher.flush())

    @property
    def sent(self) -> int:
        """Messages sent so far."""
        return self._publisher.sent + len(self._held)

    def _hand_over(self) -> None:
        held, self._held = self._held, []
        if held:
            self._thread.run(self._send_all(held))

    async def _send_all(self, payloads: list[Any]) -> None:
        for payload in payloads:
            await self._publisher.send(payload)
