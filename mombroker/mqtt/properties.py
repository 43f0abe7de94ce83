"""The properties of MQTT 5 (section 2.2.2): one table, and reading and writing driven by it.

A block is a varint length and then (identifier, value) pairs. While it is read, a bit mask of the identifiers that
were seen catches duplicates, and a mask per packet type catches what does not belong there. Properties that a server
passes on unchanged (payload format, content type, response topic, correlation data, user properties) are kept as raw
bytes in the publisher's order too, so that forwarding them costs no encoding (MQTT-3.3.2-17, -18, -20).
"""

from typing import Any, Final

from mypy_extensions import i64

from mombroker.model.reasons import TOPIC_ALIAS_INVALID
from mombroker.mqtt.errors import ProtocolError, forbidden, malformed
from mombroker.mqtt.packet_types import (
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    WILL,
    packet_name,
)
from mombroker.mqtt.wire import (
    Reader,
    encode_binary,
    encode_byte,
    encode_four_bytes,
    encode_text,
    encode_two_bytes,
    varint,
)

BYTE: Final = 1
TWO_BYTES: Final = 2
FOUR_BYTES: Final = 3
VARINTS: Final = 4
TEXT: Final = 5
BINARY: Final = 6
PAIRS: Final = 7

PAYLOAD_FORMAT: Final = 1
MESSAGE_EXPIRY: Final = 2
CONTENT_TYPE: Final = 3
RESPONSE_TOPIC: Final = 8
CORRELATION_DATA: Final = 9
SUBSCRIPTION_ID: Final = 11
RECEIVE_MAXIMUM: Final = 33
TOPIC_ALIAS: Final = 35
USER_PROPERTY: Final = 38
_USER_PROPERTY: Final = bytes((USER_PROPERTY,))
MAXIMUM_PACKET_SIZE: Final = 39

_ACKS: Final = (CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)
_EVERYWHERE: Final = (CONNECT, PUBLISH, WILL, SUBSCRIBE, UNSUBSCRIBE) + _ACKS

PROPERTIES: Final[tuple[tuple[int, str, int, tuple[int, ...]], ...]] = (
    (PAYLOAD_FORMAT, "payload_format", BYTE, (PUBLISH, WILL)),
    (MESSAGE_EXPIRY, "message_expiry", FOUR_BYTES, (PUBLISH, WILL)),
    (CONTENT_TYPE, "content_type", TEXT, (PUBLISH, WILL)),
    (RESPONSE_TOPIC, "response_topic", TEXT, (PUBLISH, WILL)),
    (CORRELATION_DATA, "correlation_data", BINARY, (PUBLISH, WILL)),
    (SUBSCRIPTION_ID, "subscription_ids", VARINTS, (PUBLISH, SUBSCRIBE)),
    (17, "session_expiry", FOUR_BYTES, (CONNECT, CONNACK, DISCONNECT)),
    (18, "assigned_client_id", TEXT, (CONNACK,)),
    (19, "server_keep_alive", TWO_BYTES, (CONNACK,)),
    (21, "auth_method", TEXT, (CONNECT, CONNACK, AUTH)),
    (22, "auth_data", BINARY, (CONNECT, CONNACK, AUTH)),
    (23, "request_problem_information", BYTE, (CONNECT,)),
    (24, "will_delay", FOUR_BYTES, (WILL,)),
    (25, "request_response_information", BYTE, (CONNECT,)),
    (26, "response_information", TEXT, (CONNACK,)),
    (28, "server_reference", TEXT, (CONNACK, DISCONNECT)),
    (31, "reason_string", TEXT, _ACKS),
    (RECEIVE_MAXIMUM, "receive_maximum", TWO_BYTES, (CONNECT, CONNACK)),
    (34, "topic_alias_maximum", TWO_BYTES, (CONNECT, CONNACK)),
    (TOPIC_ALIAS, "topic_alias", TWO_BYTES, (PUBLISH,)),
    (36, "maximum_qos", BYTE, (CONNACK,)),
    (37, "retain_available", BYTE, (CONNACK,)),
    (USER_PROPERTY, "user", PAIRS, _EVERYWHERE),
    (MAXIMUM_PACKET_SIZE, "maximum_packet_size", FOUR_BYTES, (CONNECT, CONNACK)),
    (40, "wildcard_available", BYTE, (CONNACK,)),
    (41, "subscription_ids_available", BYTE, (CONNACK,)),
    (42, "shared_available", BYTE, (CONNACK,)),
)
"""Identifier, attribute of :class:`Properties`, wire type and the packets that allow it (table 2-4)."""


class Properties:
    """The properties of one packet; None (or an empty list) stands for one that is absent.

    ``forwarded`` is no property: a decoder puts there the raw bytes of those that a server passes on. It is empty
    in objects that were built by hand and takes no part in comparisons.
    """

    __slots__ = (
        "payload_format",
        "message_expiry",
        "content_type",
        "response_topic",
        "correlation_data",
        "subscription_ids",
        "session_expiry",
        "assigned_client_id",
        "server_keep_alive",
        "auth_method",
        "auth_data",
        "request_problem_information",
        "will_delay",
        "request_response_information",
        "response_information",
        "server_reference",
        "reason_string",
        "receive_maximum",
        "topic_alias_maximum",
        "topic_alias",
        "maximum_qos",
        "retain_available",
        "user",
        "maximum_packet_size",
        "wildcard_available",
        "subscription_ids_available",
        "shared_available",
        "forwarded",
    )

    def __init__(self) -> None:
        self.payload_format: int | None = None
        self.message_expiry: int | None = None
        self.content_type: str | None = None
        self.response_topic: str | None = None
        self.correlation_data: bytes | None = None
        self.subscription_ids: list[int] = []
        self.session_expiry: int | None = None
        self.assigned_client_id: str | None = None
        self.server_keep_alive: int | None = None
        self.auth_method: str | None = None
        self.auth_data: bytes | None = None
        self.request_problem_information: int | None = None
        self.will_delay: int | None = None
        self.request_response_information: int | None = None
        self.response_information: str | None = None
        self.server_reference: str | None = None
        self.reason_string: str | None = None
        self.receive_maximum: int | None = None
        self.topic_alias_maximum: int | None = None
        self.topic_alias: int | None = None
        self.maximum_qos: int | None = None
        self.retain_available: int | None = None
        self.user: list[tuple[str, str]] = []
        self.maximum_packet_size: int | None = None
        self.wildcard_available: int | None = None
        self.subscription_ids_available: int | None = None
        self.shared_available: int | None = None
        self.forwarded: bytes = b""

    def present(self) -> dict[str, object]:
        """The properties that are there, by attribute name, in the order of their identifiers."""
        found: dict[str, object] = {}
        for _, attribute, kind, _ in PROPERTIES:
            value: Any = getattr(self, attribute)
            if value is not None and (value or (kind != VARINTS and kind != PAIRS)):
                found[attribute] = value
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Properties) and self.present() == other.present()

    def __repr__(self) -> str:
        shown = []
        for attribute, value in self.present().items():
            # Correlation and authentication data are the application's bytes, often secret: only their size is shown.
            shown.append(f"{attribute}={f'{len(value)} bytes' if isinstance(value, bytes) else repr(value)}")
        return f"Properties({', '.join(shown)})"


def decode_properties(buf: bytes, pos: int, packet: int, end: int = -1) -> tuple[Properties, int]:
    """The property block that begins (with its length) at ``pos``, and the position behind it.

    ``packet`` is the type of the packet it stands in, or WILL; ``end`` is where that packet ends, by default at the
    end of ``buf``.
    """
    reader = Reader(buf, pos, len(buf) if end < 0 else end)
    properties = read_properties(reader, packet)
    return properties or Properties(), reader.position


def read_properties(reader: Reader, packet: i64) -> Properties | None:
    """Read a property block, None for one of length 0. ``packet`` is the type of the packet it stands in, or WILL."""
    length = reader.varint("property length")
    if length == 0:
        return None
    packet_end = reader.end
    block_end = reader.position + length
    if block_end > packet_end:
        raise malformed("the property length reaches beyond the packet")
    reader.end = block_end
    properties = _read_block(reader, packet)
    reader.end = packet_end
    return properties


def _read_block(reader: Reader, packet: i64) -> Properties:
    properties = Properties()
    allowed: i64 = _ALLOWED[packet]
    seen: i64 = 0
    run_start = reader.position
    end = reader.end
    while reader.position < end:
        start = reader.position
        identifier = reader.byte("property identifier")
        if identifier > _HIGHEST or (allowed >> identifier) & 1 == 0:
            raise _misplaced(identifier, packet)
        bit: i64 = _BIT[identifier]
        if seen & bit != 0 and (bit & _REPEATABLE == 0 or packet == SUBSCRIBE and identifier == SUBSCRIPTION_ID):
            raise forbidden(f"the property {_ATTRIBUTE[identifier]} is given twice")
        seen |= bit
        _read_value(reader, properties, identifier)
        if bit & _FORWARDED == 0:
            if start > run_start:
                properties.forwarded += reader.buffer[run_start:start]
            run_start = reader.position
    if seen & _FORWARDED != 0 and end > run_start:
        properties.forwarded += reader.buffer[run_start:end]
    return properties


def _misplaced(identifier: i64, packet: i64) -> ProtocolError:
    if identifier > _HIGHEST or not _ATTRIBUTE[identifier]:
        return malformed(f"there is no property with identifier {identifier}")
    return malformed(f"the property {_ATTRIBUTE[identifier]} does not belong in {packet_name(packet)}")


def _read_value(reader: Reader, properties: Properties, identifier: i64) -> None:
    name = _ATTRIBUTE[identifier]
    kind: i64 = _KIND[identifier]
    if kind == PAIRS:
        key = reader.text("name of a user property")
        properties.user.append((key, reader.text("value of a user property")))
    elif kind == TEXT:
        text = reader.text(name)
        if identifier == RESPONSE_TOPIC:
            _check_response_topic(text)
        setattr(properties, name, text)
    elif kind == BINARY:
        setattr(properties, name, reader.binary(name))
    elif kind == VARINTS:
        number = reader.varint(name)
        _check_number(identifier, number)
        properties.subscription_ids.append(number)
    else:
        number = _read_number(reader, kind, name)
        _check_number(identifier, number)
        setattr(properties, name, number)


def _read_number(reader: Reader, kind: i64, name: str) -> i64:
    if kind == BYTE:
        return reader.byte(name)
    if kind == TWO_BYTES:
        return reader.two_bytes(name)
    return reader.four_bytes(name)


def _check_number(identifier: i64, number: i64) -> None:
    """Every one-byte property is a flag (the payload format and the maximum QoS too); four others exclude zero."""
    if number == 0:
        if identifier == TOPIC_ALIAS:
            raise ProtocolError(TOPIC_ALIAS_INVALID, "the topic alias is 0")
        if (_NONZERO >> identifier) & 1 != 0:
            raise forbidden(f"the property {_ATTRIBUTE[identifier]} is 0")
    elif number > 1 and _KIND[identifier] == BYTE:
        raise forbidden(f"the property {_ATTRIBUTE[identifier]} is {number}, neither 0 nor 1")


def _check_response_topic(topic: str) -> None:
    if not topic or "+" in topic or "#" in topic:
        raise forbidden(f"the response topic {topic!r} is not a topic name")


def is_as_declared(properties: Properties, payload: bytes) -> bool:
    """Whether a payload declared as UTF-8 is (sections 3.3.2.3.2 and 3.1.3.2.3)."""
    if properties.payload_format != 1:
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def encode_properties(properties: Properties | None, packet: int) -> bytes:
    """The block with its length in front; properties that do not belong in ``packet`` (or WILL) are left out."""
    block = property_block(properties, packet)
    return varint(len(block)) + block


def user_property(name: str, value: str) -> bytes:
    """One user property, as it stands in a block."""
    return (
        _USER_PROPERTY + encode_text(name, "name of a user property") + encode_text(value, "value of a user property")
    )


def property_block(properties: Properties | None, packet: int) -> bytes:
    """The content of the block, without its length."""
    if properties is None:
        return b""
    parts: list[bytes] = []
    for identifier, attribute, kind in _BY_PACKET[packet]:
        _append_property(parts, identifier, kind, attribute, getattr(properties, attribute))
    return b"".join(parts)


def forwarded_block(properties: Properties | None) -> bytes:
    """The content of the block that a server would pass on to subscribers, for messages that were built by hand."""
    if properties is None:
        return b""
    parts: list[bytes] = []
    for identifier, attribute, kind in _BY_PACKET[WILL]:
        if _FORWARDED >> identifier & 1:
            _append_property(parts, identifier, kind, attribute, getattr(properties, attribute))
    return b"".join(parts)


def response_block(response_topic: str | None, correlation_data: bytes | None) -> bytes:
    """The same as :func:`property_block` makes of these two alone, which every request and reply has."""
    block = b""
    if response_topic is not None:
        block = b"\x08" + encode_text(response_topic, "response topic")
    if correlation_data is not None:
        block += b"\x09" + encode_binary(correlation_data, "correlation data")
    return block


def _append_property(parts: list[bytes], identifier: int, kind: int, name: str, value: Any) -> None:
    if value is None:
        return
    tag = encode_byte(identifier, "property identifier")
    if kind == PAIRS:
        for key, text in value:
            parts.append(tag + encode_text(key, "name of a user property"))
            parts.append(encode_text(text, "value of a user property"))
    elif kind == VARINTS:
        for number in value:
            parts.append(tag + varint(number))
    else:
        parts.append(tag + _encode_value(kind, name, value))


def _encode_value(kind: int, name: str, value: Any) -> bytes:
    if kind == TEXT:
        return encode_text(value, name)
    if kind == BINARY:
        return encode_binary(value, name)
    if kind == BYTE:
        return encode_byte(value, name)
    if kind == TWO_BYTES:
        return encode_two_bytes(value, name)
    return encode_four_bytes(value, name)


def _identifier_mask(identifiers: tuple[int, ...]) -> int:
    mask = 0
    for identifier in identifiers:
        mask |= 1 << identifier
    return mask


def _allowed_in(packet: int) -> list[tuple[int, str, int]]:
    return [(identifier, attribute, kind) for identifier, attribute, kind, packets in PROPERTIES if packet in packets]


# The table again, in the shapes that the loops above index by identifier or by packet type.
_HIGHEST: Final = 42
# Looked up, because mypyc 2.4 compiles a constant 1 << n to the 32 bit shift of C.
_BIT: Final[list[int]] = [1 << identifier for identifier in range(_HIGHEST + 1)]
_REPEATABLE: Final = 1 << 38 | 1 << 11
_FORWARDED: Final = 1 << 1 | 1 << 3 | 1 << 8 | 1 << 9 | 1 << 38
_NONZERO: Final = 1 << 33 | 1 << 35 | 1 << 39 | 1 << 11
_BY_PACKET: Final[list[list[tuple[int, str, int]]]] = [_allowed_in(packet) for packet in range(WILL + 1)]
_ALLOWED: Final[list[int]] = [_identifier_mask(tuple([row[0] for row in rows])) for rows in _BY_PACKET]
_ATTRIBUTE: Final[list[str]] = [""] * (_HIGHEST + 1)
_KIND: Final[list[int]] = [0] * (_HIGHEST + 1)
for _identifier, _attribute, _kind, _packets in PROPERTIES:
    _ATTRIBUTE[_identifier] = _attribute
    _KIND[_identifier] = _kind
