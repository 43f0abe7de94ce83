"""Queues without a loop."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from msgspec import UNSET, UnsetType

from mombroker.client.consuming import Consumption
from mombroker.client.publishing import Payload
from mombroker.client.queue import Queue
from mombroker.client.queue_message import QueueMessage
from mombroker.client.sync.loop_thread import LoopThread
from mombroker.client.sync.streams import SyncPublisher
from mombroker.operations.messages import InMessage, OutMessage
from mombroker.operations.queues import QueueInfo


class SyncQueueMessage:
    """As :class:`mombroker.client.QueueMessage`; ``content`` holds all there is to read."""

    __slots__ = ("content", "_message", "_thread")

    def __init__(self, thread: LoopThread, message: QueueMessage) -> None:
        self.content: InMessage = message.content
        self._thread = thread
        self._message = message

    @property
    def id(self) -> str:
        """The message id."""
        return self.content.id

    @property
    def payload(self) -> bytes:
        """The content."""
        return self.content.content()

    @property
    def text(self) -> str:
        """The content as text. Raises UnicodeDecodeError where it is not UTF-8."""
        return self.payload.decode()

    @property
    def properties(self) -> dict[str, str]:
        """The application's own properties."""
        return dict(self.content.properties)

    @property
    def deliveries(self) -> int:
        """How often it was handed out, this time included."""
        return self.content.deliveries

    @property
    def inner(self) -> QueueMessage:
        """The message in the loop's world."""
        return self._message

    def ack(self) -> None:
        """It is handled."""
        self._thread.run(self._message.ack())

    def nack(self, delay: float | None = None, *, dead_letter: bool = False, reason: str = "") -> None:
        """It could not be handled."""
        self._thread.run(self._message.nack(delay, dead_letter=dead_letter, reason=reason))

    def extend(self, seconds: float) -> None:
        """Have it for longer."""
        self._thread.run(self._message.extend(seconds))

    def __repr__(self) -> str:
        return repr(self._message)


class SyncConsumption:
    """As :class:`mombroker.client.Consumption`: an iterator and context manager."""

    def __init__(self, thread: LoopThread, consumption: Consumption) -> None:
        self._thread = thread
        self._consumption = consumption

    def __enter__(self) -> Self:
        self._thread.run(self._consumption.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(self._consumption.__aexit__(kind, error, trace))

    def close(self) -> None:
        """Stop."""
        self._thread.run(self._consumption.close())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SyncQueueMessage:
        message = self._thread.run(self._next())
        if message is None:
            raise StopIteration
        return SyncQueueMessage(self._thread, message)

    async def _next(self) -> QueueMessage | None:
        return await anext(self._consumption, None)


class SyncQueue:
    """As :class:`mombroker.client.Queue`."""

    def __init__(self, thread: LoopThread, queue: Queue) -> None:
        self.name = queue.name
        self._thread = thread
        self._queue = queue

    def create(self, *, bindings: Sequence[str] = (), **policy: object) -> QueueInfo:
        """Make it."""
        return self._thread.run(self._queue.create(bindings=bindings, **policy))

    def change(self, *, bindings: Sequence[str] | UnsetType = UNSET, **policy: object) -> QueueInfo:
        """Change what is given."""
        return self._thread.run(self._queue.change(bindings=bindings, **policy))

    def info(self) -> QueueInfo:
        """Its owner, policy, bindings and numbers."""
        return self._thread.run(self._queue.info())

    def purge(self) -> int:
        """Drop every message that no consumer has."""
        return self._thread.run(self._queue.purge())

    def delete(self, *, if_empty: bool = False, if_unused: bool = False) -> int:
        """Delete it with all its messages."""
        return self._thread.run(self._queue.delete(if_empty=if_empty, if_unused=if_unused))

    def redrive(self, limit: int = 0) -> int:
        """Move dead letters back to where they came from."""
        return self._thread.run(self._queue.redrive(limit))

    def put(self, payload: Payload, **options: Any) -> str:
        """Put a message in; the options are those of :meth:`mombroker.client.Queue.put`."""
        return self._thread.run(self._queue.put(payload, **options))

    def put_many(self, messages: Iterable[Payload | OutMessage]) -> int:
        """Put many messages in."""
        return self._thread.run(self._queue.put_many(messages))

    def publisher(self) -> SyncPublisher:
        """Puts messages in without waiting for each."""
        return SyncPublisher(self._thread, self._queue.publisher())

    def pull(self, limit: int = 1, *, wait: float = 0.0, lease: float = 0.0) -> list[SyncQueueMessage]:
        """Take up to ``limit`` messages."""
        found = self._thread.run(self._queue.pull(limit, wait=wait, lease=lease))
        return [SyncQueueMessage(self._thread, message) for message in found]

    def consume(self, credit: int = 100, *, auto_ack: bool = False) -> SyncConsumption:
        """Have messages pushed."""
        consumption = self._thread.call(lambda: self._queue.consume(credit, auto_ack=auto_ack))
        return SyncConsumption(self._thread, consumption)

    def ack(self, messages: Iterable[SyncQueueMessage]) -> int:
        """Acknowledge many pulled messages at once."""
        return self._thread.run(self._queue.ack([message.inner for message in messages]))

    def nack(
        self,
        messages: Iterable[SyncQueueMessage],
        delay: float | None = None,
        *,
        dead_letter: bool = False,
        reason: str = "",
    ) -> int:
        """Give many pulled messages back at once."""
        inner = [message.inner for message in messages]
        return self._thread.run(self._queue.nack(inner, delay, dead_letter=dead_letter, reason=reason))

    def peek(self, limit: int = 10) -> list[InMessage]:
        """Look at the messages in front."""
        return self._thread.run(self._queue.peek(limit))

    def find(self, id: str) -> InMessage:
        """Look for a message by its id."""
        return self._thread.run(self._queue.find(id))

    def __repr__(self) -> str:
        return f"SyncQueue({self.name!r})"
