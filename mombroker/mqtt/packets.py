"""The fifteen control packets as objects.

``type`` tells them apart, so that a receiver dispatches on an integer. PUBLISH and the acknowledgements, of which
there are millions a second, are plain classes that copy as little as they can; the rest are dataclasses. ``properties``
is None when a packet carries none, and always below MQTT 5.
"""

from dataclasses import dataclass, field

from mypy_extensions import i64, mypyc_attr

from mombroker.mqtt.packet_types import (
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    packet_name,
)
from mombroker.mqtt.properties import Properties, forwarded_block


@mypyc_attr(acyclic=True)
class Packet:
    """Any control packet; ``type`` is one of the numbers in packet_types."""

    __slots__ = ("type",)

    # No __init__: mypyc 2.4 miscompiles a dataclass below a class that has one.
    type: i64


@mypyc_attr(acyclic=True, free_list_len=1)
class Publish(Packet):
    """A PUBLISH, as a window on the bytes it came in: the packet is ``buffer[start:end]``.

    ``topic`` is raw UTF-8 and may be empty beside a topic alias; ``packet_id`` is 0 for QoS 0. ``forwarded`` holds the
    raw properties that a server passes on. Whoever keeps a Publish keeps the whole buffer alive: take ``payload()``.
    """

    __slots__ = (
        "buffer",
        "start",
        "end",
        "flags",
        "qos",
        "retain",
        "dup",
        "topic",
        "packet_id",
        "payload_start",
        "properties",
        "forwarded",
    )

    def __init__(
        self,
        buffer: bytes,
        start: i64,
        end: i64,
        flags: i64,
        topic: bytes,
        packet_id: i64,
        payload_start: i64,
        properties: Properties | None,
        forwarded: bytes,
    ) -> None:
        self.type = PUBLISH
        self.buffer: bytes = buffer
        self.start: i64 = start
        self.end: i64 = end
        self.flags: i64 = flags
        self.qos: i64 = (flags >> 1) & 3
        self.retain: bool = flags & 1 != 0
        self.dup: bool = flags & 8 != 0
        self.topic: bytes = topic
        self.packet_id: i64 = packet_id
        self.payload_start: i64 = payload_start
        self.properties: Properties | None = properties
        self.forwarded: bytes = forwarded

    @staticmethod
    def create(
        topic: str | bytes,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        packet_id: int = 0,
        properties: Properties | None = None,
    ) -> "Publish":
        """One to be sent. Its buffer is the payload alone, since the packet's form depends on the receiver."""
        raw = topic.encode("utf-8", "surrogatepass") if isinstance(topic, str) else topic
        flags = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
        return Publish(payload, 0, len(payload), flags, raw, packet_id, 0, properties, forwarded_block(properties))

    def payload(self) -> bytes:
        """The application message, copied out of the buffer."""
        return self.buffer[self.payload_start : self.end]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Publish)
            and self.flags == other.flags
            and self.packet_id == other.packet_id
            and self.topic == other.topic
            and self.properties == other.properties
            and self.payload() == other.payload()
        )

    def __repr__(self) -> str:
        return (
            f"Publish(topic={self.topic!r}, qos={self.qos}, retain={self.retain}, dup={self.dup},"
            f" packet_id={self.packet_id}, properties={self.properties!r}, {self.end - self.payload_start} bytes)"
        )


@mypyc_attr(acyclic=True, free_list_len=1)
class Ack(Packet):
    """A PUBACK, PUBREC, PUBREL or PUBCOMP, told apart by ``type``."""

    __slots__ = ("packet_id", "reason", "properties")

    def __init__(self, type: i64, packet_id: i64, reason: i64 = 0, properties: Properties | None = None) -> None:
        self.type = type
        self.packet_id: i64 = packet_id
        self.reason: i64 = reason
        self.properties: Properties | None = properties

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Ack)
            and self.type == other.type
            and self.packet_id == other.packet_id
            and self.reason == other.reason
            and self.properties == other.properties
        )

    def __repr__(self) -> str:
        return (
            f"Ack({packet_name(self.type)}, packet_id={self.packet_id}, reason=0x{self.reason:02x},"
            f" properties={self.properties!r})"
        )


@dataclass
class Will:
    """The message a server publishes for a client that vanishes; ``forwarded`` as for :class:`Publish`."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None
    forwarded: bytes = field(default=b"", compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.forwarded:
            self.forwarded = forwarded_block(self.properties)


@dataclass
class Connect(Packet):
    """The first packet of a client. ``version`` is the protocol level (3, 4 or 5)."""

    client_id: str
    version: int
    clean_start: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = CONNECT


@dataclass
class ConnAck(Packet):
    """The server's answer. ``reason`` is the return code (0-5) below MQTT 5."""

    session_present: bool
    reason: int = 0
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = CONNACK


@dataclass
class SubscribeFilter:
    """One entry of a SUBSCRIBE: a filter, whose syntax nobody has checked yet, and its options."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass
class Subscribe(Packet):
    """A request for one or more subscriptions."""

    packet_id: int
    filters: list[SubscribeFilter]
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = SUBSCRIBE


@dataclass
class SubAck(Packet):
    """One reason code for each filter of the SUBSCRIBE, in its order."""

    packet_id: int
    reasons: list[int]
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = SUBACK


@dataclass
class Unsubscribe(Packet):
    """A request to end one or more subscriptions."""

    packet_id: int
    filters: list[str]
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = UNSUBSCRIBE


@dataclass
class UnsubAck(Packet):
    """One reason code for each filter of the UNSUBSCRIBE; none at all on the wire below MQTT 5."""

    packet_id: int
    reasons: list[int] = field(default_factory=list)
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = UNSUBACK


class PingReq(Packet):
    """A client's sign of life."""

    def __init__(self) -> None:
        self.type = PINGREQ

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PingReq)

    def __repr__(self) -> str:
        return "PingReq()"


class PingResp(Packet):
    """The answer to a PINGREQ."""

    def __init__(self) -> None:
        self.type = PINGRESP

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PingResp)

    def __repr__(self) -> str:
        return "PingResp()"


@dataclass
class Disconnect(Packet):
    """The last packet of either side; below MQTT 5 only a client sends it, without a reason."""

    reason: int = 0
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = DISCONNECT


@dataclass
class Auth(Packet):
    """A step of an extended authentication (MQTT 5 only)."""

    reason: int = 0
    properties: Properties | None = None

    def __post_init__(self) -> None:
        self.type = AUTH
