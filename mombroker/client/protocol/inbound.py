"""Publishes that come from the server, until the application has dealt with them.

An acknowledgement belongs to the connection its message came on: after a reconnect the server sends a QoS 1 message
again, perhaps under another identifier, so a late PUBACK is not sent at all. A QoS 2 message belongs to the session:
it is handed over once, however often the server has to send it.
"""

from typing import Final

from mombroker.client.protocol.outbox import Outbox
from mombroker.model.reasons import (
    PACKET_IDENTIFIER_NOT_FOUND,
    RECEIVE_MAXIMUM_EXCEEDED,
    SUCCESS,
    TOPIC_ALIAS_INVALID,
    UNSPECIFIED_ERROR,
)
from mombroker.mqtt import Ack, Properties, ProtocolError, Publish, encode
from mombroker.mqtt.encoder import ack_frame, ack_frame_with_reason
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC

HANDED_OVER: Final = 1
RECEIVED: Final = 2
"""How far a QoS 2 message is: the application has it, or the server knows that it has."""


class Message:
    """A message from the server.

    ``duplicate`` tells that it may have come before (QoS 1). ``mqtt_properties`` are all of its MQTT 5 properties, None
    if it has none.
    """

    __slots__ = (
        "topic",
        "payload",
        "qos",
        "retain",
        "duplicate",
        "mqtt_properties",
        "_packet_id",
        "_connection",
        "_inbound",
        "_shares",
    )

    def __init__(self, topic: str, publish: Publish, connection: int, inbound: "Inbound | None") -> None:
        self.topic: str = topic
        self.payload: bytes = publish.payload()
        self.qos: int = publish.qos
        self.retain: bool = publish.retain
        self.duplicate: bool = publish.dup
        self.mqtt_properties: Properties | None = publish.properties
        self._packet_id: int = publish.packet_id
        self._connection: int = connection
        self._inbound: Inbound | None = inbound if publish.qos else None
        self._shares: list[Message] | None = None

    @property
    def properties(self) -> dict[str, str]:
        """The user properties; of a name that is given several times, the last value."""
        return {} if self.mqtt_properties is None else dict(self.mqtt_properties.user)

    @property
    def content_type(self) -> str:
        """What the publisher says the payload is, empty if it does not say."""
        return "" if self.mqtt_properties is None else self.mqtt_properties.content_type or ""

    @property
    def response_topic(self) -> str:
        """Where the publisher wants an answer, empty if it does not."""
        return "" if self.mqtt_properties is None else self.mqtt_properties.response_topic or ""

    @property
    def correlation_data(self) -> bytes:
        """What the answer has to carry."""
        return b"" if self.mqtt_properties is None else self.mqtt_properties.correlation_data or b""

    @property
    def text(self) -> str:
        """The payload as text. Raises UnicodeDecodeError where it is not UTF-8."""
        return self.payload.decode()

    @property
    def acknowledged(self) -> bool:
        """Whether there is nothing (more) to acknowledge."""
        return self._inbound is None

    @property
    def stale(self) -> bool:
        """Whether the connection that a QoS 1 message came on is gone, so that it will come again."""
        return self._inbound is not None and self._inbound.connection != self._connection

    def ack(self) -> bool:
        """The message is dealt with; the server may forget it. False if it was so already, or if its connection is
        gone: then the server sends it again."""
        return self.settle(SUCCESS, None)

    def settle(self, reason: int, properties: Properties | None) -> bool:
        """Acknowledge with a reason code, 0x80 and above for a refusal, and properties. False as for :meth:`ack`."""
        inbound = self._inbound
        if inbound is None:
            return False
        self._inbound = None
        shares = self._shares
        if shares is not None:
            shares.remove(self)
            if shares:
                return True
        return inbound.acknowledge(self._packet_id, self.qos, self._connection, reason, properties)

    def share(self, publish: Publish) -> "Message":
        """The same message for another receiver: it is acknowledged when all of them have done so."""
        inbound = self._inbound
        assert inbound is not None or not self.qos, "an acknowledged message cannot be shared"
        other = Message(self.topic, publish, self._connection, inbound)
        if inbound is not None:
            if self._shares is None:
                self._shares = [self]
            self._shares.append(other)
            other._shares = self._shares
        return other

    def __repr__(self) -> str:
        return f"Message(topic={self.topic!r}, qos={self.qos}, retain={self.retain}, {len(self.payload)} bytes)"


class Inbound:
    """The publishes that one session gets, ``receive_maximum`` unacknowledged ones at a time."""

    __slots__ = (
        "_outbox",
        "_receive_maximum",
        "_alias_maximum",
        "_aliases",
        "_exactly_once",
        "_open",
        "connection",
        "_session",
    )

    def __init__(self, outbox: Outbox, receive_maximum: int, alias_maximum: int) -> None:
        self._outbox: Outbox = outbox
        self._receive_maximum: int = receive_maximum
        self._alias_maximum: int = alias_maximum
        self._aliases: dict[int, bytes] = {}
        self._exactly_once: dict[int, int] = {}
        self._open: set[int] = set()
        self.connection: int = 0
        self._session: int = 0

    def connected(self, session_present: bool) -> None:
        """A connection is there; without a session, the server has forgotten what it had sent."""
        self.connection += 1
        self._aliases.clear()
        self._open.clear()
        if not session_present:
            self._session = self.connection
            self._exactly_once.clear()

    def lost(self) -> None:
        """The connection is gone, and with it the right to acknowledge its QoS 1 messages."""
        self.connection += 1

    def received(self, publish: Publish) -> Message | None:
        """The message, or None for one that was handed over before. Raises ProtocolError."""
        topic = publish.topic
        properties = publish.properties
        if properties is not None and properties.topic_alias is not None:
            topic = self._aliased(properties.topic_alias, topic)
        if publish.qos:
            self._count(publish.packet_id)
            if publish.qos == 2 and not self._is_new(publish.packet_id):
                return None
        return Message(topic.decode(), publish, self.connection, self)

    def _aliased(self, alias: int, topic: bytes) -> bytes:
        if alias > self._alias_maximum:
            raise ProtocolError(TOPIC_ALIAS_INVALID, f"the topic alias {alias} is above {self._alias_maximum}")
        if topic:
            self._aliases[alias] = topic
            return topic
        known = self._aliases.get(alias)
        if known is None:
            raise ProtocolError(TOPIC_ALIAS_INVALID, f"the topic alias {alias} stands for nothing")
        return known

    def _count(self, packet_id: int) -> None:
        self._open.add(packet_id)
        if len(self._open) > self._receive_maximum:
            raise ProtocolError(
                RECEIVE_MAXIMUM_EXCEEDED, f"more than {self._receive_maximum} unacknowledged messages came"
            )

    def _is_new(self, packet_id: int) -> bool:
        state = self._exactly_once.get(packet_id)
        if state is None:
            self._exactly_once[packet_id] = HANDED_OVER
            return True
        if state == RECEIVED:
            self._outbox.send(ack_frame(PUBREC, packet_id))
        return False

    def acknowledge(
        self, packet_id: int, qos: int, connection: int, reason: int, properties: Properties | None
    ) -> bool:
        """Send the PUBACK or PUBREC of a message that came on ``connection``, if it is still wanted."""
        if qos == 1:
            if connection != self.connection:
                return False
            self._open.discard(packet_id)
            self._send(PUBACK, packet_id, reason, properties)
            return True
        if connection < self._session or self._exactly_once.get(packet_id) != HANDED_OVER:
            return False
        if reason >= UNSPECIFIED_ERROR:
            del self._exactly_once[packet_id]
            self._open.discard(packet_id)
        else:
            self._exactly_once[packet_id] = RECEIVED
        self._send(PUBREC, packet_id, reason, properties)
        return True

    def _send(self, kind: int, packet_id: int, reason: int, properties: Properties | None) -> None:
        if reason == SUCCESS and properties is None:
            self._outbox.send(ack_frame(kind, packet_id))
        else:
            self._outbox.send(encode(Ack(kind, packet_id, reason, properties), 5))

    def released(self, packet_id: int) -> None:
        """A PUBREL: the server will not send this QoS 2 message again."""
        self._open.discard(packet_id)
        if self._exactly_once.pop(packet_id, None) is None:
            self._outbox.send(ack_frame_with_reason(PUBCOMP, packet_id, PACKET_IDENTIFIER_NOT_FOUND, None))
        else:
            self._outbox.send(ack_frame(PUBCOMP, packet_id))
