"""From packets to bytes: encode() for any packet, and the frames of the hot path without a packet object.

What cannot be expressed raises ProtocolError; whether a packet makes sense (a legal reason code, a valid topic) is
the sender's business. ``b"%b%b" % ...`` below is deliberate: mypyc turns it into a single allocation.
"""

from typing import Final, cast

from mombroker.model.reasons import UNSPECIFIED_ERROR, v3_connack_code
from mombroker.mqtt.errors import forbidden
from mombroker.mqtt.packet_types import (
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBCOMP,
    PUBLISH,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    V5,
    V31,
    WILL,
    packet_name,
)
from mombroker.mqtt.packets import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    Will,
)
from mombroker.mqtt.properties import Properties, encode_properties, property_block
from mombroker.mqtt.wire import (
    LONGEST_TEXT,
    encode_binary,
    encode_byte,
    encode_four_bytes,
    encode_text,
    encode_two_bytes,
    varint,
)

__all__ = [
    "ack_frame",
    "ack_frame_with_reason",
    "encode",
    "encode_delivery_properties",
    "encode_subscription_id",
    "publish_frame",
    "varint",
]

_PING_REQUEST: Final = b"\xc0\x00"
_PING_RESPONSE: Final = b"\xd0\x00"
_EMPTY_DISCONNECT: Final = b"\xe0\x00"


def publish_frame(version: int, flags: int, topic: bytes, packet_id: int, properties: bytes, payload: bytes) -> bytes:
    """A whole PUBLISH. ``properties`` is the content of the block, without its length; 3.x has none.

    ``packet_id`` is written when ``flags`` (the low nibble of the first byte) says QoS 1 or 2.
    """
    topic_size = len(topic)
    if topic_size > LONGEST_TEXT:
        raise forbidden(f"the topic takes {topic_size} bytes; MQTT allows 65535")
    length = 2 + topic_size + len(payload)
    head = PUBLISH << 4 | flags
    identifier = b""
    if flags & 6:
        identifier = encode_two_bytes(packet_id, "packet identifier")
        length += 2
    block = b""
    if version == V5:
        block = varint(len(properties))
        if properties:
            block += properties
        length += len(block)
    if length < 0x80:
        start = (head << 24 | length << 16 | topic_size).to_bytes(4, "big")
        return b"%b%b%b%b%b" % (start, topic, identifier, block, payload)
    size = topic_size.to_bytes(2, "big")
    return b"%b%b%b%b%b%b%b" % (encode_byte(head, "flags"), varint(length), size, topic, identifier, block, payload)


def ack_frame(packet_type: int, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP that says success, in four bytes."""
    if packet_id < 0 or packet_id > 0xFFFF:
        raise forbidden(f"the packet identifier {packet_id} does not fit two bytes")
    head = packet_type << 4 | (2 if packet_type == PUBREL else 0)
    return (head << 24 | 0x02_0000 | packet_id).to_bytes(4, "big")


def ack_frame_with_reason(packet_type: int, packet_id: int, reason: int, reason_string: str | None) -> bytes:
    """An acknowledgement of MQTT 5 with a reason code and, unless None, a reason string."""
    properties: Properties | None = None
    if reason_string is not None:
        properties = Properties()
        properties.reason_string = reason_string
    return _encode_ack(packet_type, packet_id, reason, properties)


def encode_delivery_properties(
    message_expiry: int, subscription_ids: bytes, topic_alias: int, forwarded: bytes
) -> bytes:
    """The content of the property block of a PUBLISH to a subscriber, for publish_frame.

    ``message_expiry`` is -1 for a message that does not expire, ``topic_alias`` 0 for none; ``subscription_ids`` are
    properties made by encode_subscription_id, ``forwarded`` the raw ones of the publisher.
    """
    if message_expiry < 0 and topic_alias == 0:
        return subscription_ids + forwarded if subscription_ids else forwarded
    expiry = b"\x02" + encode_four_bytes(message_expiry, "message expiry") if message_expiry >= 0 else b""
    alias = b"\x23" + encode_two_bytes(topic_alias, "topic alias") if topic_alias else b""
    return b"%b%b%b%b" % (expiry, alias, subscription_ids, forwarded)


def encode_subscription_id(n: int) -> bytes:
    """The property that tells a subscriber which of its subscriptions a message is for."""
    return b"\x0b" + varint(n)


def encode(packet: Packet, version: int) -> bytes:
    """The whole packet at a protocol level (3, 4 or 5); what that level cannot say is left out.

    Raises ProtocolError for what no level can express, and for AUTH below MQTT 5. Reason codes of CONNACK and SUBACK
    that 3.x does not know are turned into the nearest that it does.
    """
    kind = packet.type
    if kind == PUBLISH:
        return _encode_publish(cast(Publish, packet), version)
    if kind > PUBLISH and kind <= PUBCOMP:
        ack = cast(Ack, packet)
        if version != V5 or (ack.reason == 0 and ack.properties is None):
            return ack_frame(kind, ack.packet_id)
        return _encode_ack(kind, ack.packet_id, ack.reason, ack.properties)
    if kind == PINGREQ:
        return _PING_REQUEST
    if kind == PINGRESP:
        return _PING_RESPONSE
    if kind == CONNECT or kind == SUBSCRIBE or kind == UNSUBSCRIBE:
        return _encode_request(packet, kind, version)
    return _encode_answer(packet, kind, version)


def _encode_request(packet: Packet, kind: int, version: int) -> bytes:
    if kind == CONNECT:
        return _encode_connect(cast(Connect, packet), version)
    if kind == SUBSCRIBE:
        return _encode_subscribe(cast(Subscribe, packet), version)
    return _encode_unsubscribe(cast(Unsubscribe, packet), version)


def _encode_answer(packet: Packet, kind: int, version: int) -> bytes:
    if kind == CONNACK:
        return _encode_connack(cast(ConnAck, packet), version)
    if kind == SUBACK:
        return _encode_suback(cast(SubAck, packet), version)
    if kind == UNSUBACK:
        return _encode_unsuback(cast(UnsubAck, packet), version)
    if kind == DISCONNECT:
        return _encode_disconnect(cast(Disconnect, packet), version)
    if kind == AUTH:
        return _encode_auth(cast(Auth, packet), version)
    raise forbidden(f"{packet_name(kind)} cannot be encoded")


def _frame(first: int, body: bytes) -> bytes:
    return encode_byte(first, "first byte") + varint(len(body)) + body


def _properties(properties: Properties | None, packet: int, version: int) -> bytes:
    return encode_properties(properties, packet) if version == V5 else b""


def _encode_publish(packet: Publish, version: int) -> bytes:
    properties = property_block(packet.properties, PUBLISH) if version == V5 else b""
    return publish_frame(version, packet.flags, packet.topic, packet.packet_id, properties, packet.payload())


def _encode_ack(kind: int, packet_id: int, reason: int, properties: Properties | None) -> bytes:
    body = encode_two_bytes(packet_id, "packet identifier") + encode_byte(reason, "reason code")
    block = encode_properties(properties, kind)
    if len(block) > 1:
        body += block
    return _frame(kind << 4 | (2 if kind == PUBREL else 0), body)


def _encode_connect(packet: Connect, version: int) -> bytes:
    if version != V5 and packet.password is not None and packet.username is None:
        raise forbidden("MQTT 3 cannot send a password without a user name")
    parts = [
        encode_text("MQIsdp" if version == V31 else "MQTT", "protocol name"),
        encode_byte(version, "protocol level"),
        encode_byte(_connect_flags(packet), "connect flags"),
        encode_two_bytes(packet.keep_alive, "keep alive"),
        _properties(packet.properties, CONNECT, version),
        encode_text(packet.client_id, "client identifier"),
    ]
    if packet.will is not None:
        parts.append(_encode_will(packet.will, version))
    if packet.username is not None:
        parts.append(encode_text(packet.username, "user name"))
    if packet.password is not None:
        parts.append(encode_binary(packet.password, "password"))
    return _frame(CONNECT << 4, b"".join(parts))


def _connect_flags(packet: Connect) -> int:
    flags = 0x02 if packet.clean_start else 0
    will = packet.will
    if will is not None:
        flags |= 0x04 | (will.qos & 3) << 3 | (0x20 if will.retain else 0)
    if packet.password is not None:
        flags |= 0x40
    if packet.username is not None:
        flags |= 0x80
    return flags


def _encode_will(will: Will, version: int) -> bytes:
    return (
        _properties(will.properties, WILL, version)
        + encode_text(will.topic, "will topic")
        + encode_binary(will.payload, "will payload")
    )


def _encode_connack(packet: ConnAck, version: int) -> bytes:
    reason = packet.reason
    if version != V5 and reason > 5:
        reason = v3_connack_code(reason)
    present = packet.session_present and version != V31  # a reserved bit there
    body = (b"\x01" if present else b"\x00") + encode_byte(reason, "reason code")
    return _frame(CONNACK << 4, body + _properties(packet.properties, CONNACK, version))


def _encode_subscribe(packet: Subscribe, version: int) -> bytes:
    parts = [
        encode_two_bytes(packet.packet_id, "packet identifier"),
        _properties(packet.properties, SUBSCRIBE, version),
    ]
    for entry in packet.filters:
        parts.append(encode_text(entry.filter, "topic filter"))
        parts.append(encode_byte(_options(entry) if version == V5 else entry.qos, "subscription options"))
    return _frame(SUBSCRIBE << 4 | 2, b"".join(parts))


def _options(entry: SubscribeFilter) -> int:
    return (
        entry.qos
        | (0x04 if entry.no_local else 0)
        | (0x08 if entry.retain_as_published else 0)
        | entry.retain_handling << 4
    )


def _encode_unsubscribe(packet: Unsubscribe, version: int) -> bytes:
    parts = [
        encode_two_bytes(packet.packet_id, "packet identifier"),
        _properties(packet.properties, UNSUBSCRIBE, version),
    ]
    for filter in packet.filters:
        parts.append(encode_text(filter, "topic filter"))
    return _frame(UNSUBSCRIBE << 4 | 2, b"".join(parts))


def _encode_suback(packet: SubAck, version: int) -> bytes:
    parts = [encode_two_bytes(packet.packet_id, "packet identifier"), _properties(packet.properties, SUBACK, version)]
    for reason in packet.reasons:
        if version != V5 and reason > UNSPECIFIED_ERROR:
            reason = UNSPECIFIED_ERROR
        parts.append(encode_byte(reason, "reason code"))
    return _frame(SUBACK << 4, b"".join(parts))


def _encode_unsuback(packet: UnsubAck, version: int) -> bytes:
    parts = [encode_two_bytes(packet.packet_id, "packet identifier")]
    if version == V5:
        parts.append(encode_properties(packet.properties, UNSUBACK))
        for reason in packet.reasons:
            parts.append(encode_byte(reason, "reason code"))
    return _frame(UNSUBACK << 4, b"".join(parts))


def _encode_disconnect(packet: Disconnect, version: int) -> bytes:
    if version != V5:
        return _EMPTY_DISCONNECT
    return _frame(DISCONNECT << 4, _reason_and_properties(packet.reason, packet.properties, DISCONNECT))


def _encode_auth(packet: Auth, version: int) -> bytes:
    if version != V5:
        raise forbidden("AUTH exists in MQTT 5 only")
    body = _reason_and_properties(packet.reason, packet.properties, AUTH)
    return _frame(AUTH << 4, body + b"\x00" if len(body) == 1 else body)


def _reason_and_properties(reason: int, properties: Properties | None, packet: int) -> bytes:
    """Both, in the shortest form the specification allows."""
    block = encode_properties(properties, packet)
    if len(block) > 1:
        return encode_byte(reason, "reason code") + block
    return b"" if reason == 0 else encode_byte(reason, "reason code")
