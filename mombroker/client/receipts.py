"""What a publish, or many of them, tell when they are settled."""

import asyncio

from mombroker.client.errors import PublishesRefused, publish_refusal
from mombroker.client.protocol import Receipt
from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import UNSPECIFIED_ERROR

__all__ = ["ManyReceipts", "OneReceipt", "Receipt"]


class OneReceipt:
    """A future for the end of one publish: True if somebody was subscribed."""

    __slots__ = ("future", "_topic")

    def __init__(self, loop: asyncio.AbstractEventLoop, topic: str) -> None:
        self.future: asyncio.Future[int] = loop.create_future()
        self._topic = topic

    def settled(self, reason: int, text: str) -> None:
        """The end of it."""
        if self.future.done():
            return  # whoever waited has given up
        if reason >= UNSPECIFIED_ERROR:
            self.future.set_exception(publish_refusal(self._topic, reason, text))
        else:
            self.future.set_result(reason)

    def broken(self, error: MombrokerError) -> None:
        """The client has come to its end first."""
        if not self.future.done():
            self.future.set_exception(error)


class ManyReceipts:
    """Counts the ends of many publishes to one topic."""

    __slots__ = ("sent", "done", "_refused", "_first", "_topic", "_waiter")

    def __init__(self, topic: str) -> None:
        self.sent = 0
        self.done = 0
        self._topic = topic
        self._refused = 0
        self._first: MombrokerError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def settled(self, reason: int, text: str) -> None:
        """The end of one."""
        self.done += 1
        if reason >= UNSPECIFIED_ERROR:
            self._refused += 1
            if self._first is None:
                self._first = publish_refusal(self._topic, reason, text)
        if self._waiter is not None and self.done == self.sent and not self._waiter.done():
            self._waiter.set_result(None)

    def broken(self, error: MombrokerError) -> None:
        """The client has come to its end before this one was settled."""
        self._first = error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def check(self) -> None:
        """Raise PublishesRefused if some were refused so far, or what ended the client."""
        if self._first is not None:
            if not self._refused:
                raise self._first
            raise PublishesRefused(self._refused, self.sent, self._first)

    async def all(self) -> None:
        """Wait for the end of all of them. Raises PublishesRefused."""
        if self.done < self.sent:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None
        self.check()
