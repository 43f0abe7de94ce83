"""A published message, as the broker routes it and hooks see it, and its form on disk."""

import struct
from typing import Final

_BODY: Final = struct.Struct(">BddHHI")


class _Header:
    """The packed beginning of a stored message."""

    __slots__ = ("flags", "published_at", "expires_at", "topic_size", "publisher_size", "properties_size", "packed")

    def __init__(
        self,
        flags: int,
        published_at: float,
        expires_at: float,
        topic_size: int,
        publisher_size: int,
        properties_size: int,
    ) -> None:
        self.flags: int = flags
        self.published_at: float = published_at
        self.expires_at: float = expires_at
        self.topic_size: int = topic_size
        self.publisher_size: int = publisher_size
        self.properties_size: int = properties_size
        self.packed: bytes = _BODY.pack(flags, published_at, expires_at, topic_size, publisher_size, properties_size)


class _Latest:
    """The header packed last: messages that come together mostly have one and the same, and packing it is half of what
    their stored form costs. It is replaced as a whole, so a thread never sees half of one."""

    __slots__ = ("header",)

    def __init__(self) -> None:
        self.header: _Header = _Header(0, 0.0, 0.0, 0, 0, 0)


_latest: Final = _Latest()


class Message:
    """One application message. Treat it as immutable: the same object is shared by every queue that holds it.

    ``properties`` is the raw MQTT 5 block of end-to-end properties (payload format, content type, response topic,
    correlation data, user properties) in the publisher's order. Times are seconds since the Unix epoch;
    ``expires_at`` is 0.0 for a message that does not expire (MQTT-3.3.2-5, -6). ``publisher`` is the client
    identifier, empty for the broker's own messages.
    """

    __slots__ = (
        "topic",
        "payload",
        "qos",
        "retain",
        "properties",
        "published_at",
        "expires_at",
        "publisher",
        "body_id",
        "_body",
        "topic_bytes",
        "frame_v3",
        "frame_v5",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        properties: bytes = b"",
        published_at: float = 0.0,
        expires_at: float = 0.0,
        publisher: str = "",
        topic_bytes: bytes | None = None,
    ) -> None:
        self.topic: str = topic
        self.payload: bytes = payload
        self.qos: int = qos
        self.retain: bool = retain
        self.properties: bytes = properties
        self.published_at: float = published_at
        self.expires_at: float = expires_at
        self.publisher: str = publisher
        self.body_id: int = 0
        self._body: bytes | None = None
        self.topic_bytes: bytes = topic.encode() if topic_bytes is None else topic_bytes
        self.frame_v3: bytes | None = None
        self.frame_v5: bytes | None = None

    def body(self) -> bytes:
        """The stored form: everything but what differs from queue to queue. Built once."""
        body = self._body
        if body is None:
            topic = self.topic_bytes
            publisher = self.publisher.encode()
            header = self._header(len(topic), len(publisher))
            body = b"%b%b%b%b%b" % (header, topic, publisher, self.properties, self.payload)
            self._body = body
        return body

    def _header(self, topic_size: int, publisher_size: int) -> bytes:
        flags = self.qos | 4 if self.retain else self.qos
        properties_size = len(self.properties)
        header = _latest.header
        if (
            header.published_at != self.published_at
            or header.expires_at != self.expires_at
            or header.flags != flags
            or header.topic_size != topic_size
            or header.publisher_size != publisher_size
            or header.properties_size != properties_size
        ):
            header = _Header(flags, self.published_at, self.expires_at, topic_size, publisher_size, properties_size)
            _latest.header = header
        return header.packed

    def size(self) -> int:
        """Bytes that count against a queue's byte limit: topic, properties and payload."""
        return len(self.topic_bytes) + len(self.properties) + len(self.payload)

    def __repr__(self) -> str:
        return f"Message(topic={self.topic!r}, qos={self.qos}, retain={self.retain}, {len(self.payload)} bytes)"


def message_from_body(body: bytes) -> Message:
    """The message that :meth:`Message.body` stored.

    Raises ``struct.error`` or ``UnicodeDecodeError`` on foreign bytes.
    """
    flags, published_at, expires_at, topic_len, publisher_len, properties_len = _BODY.unpack_from(body, 0)
    topic_end = _BODY.size + topic_len
    publisher_end = topic_end + publisher_len
    properties_end = publisher_end + properties_len
    message = Message(
        body[_BODY.size : topic_end].decode(),
        body[properties_end:],
        flags & 3,
        flags & 4 != 0,
        body[publisher_end:properties_end],
        published_at,
        expires_at,
        body[topic_end:publisher_end].decode(),
    )
    message._body = body
    return message
