"""SUBSCRIBE and UNSUBSCRIBE: filters bound to queues, retained messages sent, answers after the commit."""

from typing import TYPE_CHECKING

from mombroker.core.barrier import Promise
from mombroker.core.bindings import Binding
from mombroker.core.connection import Connection
from mombroker.core.delivery import fits, is_expired, send_qos0
from mombroker.core.named.subscriptions import is_own, join, leave, right_to, takes_messages
from mombroker.core.records import digest, dump
from mombroker.core.rights import ALLOWED, DENIED, UNKNOWN, may, receive_right, wait_for_receive_right
from mombroker.core.session import Session
from mombroker.hooks.events import Subscribed, Unsubscribed
from mombroker.model.identity import SUBSCRIBE as ACTION_SUBSCRIBE
from mombroker.model.message import Message
from mombroker.model.queues import SHARED_PREFIX
from mombroker.model.reasons import (
    NO_SUBSCRIPTION_EXISTED,
    NOT_AUTHORIZED,
    PACKET_TOO_LARGE,
    QUOTA_EXCEEDED,
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
    SUCCESS,
    TOPIC_FILTER_INVALID,
    UNSPECIFIED_ERROR,
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
)
from mombroker.model.unit import TABLE_SUBSCRIPTION
from mombroker.mqtt.encoder import encode
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import V5
from mombroker.mqtt.packets import Packet, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe
from mombroker.mqtt.topics import check_filter, is_wildcard, split_shared

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


def handle_subscribe(engine: "Engine", connection: Connection, session: Session, packet: Subscribe) -> None:
    """Grant what may be granted; the SUBACK follows the commit of a durable session's subscriptions (MQTT-3.8.4)."""
    subscription_id = _subscription_id(engine, packet)
    filters = [wanted.filter for wanted in packet.filters]
    _check_syntax(filters)
    if connection.version == V5:
        _check_availability(engine, filters)
        _check_answer(connection, SubAck(packet.packet_id, [SUCCESS] * len(filters), None))
    denied: set[str] = set()
    if engine.hooks.authorizes and not _rights_are_known(engine, connection, packet, denied):
        connection.held = packet
        return
    reasons: list[int] = []
    late: list[tuple[Message, Binding]] = []
    connection.holding_back += 1
    ops = engine.barrier.unit.ops
    for wanted in packet.filters:
        reasons.append(_subscribe_one(engine, connection, session, wanted, subscription_id, denied, late))
    if connection.version != V5:
        reasons = [UNSPECIFIED_ERROR if reason >= 0x80 else reason for reason in reasons]
    answer = encode(SubAck(packet.packet_id, reasons, None), connection.version)
    engine.send_promised(Promise(connection, answer, False, late), engine.barrier.unit.ops != ops)


def _subscription_id(engine: "Engine", packet: Subscribe) -> int:
    properties = packet.properties
    if properties is None or not properties.subscription_ids:
        return 0
    if not engine.limits.subscription_ids_available:
        raise ProtocolError(SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, "subscription identifiers are switched off")
    return properties.subscription_ids[0]


def _rights_are_known(engine: "Engine", connection: Connection, packet: Subscribe, denied: set[str]) -> bool:
    """Whether all is known that decides about a SUBSCRIBE; ``denied`` gets the topics of retained messages that the
    client may not receive. They are not asked for again: by then their answers may have been forgotten."""
    session = connection.session
    for wanted in packet.filters:
        right = _right(connection, wanted.filter)
        if right == UNKNOWN:
            return False
        if right == DENIED or session is None or is_own(wanted.filter):
            continue
        retained = engine.retained.matching(wanted.filter)
        for message in retained:
            right = receive_right(engine, session, message.topic, len(retained))
            if right == UNKNOWN:
                wait_for_receive_right(connection, session, message.topic)
                return False
            if right == DENIED:
                denied.add(message.topic)
    return True


def _right(connection: Connection, topic_filter: str) -> int:
    """ALLOWED, DENIED, or UNKNOWN until a hook has answered."""
    if is_own(topic_filter):
        return right_to(connection, topic_filter)
    return may(connection, ACTION_SUBSCRIBE, topic_filter) if connection.engine.hooks.authorizes else ALLOWED


def _subscribe_one(
    engine: "Engine",
    connection: Connection,
    session: Session,
    wanted: SubscribeFilter,
    subscription_id: int,
    denied: set[str],
    late: list[tuple[Message, Binding]],
) -> int:
    reason, topic_filter, shared = _check_filter(engine, session, wanted.filter)
    if reason == SUCCESS and _right(connection, wanted.filter) == DENIED:
        reason = NOT_AUTHORIZED
    if reason != SUCCESS:
        engine.log.info("subscription refused", client_id=session.client_id, filter=wanted.filter, reason=reason)
        return reason
    qos = min(wanted.qos, engine.limits.maximum_qos)
    binding = Binding(
        topic_filter,
        session.queue,
        session,
        qos,
        wanted.no_local,
        wanted.retain_as_published,
        wanted.retain_handling,
        subscription_id,
    )
    is_new = add_subscription(engine, session, wanted.filter, binding, shared)
    if wanted.filter not in session.subscriptions:
        return QUOTA_EXCEEDED
    if session.durable:
        key = engine.key_of(session) + digest(wanted.filter)
        engine.barrier.unit.put(TABLE_SUBSCRIPTION, key, subscription_record(wanted.filter, binding))
    engine.event(Subscribed(engine.now, session.identity, wanted.filter, qos))
    qos = binding.qos
    if not shared and (wanted.retain_handling == 0 or wanted.retain_handling == 1 and is_new):
        _offer_retained(engine, session, binding, denied, late)
    return qos


def _check_syntax(filters: list[str]) -> None:
    """Raise ProtocolError unless each filter is well-formed; nothing else of such a packet counts (MQTT-4.7.1-1)."""
    for topic_filter in filters:
        parts = split_shared(topic_filter)
        if not check_filter(topic_filter if parts is None else parts[1]):
            raise ProtocolError(TOPIC_FILTER_INVALID, f"{topic_filter!r} is no topic filter")


def _check_availability(engine: "Engine", filters: list[str]) -> None:
    """Raise ProtocolError for what the CONNACK said is not to be had (sections 3.2.2.3.11 and 3.2.2.3.13)."""
    limits = engine.limits
    for topic_filter in filters:
        parts = split_shared(topic_filter)
        if parts is not None and not limits.shared_available:
            raise ProtocolError(SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, "shared subscriptions are switched off")
        if not limits.wildcard_available and is_wildcard(topic_filter if parts is None else parts[1]):
            raise ProtocolError(WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, "wildcards are switched off")


def _check_answer(connection: Connection, answer: Packet) -> None:
    """Raise ProtocolError if the client does not take a packet as large as its answer (MQTT-3.1.2-24)."""
    if connection.max_packet_size and not fits(connection, encode(answer, V5)):
        raise ProtocolError(PACKET_TOO_LARGE, "the answer to so many filters exceeds the client's maximum packet size")


def _check_filter(engine: "Engine", session: Session, topic_filter: str) -> tuple[int, str, bool]:
    """(reason, the filter without its share name, whether it is shared)."""
    limits = engine.limits
    parts = split_shared(topic_filter)
    inner = topic_filter if parts is None else parts[1]
    if inner.count("/") >= limits.max_topic_levels:
        return TOPIC_FILTER_INVALID, inner, False
    if parts is not None and is_own(inner):
        return TOPIC_FILTER_INVALID, inner, True
    if parts is not None and not limits.shared_available:
        return SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, inner, True
    if not limits.wildcard_available and is_wildcard(inner) and not is_own(inner):
        return WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, inner, False
    if topic_filter not in session.subscriptions and len(session.subscriptions) >= limits.max_subscriptions:
        return QUOTA_EXCEEDED, inner, False
    return SUCCESS, inner, parts is not None


def add_subscription(engine: "Engine", session: Session, full_filter: str, binding: Binding, shared: bool) -> bool:
    """Bind a subscription, instead of an earlier one with the same filter. Tells whether it is new."""
    old = session.subscriptions.get(full_filter)
    if shared:
        group = engine.shared_group(full_filter, binding.filter, session)
        binding.queue = group.queue
        group.join(binding)
        if old is None:
            engine.statistics.shared_subscriptions += 1
            if session.groups is None:
                session.groups = []
            session.groups.append(group)
        if session.connection is not None:
            group.attach()
    elif is_own(full_filter) and takes_messages(full_filter):
        if not join(engine, session, full_filter, binding):
            return False
    else:
        if old is not None:
            engine.router.unbind(old)
        engine.router.bind(binding)
    session.subscriptions[full_filter] = binding
    if old is None:
        engine.statistics.subscriptions += 1
    return old is None


def remove_subscription(engine: "Engine", session: Session, full_filter: str) -> bool:
    """Unbind a subscription. Tells whether there was one."""
    binding = session.subscriptions.pop(full_filter, None)
    if binding is None:
        return False
    engine.statistics.subscriptions -= 1
    if full_filter.startswith(SHARED_PREFIX):
        engine.statistics.shared_subscriptions -= 1
        engine.leave_group(full_filter, session)
    elif is_own(full_filter) and takes_messages(full_filter):
        leave(engine, session, full_filter)
    else:
        engine.router.unbind(binding)
    return True


def subscription_record(full_filter: str, binding: Binding) -> bytes:
    """A subscription as the store keeps it."""
    return dump(
        {
            "filter": full_filter,
            "qos": binding.qos,
            "no_local": binding.no_local,
            "retain_as_published": binding.retain_as_published,
            "retain_handling": binding.retain_handling,
            "id": binding.subscription_id,
        }
    )


def _offer_retained(
    engine: "Engine", session: Session, binding: Binding, denied: set[str], late: list[tuple[Message, Binding]]
) -> None:
    """Queue the retained messages that match; those of QoS 0 follow the SUBACK (MQTT-3.3.1-9 to -11). With no local,
    a client's own are not for it (MQTT-3.8.3-3)."""
    for message in engine.retained.matching(binding.filter):
        if is_expired(message, 0.0, engine.now):
            continue
        if binding.no_local and message.publisher == session.client_id:
            continue
        if message.topic in denied:
            continue
        qos = min(message.qos, binding.qos)
        if qos == 0:
            late.append((message, binding))
        elif session.queue.has_room(message.size()):
            after = engine.barrier.number if qos == 2 and session.durable and not engine.barrier.lazy else 0
            copy = _own_copy(message)
            session.offer(copy, qos, True, binding.encoded_id, after)
        else:
            engine.dropped(session.queue.spec.name, message.topic, "overflow", 1)


def _own_copy(message: Message) -> Message:
    """A message apart from the retained one, so that neither's place in the store is mistaken for the other's."""
    return Message(
        message.topic,
        message.payload,
        message.qos,
        True,
        message.properties,
        message.published_at,
        message.expires_at,
        message.publisher,
        message.topic_bytes,
    )


def release_deliveries(connection: Connection, retained: list[tuple[Message, Binding]]) -> None:
    """The SUBACK or UNSUBACK is on its way: the retained messages of QoS 0 follow, and the queue goes on."""
    connection.holding_back -= 1
    session = connection.session
    if session is None or session.connection is not connection:
        return
    if retained:
        connection.late = connection.late + retained if connection.late is not None else retained
        send_late_retained(connection)
    session.pump_all()


def send_late_retained(connection: Connection) -> None:
    """Send retained messages of QoS 0 as fast as the client takes them: none is lost for being many.

    One that was replaced meanwhile is left out, since its successor may have been sent already; in the place of one
    that the store had no room for comes the one before it, which is retained again. Whoever has unsubscribed meanwhile
    gets none any more (MQTT-3.10.4-2).
    """
    late = connection.late
    session = connection.session
    if late is None or session is None:
        return
    engine = connection.engine
    sent = 0
    while sent < len(late) and connection.takes_deliveries():
        if connection.out_bytes * 2 > engine.limits.max_out_buffer:
            connection.starved = True
            break
        message, binding = late[sent]
        sent += 1
        if binding.filter not in session.subscriptions:
            continue
        kept = engine.retained.get(message.topic)
        if kept is None or kept is not message and kept.published_at >= message.published_at:
            continue
        if not is_expired(kept, 0.0, engine.now):
            send_qos0(session, connection, kept, True, binding.encoded_id, engine.now)
    connection.late = late[sent:] or None


def handle_unsubscribe(engine: "Engine", connection: Connection, session: Session, packet: Unsubscribe) -> None:
    """Remove subscriptions; the UNSUBACK follows the commit (MQTT-3.10.4)."""
    _check_syntax(packet.filters)
    if connection.version == V5:
        _check_answer(connection, UnsubAck(packet.packet_id, [SUCCESS] * len(packet.filters), None))
    reasons: list[int] = []
    connection.holding_back += 1
    ops = engine.barrier.unit.ops
    for topic_filter in packet.filters:
        if remove_subscription(engine, session, topic_filter):
            reasons.append(SUCCESS)
            if session.durable:
                key = engine.key_of(session) + digest(topic_filter)
                engine.barrier.unit.delete(TABLE_SUBSCRIPTION, key)
            engine.event(Unsubscribed(engine.now, session.identity, topic_filter))
        else:
            reasons.append(NO_SUBSCRIPTION_EXISTED)
    answer = encode(UnsubAck(packet.packet_id, reasons, None), connection.version)
    engine.send_promised(Promise(connection, answer, False, []), engine.barrier.unit.ops != ops)
