"""CONNECT and AUTH: who the client is, which session it gets, and what the CONNACK says."""

from typing import TYPE_CHECKING

from mombroker.core import sessions
from mombroker.core.barrier import Promise
from mombroker.core.closing import LOGIN_EXPIRED, disconnect, end, publish_will, refuse
from mombroker.core.connection import AUTHENTICATING, CLOSED, OPEN, OPENING, Connection
from mombroker.core.delivery import fits
from mombroker.core.named.spaces import reply_space
from mombroker.core.session import NEVER, Session
from mombroker.core.wills import will_of
from mombroker.hooks.events import ClientConnected, ClientRefused, SessionTakenOver
from mombroker.hooks.requests import AuthContinue, AuthDone, ConnectRequest
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import (
    BAD_AUTHENTICATION_METHOD,
    BAD_USER_NAME_OR_PASSWORD,
    BANNED,
    CLIENT_IDENTIFIER_NOT_VALID,
    CONTINUE_AUTHENTICATION,
    NOT_AUTHORIZED,
    PACKET_TOO_LARGE,
    PAYLOAD_FORMAT_INVALID,
    PROTOCOL_ERROR,
    QOS_NOT_SUPPORTED,
    REAUTHENTICATE,
    RETAIN_NOT_SUPPORTED,
    SERVER_BUSY,
    SERVER_UNAVAILABLE,
    SESSION_TAKEN_OVER,
    SUCCESS,
    TOPIC_NAME_INVALID,
    UNSUPPORTED_PROTOCOL_VERSION,
    reason_name,
)
from mombroker.mqtt.encoder import encode
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import V5
from mombroker.mqtt.packets import Auth, ConnAck, Connect, Disconnect
from mombroker.mqtt.properties import Properties, is_as_declared

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

NO_WINDOW_GIVEN = 65535


def handle_connect(engine: "Engine", connection: Connection, packet: Connect) -> None:
    """Check a CONNECT and have its client authenticated. Nothing of any session changes before that."""
    engine.statistics.connects_received += 1
    connection.connect = packet
    connection.version = packet.version
    connection.state = AUTHENTICATING
    if packet.properties is not None:
        connection.max_packet_size = packet.properties.maximum_packet_size or 0
    reason = _refusal_of(engine, connection, packet)
    if reason != SUCCESS:
        turn_down(engine, connection, reason, "")
        return
    if not packet.client_id:
        packet.client_id = engine.new_client_id()
        connection.client_id_assigned = True
    request = _request_of(connection, packet)
    properties = packet.properties
    connection.blocked = True
    if properties is not None and properties.auth_method is not None:
        _begin_exchange(engine, connection, properties.auth_method, properties.auth_data, request)
    else:
        engine.hooks.authenticate(request, Authentication(connection).answer)
    if connection.blocked:
        connection.pause()


def _refusal_of(engine: "Engine", connection: Connection, packet: Connect) -> int:
    limits = engine.limits
    if packet.version not in limits.versions:
        return UNSUPPORTED_PROTOCOL_VERSION
    if limits.max_connections and len(engine.connections) > limits.max_connections:
        return SERVER_BUSY
    if not packet.client_id:
        may_be_empty = limits.allow_empty_client_id and packet.version != 3
        if not may_be_empty or packet.version != V5 and not packet.clean_start:
            return CLIENT_IDENTIFIER_NOT_VALID
    will = packet.will
    if will is not None:
        if will.qos > limits.maximum_qos:
            return QOS_NOT_SUPPORTED
        if will.retain and not limits.retain_available:
            return RETAIN_NOT_SUPPORTED
        if will.topic.count("/") >= limits.max_topic_levels:
            return TOPIC_NAME_INVALID
        if will.properties is not None and not is_as_declared(will.properties, will.payload):
            return PAYLOAD_FORMAT_INVALID
    return SUCCESS


def _request_of(connection: Connection, packet: Connect) -> ConnectRequest:
    properties = packet.properties
    return ConnectRequest(
        client_id=packet.client_id,
        username=packet.username,
        password=packet.password,
        version=packet.version,
        address=connection.address,
        port=connection.port,
        keep_alive=packet.keep_alive,
        clean_start=packet.clean_start,
        will_topic=packet.will.topic if packet.will is not None else None,
        listener=connection.listener,
        user_properties=tuple(properties.user) if properties is not None else (),
        certificate=connection.transport.certificate(),
    )


class Authentication:
    """One authentication that waits for the hooks."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection = connection

    def answer(self, answer: Identity | Refusal) -> None:
        """Let the client in, or turn it down."""
        connection = self.connection
        if connection.state == CLOSED:
            return
        engine = connection.engine
        if isinstance(answer, Refusal):
            turn_down(engine, connection, answer.reason, answer.message)
        else:
            establish(engine, connection, answer)
        engine.wake()


class ExchangeStep:
    """One step of an enhanced authentication that waits for the hooks (section 4.12)."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection = connection

    def answer(self, answer: AuthContinue | AuthDone | Refusal) -> None:
        """Go on with the exchange, or end it."""
        connection = self.connection
        if connection.state == CLOSED:
            return
        engine = connection.engine
        if isinstance(answer, Refusal):
            if connection.reauthenticating:
                disconnect(engine, connection, _reason_for_disconnect(answer.reason), answer.message)
            else:
                turn_down(engine, connection, answer.reason, answer.message)
        elif isinstance(answer, AuthContinue):
            _send_auth(engine, connection, CONTINUE_AUTHENTICATION, answer.data)
        elif connection.reauthenticating:
            _reauthenticated(engine, connection, answer)
        else:
            connection.auth_data = answer.data
            establish(engine, connection, answer.identity)
        engine.wake()


def _reason_for_disconnect(reason: int) -> int:
    """The code nearest to a refusal that DISCONNECT may carry (section 3.14.2.1)."""
    if reason == SERVER_UNAVAILABLE:
        return SERVER_BUSY
    if reason in (BAD_USER_NAME_OR_PASSWORD, CLIENT_IDENTIFIER_NOT_VALID, BANNED):
        return NOT_AUTHORIZED
    return reason


def _reauthenticated(engine: "Engine", connection: Connection, done: AuthDone) -> None:
    if done.identity.has_expired(engine.now):
        disconnect(engine, connection, NOT_AUTHORIZED, LOGIN_EXPIRED)
        return
    connection.reauthenticating = False
    connection.exchange = None
    connection.identity = done.identity
    connection.identity_expires = done.identity.expires_at
    connection.allowed = None
    connection.publish_route = None
    if connection.session is not None:
        connection.session.identity = done.identity
        connection.session.receive_rights = None
    _send_auth(engine, connection, SUCCESS, done.data)


def _send_auth(engine: "Engine", connection: Connection, reason: int, data: bytes | None) -> None:
    properties = Properties()
    properties.auth_method = _auth_method(connection)
    properties.auth_data = data
    answer = encode(Auth(reason, properties), V5)
    if fits(connection, answer):
        connection.send(answer)
        engine.go_on(connection)
    elif connection.state == OPEN:
        disconnect(engine, connection, PACKET_TOO_LARGE, "")
    else:
        turn_down(engine, connection, PACKET_TOO_LARGE, "")


def _auth_method(connection: Connection) -> str | None:
    connect = connection.connect
    if connect is None or connect.properties is None:
        return None
    return connect.properties.auth_method


def _begin_exchange(
    engine: "Engine", connection: Connection, method: str, data: bytes | None, request: ConnectRequest
) -> None:
    exchange = engine.hooks.begin_exchange(method, request)
    if exchange is None:
        if connection.reauthenticating:
            disconnect(engine, connection, BAD_AUTHENTICATION_METHOD, "no plugin offers this method")
        else:
            turn_down(engine, connection, BAD_AUTHENTICATION_METHOD, "no plugin offers this method")
        return
    connection.exchange = exchange
    exchange.step(data, ExchangeStep(connection).answer)


def handle_auth(engine: "Engine", connection: Connection, packet: Auth) -> None:
    """An AUTH packet: the next step of an exchange, or the first of a re-authentication (MQTT-4.12.0-5, 4.12.1-1)."""
    method = _auth_method(connection)
    properties = packet.properties
    if method is None or properties is None or properties.auth_method != method:
        raise ProtocolError(PROTOCOL_ERROR, "AUTH with another authentication method than CONNECT")
    connection.blocked = True
    if packet.reason == REAUTHENTICATE and connection.state == OPEN and connection.connect is not None:
        if connection.reauthenticating:
            raise ProtocolError(PROTOCOL_ERROR, "re-authentication while one is under way")
        connection.reauthenticating = True
        request = _request_of(connection, connection.connect)
        _begin_exchange(engine, connection, method, properties.auth_data, request)
    elif packet.reason == CONTINUE_AUTHENTICATION and connection.exchange is not None:
        connection.exchange.step(properties.auth_data, ExchangeStep(connection).answer)
    else:
        raise ProtocolError(PROTOCOL_ERROR, f"AUTH with reason {reason_name(packet.reason)} is out of place")
    if connection.blocked:
        connection.pause()


def turn_down(engine: "Engine", connection: Connection, reason: int, detail: str) -> None:
    """Refuse a CONNECT, and tell the observers."""
    packet = connection.connect
    username = packet.username if packet is not None else None
    engine.statistics.connections_refused += 1
    engine.log.warning(
        "client refused",
        client_id=connection.client_id(),
        username=username,
        address=connection.address,
        reason=reason_name(reason),
    )
    engine.event(ClientRefused(engine.now, connection.client_id(), username, connection.address, reason))
    refuse(engine, connection, reason, detail)


def establish(engine: "Engine", connection: Connection, identity: Identity) -> None:
    """The client is who it says: give it its session, and the CONNACK once that is on disk (MQTT-3.2.2-2, -3)."""
    packet = connection.connect
    if packet is None:
        return
    if identity.has_expired(engine.now):
        turn_down(engine, connection, NOT_AUTHORIZED, LOGIN_EXPIRED)
        return
    connection.exchange = None
    if engine.limits.guard_sessions and _is_of_another_user(engine, packet.client_id, identity):
        turn_down(engine, connection, CLIENT_IDENTIFIER_NOT_VALID, "this client identifier belongs to another user")
        return
    connection.identity = identity
    connection.identity_expires = identity.expires_at
    ops = engine.barrier.unit.ops
    expiry = granted_expiry(engine, packet)
    session, present = _session_for(engine, connection, packet, identity, expiry)
    connection.session = session
    connection.session_present = present
    connection.state = OPENING
    session.connection = connection
    session.will = will_of(packet)
    # Neither is needed any more, and both may be large or secret.
    packet.will = None
    packet.password = None
    _adopt_options(engine, connection, packet)
    sessions.persist(engine, session)
    answer = encode(ConnAck(present, SUCCESS, _connack_properties(engine, connection, packet, expiry)), packet.version)
    connection.blocked = True
    if not fits(connection, answer):
        connection.will_fires = False
        end(engine, connection, PACKET_TOO_LARGE)
        return
    # A session that the client has just discarded must not be there again after a crash (MQTT-3.1.2-4).
    durable = engine.barrier.unit.ops != ops or packet.clean_start and engine.barrier.is_ending(packet.client_id)
    engine.send_promised(Promise(connection, answer, True, None), durable)


def _is_of_another_user(engine: "Engine", client_id: str, identity: Identity) -> bool:
    """Whether there is a session under this client identifier, with its messages, that is somebody else's."""
    session = engine.sessions.get(client_id)
    if session is None:
        return False
    owner = session.identity.username
    return owner is not None and owner != identity.username


def granted_expiry(engine: "Engine", packet: Connect) -> int:
    """How long the session outlives the connection, in seconds (section 3.1.2.11.2)."""
    if packet.version != V5:
        wanted = 0 if packet.clean_start else NEVER
    else:
        properties = packet.properties
        wanted = properties.session_expiry or 0 if properties is not None else 0
    return min(wanted, engine.limits.max_session_expiry)


def _session_for(
    engine: "Engine", connection: Connection, packet: Connect, identity: Identity, expiry: int
) -> tuple[Session, bool]:
    client_id = packet.client_id
    old = engine.sessions.get(client_id)
    if old is not None and old.connection is not None:
        engine.event(SessionTakenOver(engine.now, identity, old.connection.address))
        engine.log.info("session taken over", client_id=client_id, address=connection.address)
        disconnect(engine, old.connection, SESSION_TAKEN_OVER, "another connection uses this client identifier")
        old = engine.sessions.get(client_id)
    if old is not None and packet.clean_start:
        will = old.will
        if will is not None:
            old.will = None
            publish_will(engine, old, will)
        sessions.end(engine, old)
        old = None
    if old is None:
        return sessions.begin(engine, client_id, identity, packet.version, expiry), False
    old.identity = identity
    old.version = packet.version
    old.expiry = expiry
    old.receive_rights = None
    return old, True


def _adopt_options(engine: "Engine", connection: Connection, packet: Connect) -> None:
    limits = engine.limits
    keep_alive = packet.keep_alive
    if limits.max_keep_alive and packet.version == V5:
        keep_alive = min(keep_alive or limits.max_keep_alive, limits.max_keep_alive)
    connection.keep_alive = keep_alive
    window = NO_WINDOW_GIVEN
    properties = packet.properties
    if properties is not None:
        window = properties.receive_maximum or NO_WINDOW_GIVEN
        connection.alias_out_maximum = min(properties.topic_alias_maximum or 0, limits.outbound_topic_aliases)
    connection.window = min(window, limits.max_inflight)


def _connack_properties(engine: "Engine", connection: Connection, packet: Connect, expiry: int) -> Properties | None:
    """What the broker grants and offers (section 3.2.2.3)."""
    if packet.version != V5:
        return None
    limits = engine.limits
    asked = packet.properties
    properties = Properties()
    if (asked.session_expiry or 0 if asked is not None else 0) != expiry:
        properties.session_expiry = expiry
    properties.receive_maximum = limits.receive_maximum
    if limits.maximum_qos < 2:
        properties.maximum_qos = limits.maximum_qos
    if not limits.retain_available:
        properties.retain_available = 0
    properties.maximum_packet_size = limits.max_packet_size
    if connection.client_id_assigned:
        properties.assigned_client_id = packet.client_id
    properties.topic_alias_maximum = limits.topic_alias_maximum
    if not limits.wildcard_available:
        properties.wildcard_available = 0
    if not limits.subscription_ids_available:
        properties.subscription_ids_available = 0
    if not limits.shared_available:
        properties.shared_available = 0
    if connection.keep_alive != packet.keep_alive:
        properties.server_keep_alive = connection.keep_alive
    if asked is not None and asked.request_response_information == 1:
        properties.response_information = reply_space(packet.client_id)
    if asked is not None and asked.auth_method is not None:
        properties.auth_method = asked.auth_method
        properties.auth_data = connection.auth_data
    return properties


def opened(engine: "Engine", connection: Connection) -> None:
    """The CONNACK is on its way: resend what was in flight, deliver what waits, and handle what came meanwhile."""
    session = connection.session
    if connection.state != OPENING or session is None:
        return
    connection.state = OPEN
    connection.last_seen = engine.now
    statistics = engine.statistics
    statistics.clients_connected += 1
    statistics.clients_maximum = max(statistics.clients_maximum, statistics.clients_connected)
    identity = session.identity
    engine.event(ClientConnected(engine.now, identity, connection.version, connection.session_present))
    engine.log.info(
        "client connected", client_id=session.client_id, username=identity.username, address=connection.address
    )
    session.attach(connection)
    for group in session.groups or ():
        group.attach()
    engine.go_on(connection)


def handle_disconnect(engine: "Engine", connection: Connection, packet: Disconnect) -> None:
    """The client says goodbye; with reason 0 its will is forgotten (MQTT-3.14.4-3)."""
    session = connection.session
    properties = packet.properties
    if properties is not None and properties.session_expiry is not None and session is not None:
        if session.expiry == 0 and properties.session_expiry != 0:
            raise ProtocolError(PROTOCOL_ERROR, "session expiry set at DISCONNECT although it was zero at CONNECT")
        session.expiry = min(properties.session_expiry, engine.limits.max_session_expiry)
    connection.will_fires = packet.reason != SUCCESS
    end(engine, connection, packet.reason)
