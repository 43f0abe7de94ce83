"""Packets in: every packet of a chunk, one after the other, until one has to wait."""

from typing import TYPE_CHECKING, cast

from mombroker.core.closing import disconnect, fail
from mombroker.core.connecting import handle_auth, handle_connect, handle_disconnect
from mombroker.core.connection import AUTHENTICATING, AWAITING_CONNECT, CLOSED, OPEN, Connection
from mombroker.core.publishing import admit, flush_run, handle_publish
from mombroker.core.rights import forget_surplus
from mombroker.core.session import Session
from mombroker.core.subscribing import handle_subscribe, handle_unsubscribe
from mombroker.model.reasons import IMPLEMENTATION_SPECIFIC_ERROR, PACKET_IDENTIFIER_NOT_FOUND, PROTOCOL_ERROR
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import (
    AUTH,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    V5,
    packet_name,
)
from mombroker.mqtt.packets import Ack, Auth, Connect, Disconnect, Packet, Publish, Subscribe, Unsubscribe

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

PINGRESP_FRAME = b"\xd0\x00"


def run(engine: "Engine", connection: Connection) -> None:
    """Handle the packets that have arrived whole, until the connection is blocked or closed. Never raises."""
    if connection.running:
        return
    connection.running = True
    engine.feeding = connection
    try:
        decoder = connection.decoder
        while not connection.blocked and connection.state != CLOSED:
            packet = decoder.next()
            if packet is None:
                break
            engine.statistics.packets_received += 1
            if packet.type == PUBLISH and connection.state == OPEN:
                handle_publish(engine, connection, cast(Publish, packet))
            else:
                if engine.run.route is not None:
                    flush_run(engine)
                _handle(engine, connection, packet)
        if engine.run.route is not None:
            flush_run(engine)
    except ProtocolError as error:
        if engine.run.route is not None:
            flush_run(engine)
        fail(engine, connection, error)
    except Exception as defect:
        engine.run.route = None
        _give_up(engine, connection, defect)
    finally:
        engine.feeding = None
        connection.running = False


def _give_up(engine: "Engine", connection: Connection, defect: Exception) -> None:
    """A defect of ours costs the client at hand only, and is seen.

    Whoever calls this names the exception other than the protocol error beside it: compiled, one name has one type.
    """
    engine.log.error("internal error", client_id=connection.client_id(), exc_info=defect)
    disconnect(engine, connection, IMPLEMENTATION_SPECIFIC_ERROR, "internal error")


def go_on(engine: "Engine", connection: Connection) -> None:
    """An answer has come: handle the packet that waited for it, then those behind it."""
    if connection.state == CLOSED:
        return
    connection.unblock()
    if connection.running:
        return
    held = connection.held
    connection.held = None
    if held is not None:
        _handle_held(engine, connection, held)
    if not connection.blocked:
        run(engine, connection)
        connection.resume()
    engine.wake()


def _handle_held(engine: "Engine", connection: Connection, held: Packet) -> None:
    session = connection.session
    connection.running = True
    try:
        if held.type == PUBLISH:
            admit(engine, connection, cast(Publish, held), connection.held_topic)
        elif session is not None:
            handle_subscribe(engine, connection, session, cast(Subscribe, held))
    except ProtocolError as error:
        fail(engine, connection, error)
    except Exception as defect:
        _give_up(engine, connection, defect)
    finally:
        connection.running = False


def _handle(engine: "Engine", connection: Connection, packet: Packet) -> None:
    """Handle any packet but a PUBLISH on an open connection."""
    kind = packet.type
    session = connection.session
    if connection.state == OPEN and session is not None:
        if kind == PUBACK or kind == PUBREC or kind == PUBREL or kind == PUBCOMP:
            _handle_ack(engine, connection, session, cast(Ack, packet))
        else:
            _handle_cold(engine, connection, session, packet)
    elif kind == CONNECT and connection.state == AWAITING_CONNECT:
        handle_connect(engine, connection, cast(Connect, packet))
    elif kind == AUTH and connection.state == AUTHENTICATING:
        handle_auth(engine, connection, cast(Auth, packet))
    elif kind == DISCONNECT and connection.state == AUTHENTICATING:
        handle_disconnect(engine, connection, cast(Disconnect, packet))
    else:
        raise ProtocolError(PROTOCOL_ERROR, f"{packet_name(kind)} is out of place")


def _handle_ack(engine: "Engine", connection: Connection, session: Session, packet: Ack) -> None:
    kind = packet.type
    if kind == PUBACK:
        session.acknowledged(packet.packet_id, packet.reason, packet.properties)
    elif kind == PUBREC:
        session.received(connection, packet.packet_id, packet.reason)
    elif kind == PUBCOMP:
        session.completed(packet.packet_id)
    else:
        _release(engine, connection, session, packet.packet_id)


def _release(engine: "Engine", connection: Connection, session: Session, packet_id: int) -> None:
    """PUBREL: forget the identifier; the PUBCOMP follows once that is on disk (MQTT-4.3.3-11)."""
    inbound = session.inbound
    barrier = engine.barrier
    if inbound is None or packet_id not in inbound:
        reason = PACKET_IDENTIFIER_NOT_FOUND if connection.version == V5 else 0
        barrier.ack(connection, PUBCOMP, packet_id, reason, False)
        return
    del inbound[packet_id]
    if connection.quota_used > 0:
        connection.quota_used -= 1
    if session.durable:
        barrier.touch_session(session)
    barrier.ack(connection, PUBCOMP, packet_id, 0, session.durable)


def _handle_cold(engine: "Engine", connection: Connection, session: Session, packet: Packet) -> None:
    kind = packet.type
    forget_surplus(connection)
    if kind == PINGREQ:
        connection.send(PINGRESP_FRAME)
    elif kind == SUBSCRIBE:
        handle_subscribe(engine, connection, session, cast(Subscribe, packet))
    elif kind == UNSUBSCRIBE:
        handle_unsubscribe(engine, connection, session, cast(Unsubscribe, packet))
    elif kind == DISCONNECT:
        handle_disconnect(engine, connection, cast(Disconnect, packet))
    elif kind == AUTH:
        handle_auth(engine, connection, cast(Auth, packet))
    else:
        raise ProtocolError(PROTOCOL_ERROR, f"{packet_name(kind)} is out of place")
