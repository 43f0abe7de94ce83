"""``async for message in queue.consume(credit=100)``: messages pushed by the broker as fast as they are settled."""

from types import TracebackType
from typing import Self

from mombroker.client.branches import Branches
from mombroker.client.dispatch import Dispatch
from mombroker.client.errors import NotAuthorized, SubscribeRefused
from mombroker.client.later import Caller
from mombroker.client.queue_message import QueueMessage, pushed
from mombroker.client.subscription import Subscription
from mombroker.mqtt import SubscribeFilter
from mombroker.operations.queues import GetQueue


class Consumption:
    """A consumer of one queue, on a connection of its own: an asynchronous iterator and context manager.

    At most ``credit`` messages are unsettled at a time. It begins when it is entered or first iterated over, which
    raises Problem, and ends when it is left or with its client; what is unsettled then goes back to the queue. With
    ``auto_ack`` each message is acknowledged when the next one is asked for.
    """

    def __init__(self, branches: Branches, caller: Caller, queue: str, credit: int, auto_ack: bool) -> None:
        dispatch = Dispatch()
        self._branches = branches
        self._caller = caller
        self._queue = queue
        self._auto_ack = auto_ack
        self._connection = branches.connection(credit, dispatch)
        entry = SubscribeFilter(f"$queue/{queue}", 1)
        self._subscription = Subscription(self._connection, dispatch, [entry], not auto_ack, credit)
        self._opened = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._auto_ack:
            self._subscription.ack_current()
        await self.close()

    async def open(self) -> None:
        """Begin to consume."""
        if self._opened:
            return
        self._opened = True
        self._branches.opened(self)
        try:
            await self._connection.open()
            await self._subscription.open()
        except (NotAuthorized, SubscribeRefused):
            await self.close()
            # A SUBACK says no more than no. Asking about the queue tells why: it raises the problem.
            await self._caller.call(GetQueue(queue=self._queue))
            raise
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop, and disconnect: the broker takes back what is unsettled."""
        self._branches.closed(self)
        self._subscription.stop()
        await self._connection.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> QueueMessage:
        if not self._opened:
            await self.open()
        message = await self._subscription.__anext__()
        return pushed(message, self._queue, self._caller)
