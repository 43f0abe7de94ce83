"""Messages on their way into a queue: their options as MQTT properties, and a stream of them."""

import math
from types import TracebackType
from typing import Final, Self

from mombroker.client.connection import Connection
from mombroker.client.publishing import Payload, Publisher, publish_flags, publish_properties
from mombroker.operations.messages import OutMessage

QOS_1: Final = publish_flags(1, False)


class QueuePublisher:
    """Puts many messages into a queue without waiting for each, as :class:`Publisher` does; the messages may have
    options of their own."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._publisher = Publisher(connection, topic, QOS_1, b"")

    @property
    def sent(self) -> int:
        """Messages handed over so far."""
        return self._publisher.sent

    @property
    def acknowledged(self) -> int:
        """Messages whose end is known."""
        return self._publisher.acknowledged

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._publisher.__aexit__(kind, error, trace)

    async def send(self, message: Payload | OutMessage) -> None:
        """Put one in."""
        if isinstance(message, OutMessage):
            await self._publisher.send(message.content(), put_properties(message))
        else:
            await self._publisher.send(message)

    async def flush(self) -> None:
        """Wait until all of them are on disk. Raises PublishesRefused."""
        await self._publisher.flush()


def put_properties(message: OutMessage) -> bytes:
    """A message's options as the properties of a PUBLISH."""
    user = list(message.properties)
    if message.id:
        user.append(("mom-id", message.id))
    if message.priority:
        user.append(("mom-priority", str(message.priority)))
    if message.key:
        user.append(("mom-key", message.key))
    if message.delay:
        user.append(("mom-delay", f"{message.delay:.3f}"))
    if message.deliver_at:
        user.append(("mom-deliver-at", f"{message.deliver_at:.3f}"))
    expiry = max(1, math.ceil(message.ttl)) if message.ttl else None
    return publish_properties(message.content_type, user, expiry)
