"""Reading the packets that are not on the hot path, each from a cursor over the bytes behind its fixed header.

Every function promises a packet that keeps all the rules which need no session to be checked, or a ProtocolError.
"""

from typing import Final

from mypy_extensions import i64

from mombroker.model.reasons import (
    CONTINUE_AUTHENTICATION,
    DISCONNECT_WITH_WILL,
    REAUTHENTICATE,
    SUCCESS,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mombroker.mqtt.errors import ProtocolError, forbidden, malformed
from mombroker.mqtt.packet_types import (
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    V5,
    V31,
    V311,
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
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    Will,
)
from mombroker.mqtt.properties import Properties, read_properties
from mombroker.mqtt.reason_rules import check_reason
from mombroker.mqtt.topics import SHARED_PREFIX, check_name
from mombroker.mqtt.wire import Reader

_RESERVED: Final = 0x01
_CLEAN_START: Final = 0x02
_WILL: Final = 0x04
_WILL_QOS: Final = 0x18
_WILL_RETAIN: Final = 0x20
_PASSWORD: Final = 0x40
_USERNAME: Final = 0x80


def read_version(reader: Reader) -> int:
    """The protocol level that a CONNECT names; 0x84 for one that is not 3.1, 3.1.1 or 5.0."""
    name = reader.binary("protocol name")
    version = reader.byte("protocol level")
    if (name == b"MQTT" and (version == V5 or version == V311)) or (name == b"MQIsdp" and version == V31):
        return version
    raise ProtocolError(UNSUPPORTED_PROTOCOL_VERSION, f"protocol {name[:20]!r} level {version} is not served")


def read_connect(reader: Reader, version: int) -> Connect:
    """The rest of a CONNECT, behind its protocol level."""
    flags: i64 = reader.byte("connect flags")
    _check_connect_flags(flags, version)
    keep_alive = reader.two_bytes("keep alive")
    properties = read_properties(reader, CONNECT) if version == V5 else None
    if properties is not None and properties.auth_data is not None and properties.auth_method is None:
        raise forbidden("CONNECT has authentication data without an authentication method")
    client_id = reader.text("client identifier")
    will = _read_will(reader, flags, version) if flags & _WILL else None
    # MQTT 3.1 lets a client set the flag and leave the string out, as the packets of MQTT 3 did.
    lenient = version == V31
    username = reader.text("user name") if flags & _USERNAME and not (lenient and reader.left() == 0) else None
    password = reader.binary("password") if flags & _PASSWORD and not (lenient and reader.left() == 0) else None
    reader.finish("CONNECT")
    return Connect(client_id, version, flags & _CLEAN_START != 0, keep_alive, username, password, will, properties)


def _check_connect_flags(flags: i64, version: int) -> None:
    if version != V31 and flags & _RESERVED != 0:
        raise malformed("the reserved connect flag is set")
    if version != V5 and flags & _PASSWORD != 0 and flags & _USERNAME == 0:
        raise malformed("CONNECT has a password without a user name")
    if flags & _WILL == 0:
        if version != V31 and flags & (_WILL_QOS | _WILL_RETAIN) != 0:
            raise malformed("CONNECT has flags of a will, but no will")
    elif flags & _WILL_QOS == _WILL_QOS:
        raise malformed("the QoS of the will is 3")


def _read_will(reader: Reader, flags: i64, version: int) -> Will:
    properties = read_properties(reader, WILL) if version == V5 else None
    topic = check_name(reader.binary("will topic"))
    payload = reader.binary("will payload")
    forwarded = properties.forwarded if properties is not None else b""
    return Will(topic, payload, (flags >> 3) & 3, flags & _WILL_RETAIN != 0, properties, forwarded)


def read_connack(reader: Reader, version: int) -> ConnAck:
    """A CONNACK of either shape."""
    flags = reader.byte("acknowledge flags")
    reason = reader.byte("reason code")
    if version == V31:
        flags = 0  # reserved there, and not promised to be zero
    if flags > 1:
        raise malformed("a reserved CONNACK flag is set")
    check_reason(CONNACK, reason, version)
    if flags == 1 and reason != SUCCESS:
        raise forbidden("CONNACK refuses the connection and claims a session")
    properties = read_properties(reader, CONNACK) if version == V5 else None
    reader.finish("CONNACK")
    return ConnAck(flags == 1, reason, properties)


def read_ack(reader: Reader, packet: int, version: int) -> Packet:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP in any of its lengths (MQTT 5 leaves out what is 0)."""
    packet_id = read_packet_id(reader, packet)
    reason: i64 = SUCCESS
    properties: Properties | None = None
    if version == V5 and reader.left() > 0:
        reason = reader.byte("reason code")
        check_reason(packet, reason, version)
        if reader.left() > 0:
            properties = read_properties(reader, packet)
    reader.finish(packet_name(packet))
    return Ack(packet, packet_id, reason, properties)


def read_packet_id(reader: Reader, packet: int) -> int:
    """A packet identifier; 0x82 when it is 0 (MQTT-2.2.1-3)."""
    packet_id = reader.two_bytes("packet identifier")
    if packet_id == 0:
        raise forbidden(f"{packet_name(packet)} has the packet identifier 0")
    return packet_id


def read_subscribe(reader: Reader, version: int) -> Subscribe:
    """A SUBSCRIBE with at least one filter; the syntax of the filters is not checked."""
    packet_id = read_packet_id(reader, SUBSCRIBE)
    properties = read_properties(reader, SUBSCRIBE) if version == V5 else None
    filters: list[SubscribeFilter] = []
    while reader.left() > 0:
        filter = reader.text("topic filter")
        options = reader.byte("subscription options")
        if version == V5:
            filters.append(_read_options(filter, options))
        else:
            filters.append(SubscribeFilter(filter, _requested_qos(options, version)))
    if not filters:
        raise forbidden("SUBSCRIBE asks for nothing")
    return Subscribe(packet_id, filters, properties)


def _requested_qos(options: i64, version: int) -> i64:
    qos = options & 3 if version == V31 else options
    if qos > 2:
        raise malformed("SUBSCRIBE asks for a QoS above 2, or sets a reserved bit")
    return qos


def _read_options(filter: str, options: i64) -> SubscribeFilter:
    qos = options & 3
    no_local = options & 4 != 0
    retain_handling = (options >> 4) & 3
    if options & 0xC0 != 0:
        raise malformed("SUBSCRIBE sets a reserved bit of the subscription options")
    if qos == 3:
        raise forbidden("SUBSCRIBE asks for QoS 3")
    if retain_handling == 3:
        raise forbidden("SUBSCRIBE asks for retain handling 3")
    if no_local and filter.startswith(SHARED_PREFIX):
        raise forbidden("SUBSCRIBE asks for no-local on a shared subscription")
    return SubscribeFilter(filter, qos, no_local, options & 8 != 0, retain_handling)


def read_unsubscribe(reader: Reader, version: int) -> Unsubscribe:
    """An UNSUBSCRIBE with at least one filter."""
    packet_id = read_packet_id(reader, UNSUBSCRIBE)
    properties = read_properties(reader, UNSUBSCRIBE) if version == V5 else None
    filters: list[str] = []
    while reader.left() > 0:
        filters.append(reader.text("topic filter"))
    if not filters:
        raise forbidden("UNSUBSCRIBE names no filter")
    return Unsubscribe(packet_id, filters, properties)


def read_suback(reader: Reader, version: int) -> SubAck:
    """A SUBACK with at least one reason code."""
    packet_id = read_packet_id(reader, SUBACK)
    properties = read_properties(reader, SUBACK) if version == V5 else None
    return SubAck(packet_id, _read_reasons(reader, SUBACK, version), properties)


def read_unsuback(reader: Reader, version: int) -> UnsubAck:
    """An UNSUBACK, which has reason codes in MQTT 5 only."""
    packet_id = read_packet_id(reader, UNSUBACK)
    if version != V5:
        reader.finish("UNSUBACK")
        return UnsubAck(packet_id)
    properties = read_properties(reader, UNSUBACK)
    return UnsubAck(packet_id, _read_reasons(reader, UNSUBACK, version), properties)


def _read_reasons(reader: Reader, packet: int, version: int) -> list[int]:
    reasons = list(reader.rest())
    if not reasons:
        raise forbidden(f"{packet_name(packet)} has no reason code")
    for reason in reasons:
        check_reason(packet, reason, version)
    return reasons


def read_disconnect(reader: Reader, version: int, from_client: bool) -> Disconnect:
    """A DISCONNECT in any of its lengths."""
    reason: i64 = SUCCESS
    properties: Properties | None = None
    if version == V5 and reader.left() > 0:
        reason = reader.byte("reason code")
        check_reason(DISCONNECT, reason, version)
        if reader.left() > 0:
            properties = read_properties(reader, DISCONNECT)
    reader.finish("DISCONNECT")
    if reason == DISCONNECT_WITH_WILL and not from_client:
        raise forbidden("DISCONNECT of a server speaks of a will")
    if properties is not None:
        if from_client and properties.server_reference is not None:
            raise forbidden("DISCONNECT of a client names another server")
        if not from_client and properties.session_expiry is not None:
            raise forbidden("DISCONNECT of a server sets a session expiry")
    return Disconnect(reason, properties)


def read_auth(reader: Reader, from_client: bool) -> Auth:
    """An AUTH in any of its lengths; only a server may send Success, and only a client may re-authenticate."""
    reason: i64 = SUCCESS
    properties: Properties | None = None
    short = reader.left() == 0
    if not short:
        reason = reader.byte("reason code")
        check_reason(AUTH, reason, V5)
        properties = read_properties(reader, AUTH)
    reader.finish("AUTH")
    if reason != CONTINUE_AUTHENTICATION and (reason == REAUTHENTICATE) != from_client:
        raise forbidden(f"AUTH cannot carry the reason code 0x{reason:02x} in this direction")
    if not short and (properties is None or properties.auth_method is None):
        raise forbidden("AUTH names no authentication method")
    return Auth(reason, properties)
