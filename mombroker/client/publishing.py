"""Publishing: one message, or a stream of them through a window."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from mombroker.client.connection import Connection
from mombroker.client.protocol import Outgoing
from mombroker.client.receipts import ManyReceipts, OneReceipt
from mombroker.model.reasons import NO_MATCHING_SUBSCRIBERS
from mombroker.mqtt import Properties
from mombroker.mqtt.packet_types import PUBLISH
from mombroker.mqtt.properties import property_block
from mombroker.mqtt.topics import check_name

Payload = bytes | str | bytearray | memoryview
"""What can be published: text goes as UTF-8."""


def to_bytes(payload: Payload) -> bytes:
    """The payload as it is sent."""
    if isinstance(payload, bytes):
        return payload
    return payload.encode() if isinstance(payload, str) else bytes(payload)


def publish_properties(
    content_type: str = "",
    properties: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    expiry: int | None = None,
    response_topic: str = "",
    correlation_data: bytes = b"",
) -> bytes:
    """The content of a PUBLISH's property block."""
    if not content_type and not properties and expiry is None and not response_topic and not correlation_data:
        return b""
    block = Properties()
    block.content_type = content_type or None
    block.message_expiry = expiry
    block.response_topic = response_topic or None
    block.correlation_data = correlation_data or None
    block.user = list(properties.items()) if isinstance(properties, Mapping) else list(properties)
    return property_block(block, PUBLISH)


def checked_topic(topic: str) -> bytes:
    """The topic as it is sent. Raises ProtocolError for one that cannot be published to."""
    raw = topic.encode()
    check_name(raw)
    return raw


def publish_flags(qos: int, retain: bool) -> int:
    """The flags of a PUBLISH. Raises ValueError for a QoS that does not exist."""
    if qos not in (0, 1, 2):
        raise ValueError(f"there is no QoS {qos}: use 0, 1 or 2")
    return qos << 1 | (1 if retain else 0)


async def publish_one(connection: Connection, topic: str, payload: bytes, flags: int, properties: bytes) -> bool:
    """Publish and wait for the acknowledgement (QoS 0: until it is on its way). Whether somebody is subscribed, as
    far as the server says."""
    receipt = OneReceipt(connection.loop, topic)
    connection.publish(Outgoing(checked_topic(topic), payload, flags, properties, receipt))
    return await receipt.future != NO_MATCHING_SUBSCRIBERS


class Publisher:
    """Publishes many messages without waiting for each acknowledgement.

    ``send`` waits only while the server's window or the transport is full. Leaving the context waits for every
    acknowledgement; it and ``send`` raise PublishesRefused when messages were refused.
    """

    def __init__(self, connection: Connection, topic: str, flags: int, properties: bytes) -> None:
        self._connection = connection
        self._topic = checked_topic(topic)
        self._flags = flags
        self._properties = properties
        self._receipts = ManyReceipts(topic)

    @property
    def sent(self) -> int:
        """Messages handed over so far."""
        return self._receipts.sent

    @property
    def acknowledged(self) -> int:
        """Messages whose end is known."""
        return self._receipts.done

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.flush()

    async def send(self, payload: Payload, properties: bytes | None = None) -> None:
        """Publish one. ``properties``, made by :func:`publish_properties`, take the place of the publisher's."""
        connection = self._connection
        if not connection.has_room:
            self._receipts.check()
            await connection.room()
        self._receipts.sent += 1
        block = self._properties if properties is None else properties
        connection.publish(Outgoing(self._topic, to_bytes(payload), self._flags, block, self._receipts))

    async def flush(self) -> None:
        """Wait until all that was sent is acknowledged. Raises PublishesRefused."""
        await self._receipts.all()
