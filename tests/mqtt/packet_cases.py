"""Packets as they are on the wire, written out by hand: the table behind the tests of the decoder and the encoder.

Nothing here uses the codec. ``packet()`` puts a fixed header before its parts: integers are single bytes, the rest is
made by ``text``, ``two`` and ``four``.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pytest import mark, param  # noqa: PT013 - tests/conformance_page.py wants the marks written as literals

from mombroker.mqtt import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Properties,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    Will,
)

ALL = (3, 4, 5)
V3 = (3, 4)
V31, V311, V5 = (3,), (4,), (5,)
CLIENT, SERVER, BOTH = (True,), (False,), (True, False)
MALFORMED, PROTOCOL, VERSION, TOPIC_NAME, TOPIC_ALIAS = 0x81, 0x82, 0x84, 0x90, 0x94

NAMES = {3: "3.1", 4: "3.1.1", 5: "5.0"}


class Valid(NamedTuple):
    """Bytes that decode to ``packet``; they are also what it encodes to, unless ``decode_only``."""

    name: str
    versions: Sequence[int]
    senders: Sequence[bool]
    wire: bytes
    packet: Packet
    marks: Sequence[object] = ()
    decode_only: bool = False


class Invalid(NamedTuple):
    """Bytes that are refused with ``reason``."""

    name: str
    versions: Sequence[int]
    senders: Sequence[bool]
    wire: bytes
    reason: int
    marks: Sequence[object] = ()


def two(value: int) -> bytes:
    return value.to_bytes(2, "big")


def four(value: int) -> bytes:
    return value.to_bytes(4, "big")


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return two(len(raw)) + raw


def join(*parts: int | bytes) -> bytes:
    return b"".join(bytes((part,)) if isinstance(part, int) else part for part in parts)


def block(*parts: int | bytes) -> bytes:
    """A property block of less than 128 bytes."""
    content = join(*parts)
    assert len(content) < 128
    return bytes((len(content),)) + content


def packet(first: int, *parts: int | bytes) -> bytes:
    """A packet of less than 16384 bytes."""
    body = join(*parts)
    size = len(body)
    length = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
    return bytes((first,)) + length + body


def connect(version: int, flags: int, *parts: int | bytes, keep_alive: int = 60) -> bytes:
    return packet(0x10, text("MQIsdp" if version == 3 else "MQTT"), version, flags, two(keep_alive), *parts)


def props(**values: object) -> Properties:
    properties = Properties()
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def expand(cases: Sequence[Valid] | Sequence[Invalid]) -> list[object]:
    """The cases as parameters: one for each version and direction."""
    return [
        param(
            *(case, version, sender),
            id=f"{case.name}, {NAMES[version]} {'client' if sender else 'server'}",
            marks=case.marks,
        )
        for case in cases
        for version in case.versions
        for sender in case.senders
    ]


VALID_CONNECTS = [
    Valid(
        "a CONNECT with nothing but a client identifier, 3.1",
        V31,
        CLIENT,
        connect(3, 0x02, text("c")),
        Connect("c", 3, True, 60),
    ),
    Valid(
        "a CONNECT with nothing but a client identifier, 3.1.1",
        V311,
        CLIENT,
        connect(4, 0x02, text("c")),
        Connect("c", 4, True, 60),
        [mark.conforms("MQTT3-3.1.2-1")],
    ),
    Valid(
        "a CONNECT that resumes a session",
        V5,
        CLIENT,
        connect(5, 0x00, 0, text("c"), keep_alive=0xFFFF),
        Connect("c", 5, False, 0xFFFF),
        [mark.conforms("MQTT-3.1.2-1", "MQTT-3.1.3-3", "MQTT-2.2.2-1")],
    ),
    Valid(
        "a CONNECT without a client identifier",
        V5,
        CLIENT,
        connect(5, 0x02, 0, text(""), keep_alive=0),
        Connect("", 5, True, 0),
    ),
    Valid(
        "a 3.1 client identifier longer than the 23 characters of its specification",
        V31,
        CLIENT,
        connect(3, 0x02, text("c" * 60)),
        Connect("c" * 60, 3, True, 60),
    ),
    Valid(
        "a CONNECT with will, user name and password, 3.1.1",
        V311,
        CLIENT,
        connect(4, 0xF6, text("c"), text("w/t"), text("gone"), text("user"), text(b"\xff\x00")),
        Connect("c", 4, True, 60, "user", b"\xff\x00", Will("w/t", b"gone", 2, True)),
        [mark.conforms("MQTT-3.1.3-1")],
    ),
    Valid(
        "a CONNECT with will, user name and password, 5.0",
        V5,
        CLIENT,
        connect(5, 0xCC, 0, text("c"), 0, text("w"), text(""), text("user"), text("secret")),
        Connect("c", 5, False, 60, "user", b"secret", Will("w", b"", 1, False)),
        [mark.conforms("MQTT-3.1.2-9", "MQTT-3.1.2-17", "MQTT-3.1.2-19", "MQTT-3.1.3-1")],
    ),
    Valid(
        "a CONNECT with a password and no user name, which 5.0 permits",
        V5,
        CLIENT,
        connect(5, 0x42, 0, text("c"), text("secret")),
        Connect("c", 5, True, 60, None, b"secret"),
        [mark.conforms("MQTT-3.1.2-16", "MQTT-3.1.2-19")],
    ),
    Valid(
        "a CONNECT with every property",
        V5,
        CLIENT,
        connect(
            *(5, 0x02),
            block(
                *(0x11, four(0xFFFFFFFF), 0x15, text("SCRAM"), 0x16, text(b"\x00\xff"), 0x17, 0, 0x19, 1),
                *(0x21, two(1), 0x22, two(0), 0x26, text("a"), text("1"), 0x26, text("a"), text("2"), 0x27, four(1)),
            ),
            text("c"),
        ),
        Connect(
            *("c", 5, True, 60),
            properties=props(
                session_expiry=0xFFFFFFFF,
                auth_method="SCRAM",
                auth_data=b"\x00\xff",
                request_problem_information=0,
                request_response_information=1,
                receive_maximum=1,
                topic_alias_maximum=0,
                user=[("a", "1"), ("a", "2")],
                maximum_packet_size=1,
            ),
        ),
    ),
    Valid(
        "a CONNECT whose will has every property",
        V5,
        CLIENT,
        connect(
            *(5, 0x06, 0, text("c")),
            block(
                *(0x01, 1, 0x02, four(9), 0x03, text("json"), 0x08, text("r"), 0x09, text(b"\x01"), 0x18, four(5)),
                *(0x26, text("k"), text("v")),
            ),
            *(text("w"), text("x")),
        ),
        Connect(
            *("c", 5, True, 60),
            will=Will(
                *("w", b"x"),
                properties=props(
                    payload_format=1,
                    message_expiry=9,
                    content_type="json",
                    response_topic="r",
                    correlation_data=b"\x01",
                    will_delay=5,
                    user=[("k", "v")],
                ),
            ),
        ),
        [mark.conforms("MQTT-3.1.2-9")],
    ),
    Valid(
        "a 3.1 CONNECT that announces a user name and a password and leaves them out",
        V31,
        CLIENT,
        connect(3, 0xC2, text("c")),
        Connect("c", 3, True, 60),
        decode_only=True,
    ),
    Valid(
        "a 3.1 CONNECT with bits set that 3.1 does not use",
        V31,
        CLIENT,
        connect(3, 0x3B, text("c")),
        Connect("c", 3, True, 60),
        decode_only=True,
    ),
]

VALID_PUBLISHES = [
    Valid(
        "a QoS 0 PUBLISH below 5.0 has no packet identifier",
        V3,
        BOTH,
        packet(0x30, text("a/b"), b"hi"),
        Publish.create("a/b", b"hi"),
        [mark.conforms("MQTT3-2.3.1-5")],
    ),
    Valid(
        "a QoS 0 PUBLISH has no packet identifier",
        V5,
        BOTH,
        packet(0x30, text("a/b"), 0, b"hi"),
        Publish.create("a/b", b"hi"),
        [mark.conforms("MQTT-2.2.1-2", "MQTT-3.3.2-1", "MQTT-2.2.2-1")],
    ),
    Valid(
        "a PUBLISH without a payload",
        V5,
        BOTH,
        packet(0x31, text("a"), 0),
        Publish.create("a", b"", retain=True),
    ),
    Valid(
        "a retained QoS 1 PUBLISH",
        V3,
        BOTH,
        packet(0x33, text("a"), two(1), b"x"),
        Publish.create("a", b"x", 1, True, packet_id=1),
    ),
    Valid(
        "a repeated QoS 2 PUBLISH",
        V5,
        BOTH,
        packet(0x3C, text("a"), two(0xFFFF), 0, b"x"),
        Publish.create("a", b"x", 2, dup=True, packet_id=0xFFFF),
    ),
    Valid(
        "a QoS 0 PUBLISH marked as a duplicate, which 3.1 does not forbid",
        V31,
        BOTH,
        packet(0x38, text("a"), b"x"),
        Publish.create("a", b"x", dup=True),
    ),
    Valid(
        "a PUBLISH with every property a client may use",
        V5,
        BOTH,
        packet(
            *(0x30, text("a")),
            block(
                *(0x01, 0, 0x02, four(0), 0x03, text(""), 0x08, text("r/1"), 0x09, text(b"\x00"), 0x23, two(7)),
                *(0x26, text(""), text("")),
            ),
            b"hi",
        ),
        Publish.create(
            "a",
            b"hi",
            properties=props(
                payload_format=0,
                message_expiry=0,
                content_type="",
                response_topic="r/1",
                correlation_data=b"\x00",
                topic_alias=7,
                user=[("", "")],
            ),
        ),
    ),
    Valid(
        "a PUBLISH whose topic is an alias",
        V5,
        BOTH,
        packet(0x32, text(""), two(5), block(0x23, two(1)), b"hi"),
        Publish.create("", b"hi", 1, packet_id=5, properties=props(topic_alias=1)),
    ),
    Valid(
        "a PUBLISH for three subscriptions of its receiver",
        V5,
        SERVER,
        packet(0x30, text("a"), block(0x0B, 1, 0x0B, 0x80, 1, 0x0B, 0xFF, 0xFF, 0xFF, 0x7F)),
        Publish.create("a", b"", properties=props(subscription_ids=[1, 128, 268_435_455])),
    ),
    Valid(
        "a topic that begins with a byte order mark keeps it",
        ALL[:2],
        BOTH,
        packet(0x30, text(b"\xef\xbb\xbfa")),
        Publish.create(b"\xef\xbb\xbfa", b""),
        [mark.conforms("MQTT3-1.5.3-3")],
    ),
]

ACK_NAMES = {4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP"}
FIRST = {4: 0x40, 5: 0x50, 6: 0x62, 7: 0x70}
FAILURE = {4: 0x97, 5: 0x80, 6: 0x92, 7: 0x92}

VALID_ACKS = [
    case
    for kind, name in ACK_NAMES.items()
    for case in (
        Valid(f"a {name} of two bytes", ALL, BOTH, packet(FIRST[kind], two(10)), Ack(kind, 10)),
        Valid(
            f"a {name} with a reason code",
            V5,
            BOTH,
            packet(FIRST[kind], two(10), FAILURE[kind]),
            Ack(kind, 10, FAILURE[kind]),
        ),
        Valid(
            f"a {name} with a reason code of success",
            V5,
            BOTH,
            packet(FIRST[kind], two(10), 0),
            Ack(kind, 10),
            decode_only=True,
        ),
        Valid(
            f"a {name} with an empty property block",
            V5,
            BOTH,
            packet(FIRST[kind], two(10), FAILURE[kind], 0),
            Ack(kind, 10, FAILURE[kind]),
            decode_only=True,
        ),
        Valid(
            f"a {name} with properties",
            V5,
            BOTH,
            packet(FIRST[kind], two(10), 0, block(0x1F, text("why"), 0x26, text("k"), text("v"))),
            Ack(kind, 10, 0, props(reason_string="why", user=[("k", "v")])),
        ),
    )
]

VALID_OTHERS = [
    Valid("a CONNACK", V3, SERVER, packet(0x20, 0, 0), ConnAck(False, 0)),
    Valid("a CONNACK with a session, 3.1.1", V311, SERVER, packet(0x20, 1, 0), ConnAck(True, 0)),
    Valid("a CONNACK with a session, 5.0", V5, SERVER, packet(0x20, 1, 0, 0), ConnAck(True, 0)),
    Valid("a refusal below 5.0", V3, SERVER, packet(0x20, 0, 5), ConnAck(False, 5)),
    Valid("a refusal", V5, SERVER, packet(0x20, 0, 0x9F, 0), ConnAck(False, 0x9F)),
    Valid(
        "a 3.1 CONNACK whose reserved byte is not zero",
        V31,
        SERVER,
        packet(0x20, 0xFF, 0),
        ConnAck(False, 0),
        decode_only=True,
    ),
    Valid(
        "a CONNACK with every property",
        V5,
        SERVER,
        packet(
            *(0x20, 0, 0),
            block(
                *(0x11, four(1), 0x12, text("id"), 0x13, two(0), 0x15, text("m"), 0x16, text(b"d"), 0x1A, text("r")),
                *(0x1C, text("s"), 0x1F, text("why"), 0x21, two(0xFFFF), 0x22, two(3), 0x24, 1, 0x25, 0),
                *(0x26, text("k"), text("v"), 0x27, four(0xFFFFFFFF), 0x28, 0, 0x29, 1, 0x2A, 0),
            ),
        ),
        ConnAck(
            *(False, 0),
            props(
                session_expiry=1,
                assigned_client_id="id",
                server_keep_alive=0,
                auth_method="m",
                auth_data=b"d",
                response_information="r",
                server_reference="s",
                reason_string="why",
                receive_maximum=0xFFFF,
                topic_alias_maximum=3,
                maximum_qos=1,
                retain_available=0,
                user=[("k", "v")],
                maximum_packet_size=0xFFFFFFFF,
                wildcard_available=0,
                subscription_ids_available=1,
                shared_available=0,
            ),
        ),
    ),
    Valid(
        "a SUBSCRIBE below 5.0",
        V3,
        CLIENT,
        packet(0x82, two(1), text("a/#"), 0, text("+"), 2),
        Subscribe(1, [SubscribeFilter("a/#", 0), SubscribeFilter("+", 2)]),
    ),
    Valid(
        "a SUBSCRIBE with all options",
        V5,
        CLIENT,
        packet(0x82, two(1), 0, text("a"), 0x2E, text("$share/g/a"), 0x11),
        Subscribe(1, [SubscribeFilter("a", 2, True, True, 2), SubscribeFilter("$share/g/a", 1, retain_handling=1)]),
    ),
    Valid(
        "a SUBSCRIBE with a subscription identifier",
        V5,
        CLIENT,
        packet(0x82, two(1), block(0x0B, 0x80, 1, 0x26, text("k"), text("v")), text("a"), 0),
        Subscribe(1, [SubscribeFilter("a")], props(subscription_ids=[128], user=[("k", "v")])),
    ),
    Valid(
        "a SUBSCRIBE with a filter of bad syntax, which is the broker's to answer",
        ALL[:2],
        CLIENT,
        packet(0x82, two(1), text("a#/b"), 0, text(""), 0),
        Subscribe(1, [SubscribeFilter("a#/b"), SubscribeFilter("")]),
    ),
    Valid(
        "a repeated SUBSCRIBE of 3.1",
        V31,
        CLIENT,
        packet(0x8A, two(1), text("a"), 0xFD),
        Subscribe(1, [SubscribeFilter("a", 1)]),
        decode_only=True,
    ),
    Valid("a repeated PUBREL of 3.1", V31, BOTH, packet(0x6A, two(1)), Ack(6, 1), decode_only=True),
    Valid("a SUBACK below 5.0", V3, SERVER, packet(0x90, two(1), 0, 1, 2, 0x80), SubAck(1, [0, 1, 2, 0x80])),
    Valid(
        "a SUBACK",
        V5,
        SERVER,
        packet(0x90, two(1), block(0x1F, text("why")), 0, 0x8F, 0xA2),
        SubAck(1, [0, 0x8F, 0xA2], props(reason_string="why")),
    ),
    Valid(
        "an UNSUBSCRIBE below 5.0", V3, CLIENT, packet(0xA2, two(9), text("a"), text("b")), Unsubscribe(9, ["a", "b"])
    ),
    Valid(
        "an UNSUBSCRIBE",
        V5,
        CLIENT,
        packet(0xA2, two(9), block(0x26, text("k"), text("v")), text("a/+")),
        Unsubscribe(9, ["a/+"], props(user=[("k", "v")])),
    ),
    Valid("an UNSUBACK below 5.0", V3, SERVER, packet(0xB0, two(9)), UnsubAck(9)),
    Valid("an UNSUBACK", V5, SERVER, packet(0xB0, two(9), 0, 0, 0x11), UnsubAck(9, [0, 0x11])),
    Valid("a PINGREQ", ALL, CLIENT, packet(0xC0), PingReq()),
    Valid("a PINGRESP", ALL, SERVER, packet(0xD0), PingResp()),
    Valid("a DISCONNECT without a reason", ALL, CLIENT, packet(0xE0), Disconnect()),
    Valid("a DISCONNECT that asks for the will", V5, CLIENT, packet(0xE0, 4), Disconnect(4)),
    Valid(
        "a DISCONNECT that changes the session expiry",
        V5,
        CLIENT,
        packet(0xE0, 0, block(0x11, four(10), 0x1F, text("bye"))),
        Disconnect(0, props(session_expiry=10, reason_string="bye")),
    ),
    Valid(
        "a DISCONNECT that names another server",
        V5,
        SERVER,
        packet(0xE0, 0x9C, block(0x1C, text("b:1883"))),
        Disconnect(0x9C, props(server_reference="b:1883")),
    ),
    Valid("a DISCONNECT with an empty property block", V5, BOTH, packet(0xE0, 0, 0), Disconnect(), decode_only=True),
    Valid(
        "an AUTH",
        V5,
        BOTH,
        packet(0xF0, 0x18, block(0x15, text("m"), 0x16, text(b"\x00"))),
        Auth(0x18, props(auth_method="m", auth_data=b"\x00")),
    ),
    Valid(
        "an AUTH that begins anew",
        V5,
        CLIENT,
        packet(0xF0, 0x19, block(0x15, text("m"))),
        Auth(0x19, props(auth_method="m")),
    ),
    Valid("an AUTH of success without any byte", V5, SERVER, packet(0xF0), Auth()),
]

VALID = [*VALID_CONNECTS, *VALID_PUBLISHES, *VALID_ACKS, *VALID_OTHERS]
