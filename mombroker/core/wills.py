"""Wills: the message a client leaves behind, and when it is published (section 3.1.2.5)."""

from typing import Any

from mombroker.model.message import Message
from mombroker.mqtt.packets import Connect


class PendingWill:
    """A will as its session keeps it. ``deadline`` is 0.0 while the client is connected; then the Unix time at which
    the will is published, unless the client is back before (MQTT-3.1.3-9)."""

    __slots__ = ("topic", "payload", "qos", "retain", "properties", "expiry", "delay", "deadline")

    def __init__(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: bytes, expiry: int, delay: int
    ) -> None:
        self.topic: str = topic
        self.payload: bytes = payload
        self.qos: int = qos
        self.retain: bool = retain
        self.properties: bytes = properties
        self.expiry: int = expiry
        self.delay: int = delay
        self.deadline: float = 0.0

    def message(self, client_id: str, now: float, longest: int) -> Message:
        """The message to publish; its expiry counts from its publication and is cut to ``longest`` (0: not)."""
        expires_at = now + self.expiry if self.expiry >= 0 else 0.0
        if longest and (expires_at == 0.0 or expires_at > now + longest):
            expires_at = now + longest
        return Message(self.topic, self.payload, self.qos, self.retain, self.properties, now, expires_at, client_id)

    def fields(self) -> dict[str, Any]:
        """The will as part of a session's record."""
        return {
            "topic": self.topic,
            "payload": self.payload.hex(),
            "qos": self.qos,
            "retain": self.retain,
            "properties": self.properties.hex(),
            "expiry": self.expiry,
            "delay": self.delay,
            "deadline": self.deadline,
        }


def will_from_fields(fields: dict[str, Any]) -> PendingWill:
    """The will that :meth:`PendingWill.fields` described."""
    will = PendingWill(
        fields["topic"],
        bytes.fromhex(fields["payload"]),
        fields["qos"],
        fields["retain"],
        bytes.fromhex(fields["properties"]),
        fields["expiry"],
        fields["delay"],
    )
    will.deadline = fields["deadline"]
    return will


def will_of(connect: Connect) -> PendingWill | None:
    """The will of a CONNECT."""
    will = connect.will
    if will is None:
        return None
    expiry = -1
    delay = 0
    properties = will.properties
    if properties is not None:
        if properties.message_expiry is not None:
            expiry = properties.message_expiry
        if properties.will_delay is not None:
            delay = properties.will_delay
    return PendingWill(will.topic, will.payload, will.qos, will.retain, will.forwarded, expiry, delay)
