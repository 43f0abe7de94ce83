"""The way in of a message: admitted, routed, appended to queues, acknowledged when it is on disk.

Plain QoS 0 publishes that follow each other in one chunk, to one topic, form a run: it is routed once, and where
a receiver speaks the publisher's protocol version, the very bytes are passed on.
"""

from typing import TYPE_CHECKING, Final, cast

from mypy_extensions import i64

from mombroker.core.acknowledging import acknowledge, refuse
from mombroker.core.bindings import Binding
from mombroker.core.connection import OPEN, Connection
from mombroker.core.delivery import is_expired, send_qos0
from mombroker.core.named.topics import carry_out, check_reserved, is_queue_topic, refusal_detail
from mombroker.core.overflow import make_room
from mombroker.core.queue import Source
from mombroker.core.records import digest
from mombroker.core.rights import ALLOWED, DENIED, check_receivers, may_publish
from mombroker.core.router import RESERVED, Route, one_per_queue
from mombroker.core.session import Session
from mombroker.core.timers import RETAINED_EXPIRY
from mombroker.model.identity import Refusal
from mombroker.model.message import Message
from mombroker.model.queues import Overflow
from mombroker.model.reasons import (
    NOT_AUTHORIZED,
    PAYLOAD_FORMAT_INVALID,
    PROTOCOL_ERROR,
    QOS_NOT_SUPPORTED,
    QUOTA_EXCEEDED,
    RECEIVE_MAXIMUM_EXCEEDED,
    RETAIN_NOT_SUPPORTED,
    SUCCESS,
    TOPIC_ALIAS_INVALID,
    TOPIC_NAME_INVALID,
)
from mombroker.model.unit import TABLE_RETAINED
from mombroker.mqtt.decoder import Decoder
from mombroker.mqtt.encoder import publish_frame
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import PUBREC, V5, V311
from mombroker.mqtt.packets import Publish
from mombroker.mqtt.properties import is_as_declared
from mombroker.mqtt.topics import check_name

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

SHARED_BODY_BYTES: Final = 256


class Run:
    """Consecutive plain QoS 0 publishes of one topic: ``buffer[start:end]`` holds ``count`` whole packets."""

    __slots__ = ("route", "buffer", "start", "end", "count", "version", "publisher")

    def __init__(self) -> None:
        self.route: Route | None = None
        self.buffer: bytes = b""
        self.start: i64 = 0
        self.end: i64 = 0
        self.count: i64 = 0
        self.version: int = 0
        self.publisher: Session | None = None


def handle_publish(engine: "Engine", connection: Connection, packet: Publish) -> None:
    """Take a PUBLISH off a connection. Raises ProtocolError for what ends the connection."""
    topic = packet.topic
    run = engine.run
    statistics = engine.statistics
    statistics.publishes_received += 1
    if packet.flags == 0 and packet.properties is None and engine.passes_plainly:
        route = engine.router.memo.get(topic)
        if route is None:
            route = route_of(engine, topic)
        if run.route is route and run.end == packet.start and run.buffer is packet.buffer:
            run.end = packet.end
            run.count += 1
            return
        if run.route is not None:
            flush_run(engine)
        if not route.reserved and (not engine.hooks.authorizes or _is_cleared(engine, connection, route)):
            run.route = route
            run.buffer = packet.buffer
            run.start = packet.start
            run.end = packet.end
            run.count = 1
            run.version = connection.version
            run.publisher = connection.session
            return
    elif run.route is not None:
        flush_run(engine)
    statistics.publish_bytes_received += packet.end - packet.payload_start
    if packet.qos:
        connection.quota_used += 1
        if connection.quota_used > engine.limits.receive_maximum and connection.version == V5:
            raise ProtocolError(
                RECEIVE_MAXIMUM_EXCEEDED, f"more than {engine.limits.receive_maximum} publishes unacknowledged"
            )
    if packet.properties is not None:
        topic = resolve_alias(engine, connection, packet)
    admit(engine, connection, packet, topic)


def _is_cleared(engine: "Engine", connection: Connection, route: Route) -> bool:
    now = engine.now
    return connection.publish_route is route and connection.publish_until > now and route.checked_until > now


def route_of(engine: "Engine", topic: bytes) -> Route:
    """The route of a topic that a client publishes to. Raises ProtocolError if no client may use such a name."""
    route = engine.router.memo.get(topic)
    if route is not None:
        return route
    name = check_name(topic)
    if name.count("/") >= engine.limits.max_topic_levels:
        raise ProtocolError(TOPIC_NAME_INVALID, f"more than {engine.limits.max_topic_levels} topic levels")
    return engine.router.route(topic)


def is_reserved(topic: str) -> bool:
    """Whether a topic belongs to the broker."""
    return topic[0] == "$" and topic.split("/", 1)[0] in RESERVED


def resolve_alias(engine: "Engine", connection: Connection, packet: Publish) -> bytes:
    """The topic a PUBLISH means, with its alias defined or looked up (section 3.3.2.3.4)."""
    properties = packet.properties
    if properties is None or properties.topic_alias is None:
        return packet.topic
    alias = properties.topic_alias
    if alias == 0 or alias > engine.limits.topic_alias_maximum:
        raise ProtocolError(TOPIC_ALIAS_INVALID, f"topic alias {alias} is above {engine.limits.topic_alias_maximum}")
    aliases = connection.aliases_in
    if packet.topic:
        check_name(packet.topic)
        if aliases is None:
            aliases = connection.aliases_in = {}
        aliases[alias] = packet.topic
        return packet.topic
    known = aliases.get(alias) if aliases is not None else None
    if known is None:
        raise ProtocolError(PROTOCOL_ERROR, f"topic alias {alias} was never defined on this connection")
    return known


def admit(engine: "Engine", connection: Connection, packet: Publish, topic: bytes) -> None:
    """Check the rights, the options and the hooks; then accept. May hold the packet until an answer is there."""
    route = route_of(engine, topic)
    if route.reserved:
        if not check_reserved(engine, connection, packet, topic, route):
            return
    elif engine.hooks.authorizes:
        right = may_publish(connection, route)
        if right == DENIED:
            refuse(engine, connection, packet, route.topic, NOT_AUTHORIZED)
            return
        if right != ALLOWED or not check_receivers(connection, route):
            hold(connection, packet, topic)
            return
    limits = engine.limits
    if packet.qos > limits.maximum_qos:
        raise ProtocolError(QOS_NOT_SUPPORTED, f"QoS {packet.qos} is above the maximum of {limits.maximum_qos}")
    if packet.retain and not limits.retain_available:
        raise ProtocolError(RETAIN_NOT_SUPPORTED, "retained messages are switched off")
    session = connection.session
    if session is None:
        raise ProtocolError(PROTOCOL_ERROR, "PUBLISH before the connection was accepted")
    if packet.qos == 2 and session.inbound is not None and packet.packet_id in session.inbound:
        connection.quota_used -= 1
        engine.barrier.ack(connection, PUBREC, packet.packet_id, SUCCESS, session.durable)
        return
    if packet.properties is not None and not is_as_declared(packet.properties, packet.payload()):
        refuse(engine, connection, packet, route.topic, PAYLOAD_FORMAT_INVALID)
        return
    if route.reserved and not is_queue_topic(route.topic):
        carry_out(engine, connection, session, packet, route)
        return
    message = connection.held_message
    connection.held_message = None
    if message is None:
        message = make_message(engine, connection, packet, route)
        if engine.hooks.sees_publish and connection.identity is not None:
            answer = engine.hooks.on_publish(message, connection.identity, Answered(connection).answer)
            if answer is None:
                hold(connection, packet, topic)
                connection.block()
                return
            message = answer
    if not isinstance(message, Message):
        refuse(engine, connection, packet, route.topic, message.reason)
        return
    if message.topic != route.topic:
        route = engine.router.route(message.topic_bytes)
        if engine.hooks.authorizes and not check_receivers(connection, route):
            connection.held_message = message
            hold(connection, packet, topic)
            return
    accept(engine, connection, session, packet, message, route)


class Answered:
    """A publish hook's answer that comes later: the held packet goes on with it."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection = connection

    def answer(self, answer: Message | Refusal) -> None:
        """Take the answer."""
        self.connection.held_message = answer
        self.connection.engine.go_on(self.connection)


def hold(connection: Connection, packet: Publish, topic: bytes) -> None:
    """Keep a packet that must be handled again."""
    connection.held = packet
    connection.held_topic = topic


def make_message(engine: "Engine", connection: Connection, packet: Publish, route: Route) -> Message:
    """The message of a PUBLISH; its expiry interval starts now (MQTT-3.3.2-5)."""
    now = engine.now
    expires_at = 0.0
    properties = packet.properties
    if properties is not None and properties.message_expiry is not None:
        expires_at = now + properties.message_expiry
    age = engine.limits.max_message_age
    if age and (expires_at == 0.0 or expires_at > now + age):
        expires_at = now + age
    session = connection.session
    publisher = session.client_id if session is not None else ""
    return Message(
        route.topic,
        packet.payload(),
        packet.qos,
        packet.retain and not route.reserved,
        packet.forwarded,
        now,
        expires_at,
        publisher,
        route.raw,
    )


def accept(
    engine: "Engine", connection: Connection, session: Session, packet: Publish, message: Message, route: Route
) -> None:
    """Route a message that may be published, and acknowledge it when what it touched is on disk."""
    barrier = engine.barrier
    qos = packet.qos
    if qos == 0:
        if barrier.refusing and (message.retain or engine.limits.queue_qos0):
            engine.dropped(session.client_id, message.topic, "disk-full", 1)
            return
        if message.retain:
            retain(engine, message)
        distribute(engine, message, route, session)
        return
    stores = route.durable > 0 or message.retain or qos == 2 and session.durable
    may_reject = route.may_reject or engine.hooks.decides_overflow
    if barrier.refusing and stores or may_reject and not room_everywhere(engine, message, route):
        refuse(engine, connection, packet, message.topic, QUOTA_EXCEEDED, refusal_detail(engine, message))
        return
    ops = barrier.unit.ops
    if message.retain:
        retain(engine, message)
    matched = distribute(engine, message, route, session)
    acknowledge(engine, connection, session, packet, matched, ops)


def retain(engine: "Engine", message: Message) -> None:
    """Set or clear the retained message of a topic, in memory and in the open unit (MQTT-3.3.1-5, -6)."""
    if message.payload:
        engine.barrier.retain(message, engine.retained.get(message.topic))
        engine.retained.set(message)
        if message.expires_at != 0.0:
            engine.timers.add(message.expires_at, RETAINED_EXPIRY, message.topic)
        else:
            engine.timers.forget(RETAINED_EXPIRY, message.topic)
    elif engine.retained.remove(message.topic) or not engine.barrier.is_idle():
        # Somebody else may have cleared it a moment ago, and that need not be on disk yet.
        engine.timers.forget(RETAINED_EXPIRY, message.topic)
        engine.barrier.unit.delete(TABLE_RETAINED, digest(message.topic))


def retained_due(engine: "Engine", topic: str) -> None:
    """A retained message has expired, unless another one has taken its place (MQTT-3.3.2-5)."""
    message = engine.retained.get(topic)
    if message is not None and is_expired(message, 0.0, engine.now):
        engine.retained.remove(topic)
        engine.barrier.unit.delete(TABLE_RETAINED, digest(topic))


def room_everywhere(engine: "Engine", message: Message, route: Route) -> bool:
    """Whether no target queue would reject the message: it is stored everywhere, or refused as a whole."""
    size = message.size()
    for target in route.targets:
        queue = target.queue
        if target.session is None:
            if cast(Source, queue.consumer).would_reject(message):
                return False
        elif target.qos and not queue.has_room(size):
            if engine.overflow(queue, message) is Overflow.REJECT:
                return False
    return True


def distribute(engine: "Engine", message: Message, route: Route, publisher: Session | None) -> bool:
    """Give a message to every target of its route. Tells whether there was any (MQTT-3.3.4-1)."""
    targets = targets_for(route, publisher) if route.has_no_local else route.targets
    barrier = engine.barrier
    after = 0
    if message.qos:
        if route.durable > 1 and message.size() >= SHARED_BODY_BYTES:
            message.body_id = engine.new_id()
        if message.qos == 2 and not barrier.lazy and (route.durable > 0 or not barrier.is_clean()):
            after = barrier.number
    for target in targets:
        session = target.session
        if session is None:
            cast(Source, target.queue.consumer).offer_routed(target, message, after)
            continue
        retain_flag = message.retain and target.retain_as_published
        qos = target.qos if target.qos < message.qos else message.qos
        if qos == 0:
            offer_qos0(engine, session, target, message, retain_flag)
        elif target.queue.has_room(message.size()) or make_room(engine, target, message):
            session.offer(message, qos, retain_flag, target.encoded_id, after if qos == 2 else 0)
    return len(targets) > 0


def targets_for(route: Route, publisher: Session | None) -> list[Binding]:
    """The targets when some subscriptions do not want their own client's messages (MQTT-3.8.3-3)."""
    wanted = {target.queue.id for target in route.targets}
    return one_per_queue(
        [
            binding
            for binding in route.bindings
            if binding.queue.id in wanted and not (binding.no_local and binding.session is publisher)
        ]
    )


def offer_qos0(engine: "Engine", session: Session, target: Binding, message: Message, retain_flag: bool) -> None:
    """Send a message at QoS 0 to a connected client, or keep it for an absent one if the broker is set to."""
    connection = session.connection
    if connection is not None and connection.state == OPEN and not _must_wait(engine, session):
        if not is_expired(message, 0.0, engine.now):
            send_qos0(session, connection, message, retain_flag, target.encoded_id, engine.now)
    elif engine.limits.queue_qos0 and session.durable:
        if target.queue.has_room(message.size()) or make_room(engine, target, message):
            session.offer(message, 0, retain_flag, target.encoded_id, 0)


def _must_wait(engine: "Engine", session: Session) -> bool:
    """Whether QoS 0 messages that were queued for an absent client still wait: others keep their place behind them."""
    return engine.limits.queue_qos0 and session.durable and session.queue.has_waiting()


def flush_run(engine: "Engine") -> None:
    """Route the run of QoS 0 publishes gathered so far."""
    run = engine.run
    route = run.route
    if route is None:
        return
    run.route = None
    data = run.buffer[run.start : run.end]
    buffer_count = run.count
    run.buffer = b""
    engine.statistics.publish_bytes_received += run.end - run.start
    other = b""
    packets: list[Publish] | None = None
    for target in targets_for(route, run.publisher) if route.has_no_local else route.targets:
        session = target.session
        if session is not None:
            connection = session.connection
            if connection is not None and connection.state == OPEN and _takes_plain(connection, target):
                if _must_wait(engine, session):
                    packets = packets or packets_of(data, run.version)
                    _offer_each(engine, target, packets, route, run.publisher)
                    continue
                if (connection.version == V5) == (run.version == V5):
                    frames = data
                else:
                    if not other:
                        packets = packets or packets_of(data, run.version)
                        other = _translated(packets, connection.version)
                    frames = other
                if connection.has_space():
                    connection.send(frames)
                    engine.statistics.publishes_sent += buffer_count
                    engine.statistics.publish_bytes_sent += len(frames)
                else:
                    engine.dropped(session.client_id, route.topic, "slow-reader", buffer_count)
                continue
        packets = packets or packets_of(data, run.version)
        _offer_each(engine, target, packets, route, run.publisher)


def _takes_plain(connection: Connection, target: Binding) -> bool:
    return not (target.encoded_id or connection.max_packet_size or connection.alias_out_maximum)


def packets_of(data: bytes, version: int) -> list[Publish]:
    """The packets of a run, one by one."""
    decoder = Decoder(False, version, 0x0FFFFFFF + 5, False)
    decoder.feed(data)
    packets: list[Publish] = []
    packet = decoder.next()
    while packet is not None:
        if isinstance(packet, Publish):
            packets.append(packet)
        packet = decoder.next()
    return packets


def _translated(packets: list[Publish], version: int) -> bytes:
    to = V5 if version == V5 else V311
    return b"".join([publish_frame(to, 0, packet.topic, 0, b"", packet.payload()) for packet in packets])


def _offer_each(
    engine: "Engine", target: Binding, packets: list[Publish], route: Route, publisher: Session | None
) -> None:
    client_id = publisher.client_id if publisher is not None else ""
    for packet in packets:
        message = Message(route.topic, packet.payload(), 0, False, b"", engine.now, 0.0, client_id, route.raw)
        if target.session is None:
            cast(Source, target.queue.consumer).offer_routed(target, message, 0)
        else:
            offer_qos0(engine, target.session, target, message, False)
