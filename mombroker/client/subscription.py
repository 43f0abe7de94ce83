"""``async for message in mom.subscribe("a/#")``."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from mombroker.client.connection import Connection
from mombroker.client.dispatch import Dispatch
from mombroker.client.errors import subscribe_refusal
from mombroker.client.protocol import Message, Wish
from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import UNSPECIFIED_ERROR
from mombroker.mqtt import SubscribeFilter


class Granted:
    """A future for the server's answer to a SUBSCRIBE or UNSUBSCRIBE: SubscribeRefused for the first filter it
    refuses."""

    def __init__(self, loop: asyncio.AbstractEventLoop, filters: tuple[str, ...]) -> None:
        self.future: asyncio.Future[list[int]] = loop.create_future()
        self._filters = filters

    def answered(self, reasons: list[int], text: str) -> None:
        """The server's answer."""
        if self.future.done():
            return
        for filter, reason in zip(self._filters, reasons, strict=False):
            if reason >= UNSPECIFIED_ERROR:
                self.future.set_exception(subscribe_refusal(filter, reason, text))
                return
        self.future.set_result(reasons)

    def broken(self, error: MombrokerError) -> None:
        """The client has come to its end first."""
        if not self.future.done():
            self.future.set_exception(error)


class Subscription:
    """Messages that match some filters, as an asynchronous iterator and context manager.

    It subscribes when it is entered or first iterated over, which raises SubscribeRefused or NotAuthorized, and ends
    when it is left. Without ``async with`` it lasts until :meth:`close` or the end of the client. Each message is
    acknowledged when the next one is asked for, unless ``manual_ack``: then by :meth:`Message.ack`.

    ``granted`` is the QoS for each filter. At most ``buffer`` messages wait to be iterated over; of QoS 0 messages,
    which the server does not hold back, those beyond it are dropped and counted in ``dropped``.
    """

    def __init__(
        self, connection: Connection, dispatch: Dispatch, entries: list[SubscribeFilter], manual_ack: bool, buffer: int
    ) -> None:
        self.filters = tuple(entry.filter for entry in entries)
        self.granted: tuple[int, ...] = ()
        self.dropped = 0
        self._connection = connection
        self._dispatch = dispatch
        self._entries = entries
        self._manual_ack = manual_ack
        self._buffer = buffer
        self._messages: deque[Message] = deque()
        self._current: Message | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._identifier = 0
        self._error: MombrokerError | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The body that ends without an error is done with the message it had last.
        if error is None and not self._manual_ack:
            self.ack_current()
        await self.close()

    def ack_current(self) -> None:
        """The message that was handed out last is dealt with."""
        if self._current is not None:
            self._current.ack()
            self._current = None

    async def open(self) -> None:
        """Subscribe, and wait for the server's answer."""
        if self._identifier:
            return
        self._connection.check()
        self._identifier = self._dispatch.add(self)
        self._connection.on_lost.append(self._lost)
        answer = Granted(self._connection.loop, self.filters)
        self._connection.session.subscriptions.ask(Wish(self._entries, self._identifier, answer, False))
        try:
            self.granted = tuple(await answer.future)
        except BaseException:
            self._forget()
            raise

    async def close(self) -> None:
        """End the subscription. Messages that were not iterated over are given up."""
        if self._closed:
            return
        self.stop()
        if not self._identifier:
            return
        self._forget()
        for message in self._messages:
            message.ack()
        self._messages.clear()
        if self._connection.ended is None:
            answer = Granted(self._connection.loop, ())
            self._connection.session.subscriptions.ask(Wish(self._entries, 0, answer, True))
            if self._connection.connected:
                await answer.future

    def stop(self) -> None:
        """End the iteration, without a word to the server."""
        self._closed = True
        self._wake()

    def _forget(self) -> None:
        self._dispatch.remove(self._identifier)
        if self._lost in self._connection.on_lost:
            self._connection.on_lost.remove(self._lost)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if not self._identifier and not self._closed:
            await self.open()
        if not self._manual_ack:
            self.ack_current()
        messages = self._messages
        while not messages:
            if self._closed:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        self._current = message = messages.popleft()
        return message

    def received(self, message: Message) -> None:
        """A message has come."""
        if not message.qos and len(self._messages) >= self._buffer:
            self.dropped += 1
            return
        self._messages.append(message)
        self._wake()

    def _lost(self, error: MombrokerError) -> None:
        """What was not acknowledged comes again, unless the connection has ended for good."""
        if self._connection.ended is not None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
