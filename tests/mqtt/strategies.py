"""Hypothesis strategies for packets that are legal at a protocol level and in a direction."""

from hypothesis import strategies as st

from mombroker.mqtt import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
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
)
from mombroker.mqtt.properties import PROPERTIES
from mombroker.mqtt.reason_rules import is_legal_reason

VERSIONS = (3, 4, 5)
QOS = st.integers(0, 2)
PACKET_IDS = st.integers(1, 0xFFFF)
PAYLOADS = st.binary(max_size=300)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=20)
LEVELS = st.text("ab$ é", max_size=3)

TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)
"""Topic names from few letters, so that filters match them now and then."""


@st.composite
def filters(draw: st.DrawFn) -> str:
    """Valid plain topic filters."""
    levels = draw(st.lists(st.one_of(LEVELS, st.just("+")), min_size=1, max_size=5))
    if draw(st.booleans()):
        levels.append("#")
    filter = "/".join(levels)
    return filter or "+"


TWO_BYTES = st.integers(0, 0xFFFF)
FOUR_BYTES = st.integers(0, 0xFFFFFFFF)
FLAGS = st.integers(0, 1)
SPECIAL = {
    "receive_maximum": st.integers(1, 0xFFFF),
    "topic_alias": st.integers(1, 0xFFFF),
    "maximum_packet_size": st.integers(1, 0xFFFFFFFF),
    "response_topic": NAMES,
}
BY_KIND = {
    1: FLAGS,
    2: TWO_BYTES,
    3: FOUR_BYTES,
    4: st.lists(st.integers(1, 268_435_455), min_size=1, max_size=3),
    5: TEXTS,
    6: st.binary(max_size=20),
    7: st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3),
}
ROWS = {
    packet: [(name, SPECIAL.get(name, BY_KIND[kind])) for _, name, kind, packets in PROPERTIES if packet in packets]
    for packet in range(1, WILL + 1)
}


@st.composite
def properties(draw: st.DrawFn, packet: int, without: tuple[str, ...] = ()) -> Properties | None:
    """Properties of a packet type (or WILL), None for none."""
    rows = [row for row in ROWS[packet] if row[0] not in without]
    chosen = draw(st.lists(st.sampled_from(rows), unique_by=lambda row: row[0], max_size=5)) if rows else []
    if not chosen:
        return None
    found = Properties()
    for name, values in chosen:
        setattr(found, name, draw(values))
    return found


def for_version(version: int, packet: int, without: tuple[str, ...] = ()) -> st.SearchStrategy[Properties | None]:
    return properties(packet, without) if version == 5 else st.none()


@st.composite
def connects(draw: st.DrawFn, version: int) -> Connect:
    will = None
    if draw(st.booleans()):
        will = Will(draw(NAMES), draw(PAYLOADS), draw(QOS), draw(st.booleans()), draw(for_version(version, WILL)))
    username = draw(st.none() | TEXTS)
    password = draw(st.none() | st.binary(max_size=20)) if version == 5 or username is not None else None
    found = draw(for_version(version, CONNECT))
    if found is not None and found.auth_data is not None and found.auth_method is None:
        found.auth_method = draw(TEXTS)
    return Connect(draw(TEXTS), version, draw(st.booleans()), draw(TWO_BYTES), username, password, will, found)


@st.composite
def publishes(draw: st.DrawFn, version: int, from_client: bool) -> Publish:
    qos = draw(QOS)
    found = draw(for_version(version, PUBLISH, ("subscription_ids",) if from_client else ()))
    aliased = found is not None and found.topic_alias is not None
    return Publish.create(
        draw(NAMES | st.just("")) if aliased else draw(NAMES),
        draw(PAYLOADS),
        qos,
        draw(st.booleans()),
        draw(st.booleans()) if qos else False,
        draw(PACKET_IDS) if qos else 0,
        found,
    )


def reasons(packet: int, version: int) -> st.SearchStrategy[int]:
    """Reason codes that the packet may carry."""
    if version < 5:
        return st.sampled_from([0, 1, 2, 0x80] if packet == SUBACK else [0])
    return st.sampled_from([code for code in range(256) if is_legal_reason(packet, code)])


@st.composite
def acks(draw: st.DrawFn, version: int) -> Ack:
    kind = draw(st.sampled_from([PUBACK, PUBREC, PUBREL, PUBCOMP]))
    return Ack(kind, draw(PACKET_IDS), draw(reasons(kind, version)), draw(for_version(version, kind)))


@st.composite
def subscribe_filters(draw: st.DrawFn, version: int) -> SubscribeFilter:
    filter = draw(filters() | filters().map("$share/g/".__add__) | TEXTS)
    if version < 5:
        return SubscribeFilter(filter, draw(QOS))
    no_local = draw(st.booleans()) and not filter.startswith("$share/")
    return SubscribeFilter(filter, draw(QOS), no_local, draw(st.booleans()), draw(QOS))


@st.composite
def subscribes(draw: st.DrawFn, version: int) -> Subscribe:
    found = draw(for_version(version, SUBSCRIBE))
    if found is not None:
        del found.subscription_ids[1:]
    entries = draw(st.lists(subscribe_filters(version), min_size=1, max_size=4))
    return Subscribe(draw(PACKET_IDS), entries, found)


def unsubscribes(version: int) -> st.SearchStrategy[Unsubscribe]:
    wanted = st.lists(filters() | TEXTS, min_size=1, max_size=4)
    return st.builds(Unsubscribe, PACKET_IDS, wanted, for_version(version, UNSUBSCRIBE))


@st.composite
def connacks(draw: st.DrawFn, version: int) -> ConnAck:
    reason = draw(reasons(CONNACK, 5) if version == 5 else st.integers(0, 5))
    present = draw(st.booleans()) and reason == 0 and version != 3
    return ConnAck(present, reason, draw(for_version(version, CONNACK)))


def subacks(version: int) -> st.SearchStrategy[SubAck]:
    codes = st.lists(reasons(SUBACK, version), min_size=1, max_size=4)
    return st.builds(SubAck, PACKET_IDS, codes, for_version(version, SUBACK))


def unsubacks(version: int) -> st.SearchStrategy[UnsubAck]:
    if version < 5:
        return st.builds(UnsubAck, PACKET_IDS)
    codes = st.lists(reasons(UNSUBACK, version), min_size=1, max_size=4)
    return st.builds(UnsubAck, PACKET_IDS, codes, properties(UNSUBACK))


def disconnects(version: int, from_client: bool) -> st.SearchStrategy[Disconnect]:
    if version < 5:
        return st.builds(Disconnect)
    codes = reasons(DISCONNECT, 5).filter(lambda code: from_client or code != 4)
    foreign = ("server_reference",) if from_client else ("session_expiry",)
    return st.builds(Disconnect, codes, properties(DISCONNECT, foreign))


@st.composite
def auths(draw: st.DrawFn, from_client: bool) -> Auth:
    reason = draw(st.sampled_from([0x18, 0x19 if from_client else 0]))
    found = draw(properties(AUTH))
    if found is not None or reason:
        found = found or Properties()
        found.auth_method = draw(TEXTS)
    return Auth(reason, found)


def packets(version: int, from_client: bool) -> st.SearchStrategy[object]:
    """Any packet that this side may send once the connection is open (so no CONNECT)."""
    found = [publishes(version, from_client), acks(version)]
    if from_client:
        found += [subscribes(version), unsubscribes(version), st.builds(PingReq)]
    else:
        found += [connacks(version), subacks(version), unsubacks(version), st.builds(PingResp)]
    if from_client or version == 5:
        found.append(disconnects(version, from_client))
    if version == 5:
        found.append(auths(from_client))
    return st.one_of(found)


@st.composite
def conversations(draw: st.DrawFn, max_size: int = 6) -> tuple[int, bool, list[object]]:
    """(version, whether a client speaks, its packets in order; those of a client begin with CONNECT)."""
    version = draw(st.sampled_from(VERSIONS))
    from_client = draw(st.booleans())
    found = draw(st.lists(packets(version, from_client), max_size=max_size))
    return version, from_client, [draw(connects(version)), *found] if from_client else found
