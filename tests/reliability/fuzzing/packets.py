"""Packets made up from decisions: mostly well-formed, with fields that a careful client would not send."""

from mombroker.mqtt import (
    Ack,
    Auth,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Properties,
    ProtocolError,
    Publish,
    Subscribe,
    SubscribeFilter,
    Unsubscribe,
    Will,
    encode,
)
from mombroker.mqtt.packet_types import (
    AUTH,
    CONNECT,
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    WILL,
)
from mombroker.mqtt.properties import BINARY, BYTE, FOUR_BYTES, PAIRS, PROPERTIES, TEXT, TWO_BYTES
from tests.reliability.fuzzing.choices import Choices

VERSIONS = (3, 4, 5)
CLIENT_IDS = ("", "a", "b", "c", "well-sub", "x" * 30)
TOPICS = (
    "a",
    "a/b",
    "a/b/c",
    "work/1",
    "slow/1",
    "hook/1",
    "hook/later",
    "well/1",
    "$queue/jobs",
    "$queue/late",
    "$queue/none",
    "$service/calc",
    "$service/none",
    "$mom/v1/queue.get",
    "$mom/v1/nothing",
    "$mom/answer",
    "$SYS/broker/uptime",
    "$share/g/a",
    "a//b",
    "/",
    "a/+",
    "#",
    "",
    "1/2/3/4/5/6/7/8/9/10",
    "$service/calc/call/1",
    "$service/calc/call/",
    "$service/calc/answer/1",
    "$service/calc/reply/x",
    "$service/calc/reply/x/more",
    "$service/calc/reply/x/error",
    "$queue/jobs/x",
    "$queue/",
)
FILTERS = (
    *TOPICS,
    "+",
    "a/#",
    "+/+",
    "$share/g/a/#",
    "$share/g/#",
    "$share/h/work/+",
    "$share/g",
    "$share//a",
    "$share/+/a",
    "$queue/+",
    "$queue/jobs/x",
    "$service/calc/x",
    "$mom/#",
    "$SYS/#",
    "a#",
    "#/a",
    "well/#",
)
USER_PROPERTIES = (
    ("mom-id", "1"),
    ("mom-id", ""),
    ("mom-key", "k"),
    ("mom-priority", "9"),
    ("mom-priority", "1e400"),
    ("mom-delay", "5"),
    ("mom-delay", "nan"),
    ("mom-delay", "-1"),
    ("mom-deliver-at", "1700000020"),
    ("mom-error", "x"),
    ("mom-more", "1"),
    ("mom-timeout", "1"),
    ("mom-request", "x"),
    ("k", "v"),
)
SMALL = (0, 1, 2, 3, 5, 10, 60, 3600, 0xFFFF, 0xFFFFFFFF)
METHODS = ("GOOD", "ASKS", "SLOW", "BAD", "NONE")
ROWS = {
    packet: [row for row in PROPERTIES if packet in row[3] or packet == WILL and PUBLISH in row[3]]
    for packet in range(1, WILL + 1)
}


def text(choices: Choices, options: tuple[str, ...]) -> str:
    """One of the options, or some text."""
    if choices.rarely():
        return choices.blob().decode("utf-8", "replace")
    return choices.pick(options)


def properties(choices: Choices, packet: int) -> Properties | None:
    """Properties that the packet may carry (and rarely one that it may not)."""
    count = choices.number(3)
    if not count:
        return None
    made = Properties()
    for _ in range(count):
        rows = PROPERTIES if choices.rarely() else ROWS[packet]
        _, name, kind, _ = choices.pick(rows)
        setattr(made, name, _value(choices, name, kind, getattr(made, name)))
    return made


def _value(choices: Choices, name: str, kind: int, already: object) -> object:
    if kind == PAIRS:
        pair = (choices.blob(20).decode("utf-8", "replace"), "") if choices.rarely() else choices.pick(USER_PROPERTIES)
        return [*(already or []), pair]  # type: ignore[misc]
    if kind == BYTE:
        return choices.number(2)
    if kind == TWO_BYTES or kind == FOUR_BYTES:
        number = choices.pick(SMALL)
        return min(number, 0xFFFF) if kind == TWO_BYTES else number
    if kind == BINARY:
        return choices.blob(20)
    if kind == TEXT:
        return text(choices, METHODS if name == "auth_method" else TOPICS)
    return [choices.pick((1, 2, 127, 268_435_455, 0))]


def payload(choices: Choices) -> bytes:
    """Mostly little, now and then more than a queue takes."""
    return b"x" * choices.number(0xFFFF) if choices.rarely() else choices.blob(40)


def connect(choices: Choices, version: int) -> Connect:
    """A CONNECT."""
    will = None
    if choices.flag():
        topic, content = text(choices, TOPICS), payload(choices)
        will = Will(topic, content, choices.number(2), choices.flag(), properties(choices, WILL))
    username = choices.pick((None, "ann", "bob", "well", "", "held"))
    password = choices.pick((None, b"", b"x"))
    client_id = text(choices, CLIENT_IDS)
    clean = choices.flag()
    keep_alive = choices.pick(SMALL[:9])
    return Connect(client_id, version, clean, keep_alive, username, password, will, properties(choices, CONNECT))


def packet(choices: Choices, version: int) -> Packet:
    """Any packet of a client but a CONNECT."""
    kind = choices.pick(
        (PUBLISH, PUBLISH, PUBLISH, SUBSCRIBE, SUBSCRIBE, UNSUBSCRIBE, PUBACK, PUBREC, PUBREL, PUBCOMP, 12, 14, AUTH)
    )
    packet_id = choices.pick((1, 2, 3, 4, 5, 6, 0xFFFF, 0xFFFE, 0xFFFD, 0))
    if kind == PUBLISH:
        qos = choices.number(2)
        topic, content = text(choices, TOPICS), payload(choices)
        given = properties(choices, PUBLISH)
        return Publish.create(
            topic, content, qos, choices.flag(), choices.rarely() and qos > 0, packet_id if qos else 0, given
        )
    if kind == SUBSCRIBE:
        wanted = [_wish(choices) for _ in range(choices.number(3) + 1)]
        return Subscribe(packet_id, wanted, properties(choices, SUBSCRIBE))
    if kind == UNSUBSCRIBE:
        ended = [text(choices, FILTERS) for _ in range(choices.number(3) + 1)]
        return Unsubscribe(packet_id, ended, properties(choices, UNSUBSCRIBE))
    if PUBACK <= kind <= PUBCOMP:
        return Ack(kind, packet_id, choices.pick((0, 0, 0x10, 0x80, 0x92, 0x97)), properties(choices, kind))
    if kind == AUTH:
        return Auth(choices.pick((0x18, 0x19, 0)), properties(choices, AUTH))
    return Disconnect(choices.pick((0, 4, 0x80)), properties(choices, DISCONNECT)) if kind == DISCONNECT else PingReq()


def _wish(choices: Choices) -> SubscribeFilter:
    filter = text(choices, FILTERS)
    bits = choices.byte()
    return SubscribeFilter(filter, bits % 3, bits & 4 != 0, bits & 8 != 0, (bits >> 4) % 3)


def wire(choices: Choices, version: int) -> bytes:
    """The bytes of a packet; nothing if it is one that no level can express."""
    made = connect(choices, version) if choices.rarely() else packet(choices, version)
    return encoded(made, version)


def encoded(made: Packet, version: int) -> bytes:
    """The bytes of this packet; nothing if it cannot be written at this level."""
    try:
        return encode(made, version)
    except ProtocolError:
        return b""


def connect_wire(choices: Choices, version: int) -> bytes:
    """The bytes of a CONNECT."""
    return encoded(connect(choices, version), version)
