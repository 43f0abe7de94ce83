"""How connections end, and what they leave behind: a reason, a will, a session that waits or is over."""

from typing import TYPE_CHECKING, Final

from mombroker.core import sessions
from mombroker.core.connection import AUTHENTICATING, AWAITING_CONNECT, CLOSED, OPEN, OPENING, Connection
from mombroker.core.delivery import fits
from mombroker.core.publishing import distribute, is_reserved, retain, room_everywhere
from mombroker.core.rights import find_unknown_receiver
from mombroker.core.session import NEVER, Session
from mombroker.core.timers import SESSION_EXPIRY, WILL
from mombroker.core.wills import PendingWill
from mombroker.hooks.events import ClientDisconnected
from mombroker.model.errors import MombrokerError
from mombroker.model.identity import PUBLISH, Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.reasons import UNSUPPORTED_PROTOCOL_VERSION, reason_name, v3_connack_code
from mombroker.mqtt.encoder import encode
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import V5, V311
from mombroker.mqtt.packets import ConnAck, Disconnect
from mombroker.mqtt.properties import Properties

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

LOGIN_EXPIRED: Final = "the login has expired"


def fail(engine: "Engine", connection: Connection, error: ProtocolError) -> None:
    """End a connection whose client broke the protocol, telling it why where its version has a way to."""
    engine.statistics.protocol_errors += 1
    engine.log.warning(
        "protocol error",
        client_id=connection.client_id(),
        address=connection.address,
        reason=reason_name(error.reason),
        detail=error.detail,
    )
    if connection.state == AWAITING_CONNECT:
        if connection.decoder.version == V5 or error.reason == UNSUPPORTED_PROTOCOL_VERSION:
            connection.version = V311 if connection.decoder.version == V311 else V5
            refuse(engine, connection, error.reason, "")
        else:
            end(engine, connection, error.reason)
    elif connection.state == AUTHENTICATING:
        refuse(engine, connection, error.reason, error.detail)
    else:
        disconnect(engine, connection, error.reason, error.detail)


def refuse(engine: "Engine", connection: Connection, reason: int, detail: str) -> None:
    """Answer a CONNECT with a refusal and close."""
    if connection.version == V5:
        properties = Properties()
        properties.reason_string = detail or None
        answer = encode(ConnAck(False, reason, properties), V5)
        if not fits(connection, answer):
            answer = encode(ConnAck(False, reason, None), V5)
        if fits(connection, answer):
            connection.send(answer)
    else:
        connection.send(encode(ConnAck(False, v3_connack_code(reason), None), connection.version))
    end(engine, connection, reason)


def disconnect(engine: "Engine", connection: Connection, reason: int, detail: str) -> None:
    """Close a connection from the broker's side; an MQTT 5 client gets a DISCONNECT first."""
    if connection.version == V5 and connection.state == OPEN:
        properties = Properties()
        properties.reason_string = detail or None
        packet = encode(Disconnect(reason, properties), V5)
        if connection.max_packet_size and len(packet) > connection.max_packet_size:
            packet = encode(Disconnect(reason, None), V5)
        connection.send(packet)
    end(engine, connection, reason)


def end(engine: "Engine", connection: Connection, reason: int) -> None:
    """Send what was written, close, and let the session go on without this connection."""
    if connection.state == CLOSED:
        return
    connection.flush()
    connection.transport.close()
    gone(engine, connection, reason)


def gone(engine: "Engine", connection: Connection, reason: int) -> None:
    """The connection is no more."""
    state = connection.state
    if state == CLOSED:
        return
    connection.state = CLOSED
    engine.connections.discard(connection)
    if connection.exchange is not None:
        connection.exchange.cancel()
        connection.exchange = None
    session = connection.session
    if session is None or session.connection is not connection:
        return
    if state == OPEN:
        engine.statistics.clients_connected -= 1
        engine.event(ClientDisconnected(engine.now, session.identity, reason))
        engine.log.info("client disconnected", client_id=session.client_id, reason=reason_name(reason))
    if state in (OPEN, OPENING):
        _leave_session(engine, connection, session)


def _leave_session(engine: "Engine", connection: Connection, session: Session) -> None:
    session.detach()
    for group in session.groups or ():
        group.detach_if_idle()
    session.disconnected_at = engine.now
    will = session.will
    if will is not None:
        delay = min(will.delay, session.expiry)
        if not connection.will_fires:
            session.will = None
        elif delay == 0 or session.expiry == 0:
            session.will = None
            publish_will(engine, session, will)
        else:
            will.deadline = engine.now + delay
            engine.timers.add(will.deadline, WILL, session.client_id)
    if session.expiry == 0:
        sessions.end(engine, session)
        return
    sessions.persist(engine, session)
    if session.expiry != NEVER:
        engine.timers.add(engine.now + session.expiry, SESSION_EXPIRY, session.client_id)


class WillAsked:
    """The question whether a client may publish its will."""

    def __init__(self, engine: "Engine", message: Message, identity: Identity) -> None:
        self.engine: Engine = engine
        self.message: Message = message
        self.identity: Identity = identity

    def answer(self, allowed: bool) -> None:
        """Let the publish hooks see the will, or drop it."""
        hooks = self.engine.hooks
        if not allowed:
            self.engine.dropped(self.message.publisher, self.message.topic, "not-authorized", 1)
        elif not hooks.sees_publish:
            publish_own(self.engine, self.message)
        else:
            seen = hooks.on_publish(self.message, self.identity, self.publish)
            if seen is not None:
                self.publish(seen)

    def publish(self, seen: Message | Refusal) -> None:
        """Publish what the hooks made of the will."""
        if isinstance(seen, Refusal):
            self.engine.dropped(self.message.publisher, self.message.topic, "refused-by-hook", 1)
        else:
            publish_own(self.engine, seen)
            self.engine.wake()


def publish_will(engine: "Engine", session: Session, will: PendingWill) -> None:
    """Publish a client's will, if it may publish to that topic (MQTT-3.1.2-8)."""
    message = will.message(session.client_id, engine.now, engine.limits.max_message_age)
    asked = WillAsked(engine, message, session.identity)
    if is_reserved(message.topic):
        asked.answer(False)
        return
    if not engine.hooks.authorizes:
        asked.answer(True)
        return
    decision = engine.hooks.authorize(session.identity, PUBLISH, message.topic, asked.answer)
    if decision is not None:
        asked.answer(decision)


def publish_own(engine: "Engine", message: Message) -> None:
    """Publish a message that no connection waits for: a will, or one of the broker's own."""
    try:
        route = engine.router.route(message.topic_bytes)
    except ProtocolError as error:
        raise MombrokerError(f"cannot publish to {message.topic!r}: {error.detail}") from error
    if engine.hooks.authorizes and find_unknown_receiver(engine, route) is not None:
        engine.own_waiting.append(message)
        return
    if engine.barrier.refusing and (route.durable or message.retain):
        engine.dropped(message.publisher, message.topic, "disk-full", 1)
        return
    if (route.may_reject or engine.hooks.decides_overflow) and not room_everywhere(engine, message, route):
        engine.dropped(message.publisher, message.topic, "overflow", 1)
        return
    if message.retain:
        retain(engine, message)
    distribute(engine, message, route, None)


def will_due(engine: "Engine", client_id: str) -> None:
    """The delay of a will has passed: publish it, unless the client is back or it has been published already."""
    session = engine.sessions.get(client_id)
    will = session.will if session is not None else None
    if session is None or session.connection is not None or will is None or will.deadline > engine.now:
        return
    session.will = None
    publish_will(engine, session, will)
    sessions.persist(engine, session)


def expiry_due(engine: "Engine", client_id: str) -> None:
    """A session's expiry has passed: end it, unless its client is or was back meanwhile (MQTT-3.1.2-23)."""
    session = engine.sessions.get(client_id)
    if session is None or session.connection is not None or session.expiry == NEVER:
        return
    if session.disconnected_at + session.expiry > engine.now:
        return
    will = session.will
    session.will = None
    if will is not None:
        publish_will(engine, session, will)
    engine.statistics.sessions_expired += 1
    engine.log.info("session expired", client_id=session.client_id)
    sessions.end(engine, session)
