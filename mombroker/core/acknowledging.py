"""The answer to a publish: an acknowledgement when everything it promises is on disk, or a refusal."""

from typing import TYPE_CHECKING

from mombroker.core.connection import Connection
from mombroker.core.session import Session
from mombroker.hooks.events import PublishRefused
from mombroker.model.reasons import NO_MATCHING_SUBSCRIBERS, QUOTA_EXCEEDED, SUCCESS, reason_name
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import PUBACK, PUBREC, V5
from mombroker.mqtt.packets import Publish

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


def acknowledge(
    engine: "Engine", connection: Connection, session: Session, packet: Publish, matched: bool, ops: int
) -> None:
    """Acknowledge a publish when everything that the open unit was asked for since ``ops`` is on disk."""
    barrier = engine.barrier
    durable = barrier.unit.ops != ops
    if packet.qos == 2:
        if session.inbound is None:
            session.inbound = {}
        session.inbound[packet.packet_id] = barrier.number
        if session.durable:
            barrier.touch_session(session)
            durable = True
    reason = SUCCESS if matched or connection.version != V5 else NO_MATCHING_SUBSCRIBERS
    barrier.ack(connection, PUBACK if packet.qos == 1 else PUBREC, packet.packet_id, reason, durable)


def refuse(
    engine: "Engine", connection: Connection, packet: Publish, topic: str, reason: int, detail: str = ""
) -> None:
    """Turn a publish down, telling an MQTT 5 client why if there is a ``detail`` to tell.

    A 3.x publisher cannot be told: it gets no acknowledgement, or loses its connection when trying again cannot help
    (MQTT3-3.3.5-2).
    """
    client_id = connection.client_id()
    if connection.refusal_logged != reason:
        # Once per connection and reason: a client that goes on trying must not fill the log.
        connection.refusal_logged = reason
        engine.log.info("publish refused", client_id=client_id, topic=topic, reason=reason_name(reason))
    engine.event(PublishRefused(engine.now, client_id, topic, reason))
    engine.statistics.publishes_dropped += 1
    if packet.qos == 0:
        return
    if connection.version == V5:
        if detail:
            connection.explain(packet.packet_id, detail)
        engine.barrier.ack(connection, PUBACK if packet.qos == 1 else PUBREC, packet.packet_id, reason, False)
        return
    connection.quota_used -= 1
    if reason != QUOTA_EXCEEDED:
        raise ProtocolError(reason, f"publish to {topic!r} refused")
