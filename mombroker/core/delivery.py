"""A message on its way to one client: the frame for its protocol version, its options and its limits."""

from typing import TYPE_CHECKING

from mombroker.core.connection import Connection
from mombroker.model.message import Message
from mombroker.mqtt.encoder import encode_delivery_properties, publish_frame
from mombroker.mqtt.packet_types import V5, V311

if TYPE_CHECKING:
    from mombroker.core.session import Session


def remaining_life(message: Message, now: float) -> int:
    """Whole seconds of the message's expiry interval that are left; -1 if it does not expire (MQTT-3.3.2-6)."""
    if message.expires_at == 0.0:
        return -1
    left = message.expires_at - now
    whole = int(left)
    return whole + 1 if left > whole else max(whole, 0)


def is_expired(message: Message, time_to_live: float, now: float) -> bool:
    """Whether the message's own expiry, or the queue's limit on waiting, has passed (MQTT-3.3.2-5)."""
    if message.expires_at != 0.0 and message.expires_at <= now:
        return True
    return time_to_live > 0.0 and message.published_at + time_to_live <= now


def frame_for(
    connection: Connection,
    message: Message,
    qos: int,
    retain: bool,
    dup: bool,
    packet_id: int,
    subscription_ids: bytes,
    now: float,
) -> bytes:
    """The PUBLISH packet for this client."""
    flags = qos << 1
    if retain:
        flags |= 1
    if dup:
        flags |= 8
    if connection.version != V5:
        return publish_frame(V311, flags, message.topic_bytes, packet_id, b"", message.payload)
    topic = message.topic_bytes
    alias = 0
    if connection.alias_out_maximum:
        alias, known = _alias(connection, message.topic)
        if known:
            topic = b""
    if alias or subscription_ids or message.expires_at != 0.0:
        life = remaining_life(message, now)
        properties = encode_delivery_properties(life, subscription_ids, alias, message.properties)
    else:
        properties = message.properties
    frame = publish_frame(V5, flags, topic, packet_id, properties, message.payload)
    if alias and topic and not fits(connection, frame) and connection.aliases_out is not None:
        del connection.aliases_out[message.topic]  # the packet that defines it will not be sent
    return frame


def _alias(connection: Connection, topic: str) -> tuple[int, bool]:
    """(alias, whether the client knows it already); alias 0 when all are taken (MQTT-3.1.2-26, -27)."""
    aliases = connection.aliases_out
    if aliases is None:
        aliases = connection.aliases_out = {}
    alias = aliases.get(topic)
    if alias is not None:
        return alias, True
    if len(aliases) >= connection.alias_out_maximum:
        return 0, False
    alias = len(aliases) + 1
    aliases[topic] = alias
    return alias, False


def fits(connection: Connection, frame: bytes) -> bool:
    """Whether the client's Maximum Packet Size allows the packet (MQTT-3.1.2-24)."""
    return connection.max_packet_size == 0 or len(frame) <= connection.max_packet_size


def send_qos0(
    session: "Session", connection: Connection, message: Message, retain: bool, subscription_ids: bytes, now: float
) -> None:
    """Send a message at QoS 0; a client that does not read fast enough loses it, counted."""
    engine = session.engine
    if not connection.has_space():
        engine.dropped(session.client_id, message.topic, "slow-reader", 1)
        return
    if engine.hooks.sees_deliver:
        changed = engine.hooks.on_deliver(message, session.identity)
        if changed is None:
            engine.dropped(session.client_id, message.topic, "refused-by-hook", 1)
            return
        message = changed
    if retain or subscription_ids or message.expires_at != 0.0 or connection.alias_out_maximum:
        frame = frame_for(connection, message, 0, retain, False, 0, subscription_ids, now)
    else:
        frame = shared_frame(message, connection.version)
    if connection.max_packet_size and not fits(connection, frame):
        engine.dropped(session.client_id, message.topic, "too-large", 1)
        return
    connection.send(frame)
    statistics = connection.statistics
    statistics.publishes_sent += 1
    statistics.publish_bytes_sent += len(message.payload)


def shared_frame(message: Message, version: int) -> bytes:
    """The plain QoS 0 packet, encoded once for all receivers of a protocol version."""
    if version == V5:
        frame = message.frame_v5
        if frame is None:
            frame = publish_frame(V5, 0, message.topic_bytes, 0, message.properties, message.payload)
            message.frame_v5 = frame
        return frame
    frame = message.frame_v3
    if frame is None:
        frame = publish_frame(V311, 0, message.topic_bytes, 0, b"", message.payload)
        message.frame_v3 = frame
    return frame
