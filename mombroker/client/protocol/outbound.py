"""Publishes on their way to the server: what waits, what is in flight, and what has to be sent again.

A publish is *waiting* until the connection is there and the server's Receive Maximum leaves room; then it gets a packet
identifier and is *in flight* until the server has acknowledged it. After a reconnect, what is in flight is sent again
in its old order, before anything new: marked as a duplicate if the server has kept the session, otherwise as if for
the first time. Nothing leaves these two places but with its receipt told how it ended.

Invariants: ``open`` counts the messages in ``inflight`` that were sent on this connection (``counted``), and never
exceeds ``window``; ``again`` holds those that were not.
"""

from collections import deque
from typing import Final, Protocol

from mombroker.client.protocol.limits import ServerLimits
from mombroker.client.protocol.outbox import Outbox
from mombroker.client.protocol.packet_ids import PacketIds
from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import (
    PACKET_IDENTIFIER_NOT_FOUND,
    PACKET_TOO_LARGE,
    QOS_NOT_SUPPORTED,
    RETAIN_NOT_SUPPORTED,
    UNSPECIFIED_ERROR,
)
from mombroker.mqtt import V5, Ack
from mombroker.mqtt.encoder import ack_frame, ack_frame_with_reason, publish_frame
from mombroker.mqtt.packet_types import PUBREL

RETAIN: Final = 0x01
QOS_BITS: Final = 0x06
DUPLICATE: Final = 0x08

WORTH_AN_ALIAS: Final = 48
"""Topics from so many bytes on are sent as topic aliases: below, the property costs what the topic would."""


class Receipt(Protocol):
    """Waits for the end of a publish."""

    def settled(self, reason: int, text: str) -> None:
        """The server has answered with this reason code and string; QoS 0 was written (0). Called once."""
        ...

    def broken(self, error: MombrokerError) -> None:
        """The client has come to its end first."""
        ...


class Outgoing:
    """One publish. ``flags`` are those of its frame (QoS and retain), ``properties`` the content of its block.

    ``released`` tells that the server has taken a QoS 2 message, and only the PUBREL is outstanding.
    """

    __slots__ = ("topic", "payload", "flags", "properties", "receipt", "packet_id", "sent", "counted", "released")

    def __init__(self, topic: bytes, payload: bytes, flags: int, properties: bytes, receipt: Receipt | None) -> None:
        self.topic: bytes = topic
        self.payload: bytes = payload
        self.flags: int = flags
        self.properties: bytes = properties
        self.receipt: Receipt | None = receipt
        self.packet_id: int = 0
        self.sent: bool = False
        self.counted: bool = False
        self.released: bool = False


class Outbound:
    """The publishes of one session. ``most`` bounds the messages in flight beside the server's Receive Maximum."""

    __slots__ = (
        "_outbox",
        "_ids",
        "_most",
        "_limits",
        "_aliases",
        "connected",
        "window",
        "open",
        "inflight",
        "waiting",
        "again",
    )

    def __init__(self, outbox: Outbox, ids: PacketIds, most: int) -> None:
        self._outbox: Outbox = outbox
        self._ids: PacketIds = ids
        self._most: int = most
        self._limits: ServerLimits = ServerLimits()
        self._aliases: dict[bytes, int] = {}
        self.connected: bool = False
        self.window: int = 0
        self.open: int = 0
        self.inflight: dict[int, Outgoing] = {}
        self.waiting: deque[Outgoing] = deque()
        self.again: deque[Outgoing] = deque()

    @property
    def has_room(self) -> bool:
        """Whether a publish would be sent at once."""
        return self.connected and not self.waiting and self.open < self.window

    @property
    def pending(self) -> int:
        """Publishes whose end is not known yet."""
        return len(self.waiting) + len(self.inflight)

    def publish(self, message: Outgoing) -> None:
        """Accept a publish: from now on it is sent until it is settled."""
        if self.connected:
            if not message.flags & QOS_BITS:
                self._send(message, message.flags)
                return
            if self.open < self.window and not self.again and not self.waiting:
                self._start(message)
                return
        self.waiting.append(message)

    def pump(self) -> None:
        """Send what there is room for."""
        while self.again and self.open < self.window:
            message = self.again.popleft()
            self._open(message, message.flags | DUPLICATE if message.sent else message.flags)
        waiting = self.waiting
        while waiting and not self.again and self.open < self.window:
            message = waiting.popleft()
            if message.flags & QOS_BITS:
                self._start(message)
            else:
                self._send(message, message.flags)

    def _start(self, message: Outgoing) -> None:
        message.packet_id = self._ids.take()
        self.inflight[message.packet_id] = message
        self._open(message, message.flags)

    def _open(self, message: Outgoing, flags: int) -> None:
        message.sent = True
        message.counted = True
        self.open += 1
        self._send(message, flags)

    def _send(self, message: Outgoing, flags: int) -> None:
        limits = self._limits
        if flags & RETAIN and not limits.retain_available:
            self._settle(message, RETAIN_NOT_SUPPORTED, "the server keeps no retained messages")
            return
        if (flags & QOS_BITS) >> 1 > limits.maximum_qos:
            self._settle(message, QOS_NOT_SUPPORTED, f"the server takes QoS {limits.maximum_qos} at the most")
            return
        topic = message.topic
        properties = message.properties
        if limits.topic_alias_maximum and len(topic) >= WORTH_AN_ALIAS:
            topic, properties = self._aliased(topic, properties)
        frame = publish_frame(V5, flags, topic, message.packet_id, properties, message.payload)
        if len(frame) > limits.maximum_packet_size:
            self._aliases.pop(message.topic, None)
            limit = limits.maximum_packet_size
            self._settle(message, PACKET_TOO_LARGE, f"it takes {len(frame)} bytes; the server's limit is {limit}")
            return
        self._outbox.send(frame)
        if not flags & QOS_BITS and message.receipt is not None:
            message.receipt.settled(0, "")

    def _aliased(self, topic: bytes, properties: bytes) -> tuple[bytes, bytes]:
        """A topic's alias in its place; the topic beside it the first time, and alone where all aliases are taken."""
        alias = self._aliases.get(topic)
        if alias is not None:
            topic = b""
        elif len(self._aliases) < self._limits.topic_alias_maximum:
            alias = len(self._aliases) + 1
            self._aliases[topic] = alias
        else:
            return topic, properties
        return topic, b"\x23" + alias.to_bytes(2, "big") + properties

    def acknowledged(self, ack: Ack) -> None:
        """A PUBACK: the end of a QoS 1 publish. One for anything else is none of ours."""
        message = self.inflight.get(ack.packet_id)
        if message is not None and message.flags & QOS_BITS == 2:
            self._settle(message, ack.reason, _text(ack))

    def received(self, ack: Ack) -> None:
        """A PUBREC: the server has taken a QoS 2 publish, or refuses it."""
        message = self.inflight.get(ack.packet_id)
        if message is None or message.flags & QOS_BITS != 4:
            self._outbox.send(ack_frame_with_reason(PUBREL, ack.packet_id, PACKET_IDENTIFIER_NOT_FOUND, None))
        elif ack.reason >= UNSPECIFIED_ERROR and not message.released:
            self._settle(message, ack.reason, _text(ack))
        else:
            message.released = True
            message.payload = b""
            self._outbox.send(ack_frame(PUBREL, ack.packet_id))

    def completed(self, ack: Ack) -> None:
        """A PUBCOMP: the end of a QoS 2 publish."""
        message = self.inflight.get(ack.packet_id)
        if message is not None and message.released:
            self._settle(message, 0, "")

    def _settle(self, message: Outgoing, reason: int, text: str) -> None:
        if message.packet_id:
            del self.inflight[message.packet_id]
            self._ids.give_back(message.packet_id)
            if message.counted:
                self.open -= 1
        if message.receipt is not None:
            message.receipt.settled(reason, text)

    def lost(self) -> None:
        """The connection is gone: everything waits for the next one."""
        self.connected = False
        self.open = 0
        self._aliases.clear()
        self.again.clear()
        for message in self.inflight.values():
            message.counted = False

    def resume(self, limits: ServerLimits, session_present: bool) -> None:
        """A connection is there. Without a session on the server, what it has not taken is new to it."""
        self._limits = limits
        self.connected = True
        self.window = min(self._most, limits.receive_maximum)
        if not session_present:
            self._start_over()
        for message in self.inflight.values():
            if message.released:
                self._outbox.send(ack_frame(PUBREL, message.packet_id))
            else:
                self.again.append(message)
        self.pump()

    def abandon(self, error: MombrokerError) -> None:
        """This is the end: tell every publish that is not settled."""
        left = [*self.inflight.values(), *self.waiting]
        self.inflight = {}
        self.waiting.clear()
        self.again.clear()
        for message in left:
            if message.receipt is not None:
                message.receipt.broken(error)

    def _start_over(self) -> None:
        """A released message is with the server, session or not; all others are sent as if for the first time."""
        for message in list(self.inflight.values()):
            if message.released:
                self._settle(message, 0, "")
            else:
                message.sent = False


def _text(ack: Ack) -> str:
    properties = ack.properties
    return "" if properties is None else properties.reason_string or ""
