"""A server that is as simple as the specification allows: sessions in dictionaries, bytes in, bytes out.

It keeps its promises and checks the client's: Receive Maximum, packet identifiers, the order of the QoS 2 exchange.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from mombroker.mqtt import (
    V5,
    Ack,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingResp,
    Properties,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    encode,
)
from mombroker.mqtt.packet_types import (
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
)
from mombroker.mqtt.topics import matches


def properties(**values: object) -> Properties:
    """The properties with these values."""
    made = Properties()
    for name, value in values.items():
        setattr(made, name, value)
    return made


@dataclass
class Outgoing:
    """A message on its way to a client."""

    publish: Publish
    sent: bool = False
    received: bool = False


@dataclass
class SessionState:
    """What the server remembers of one client."""

    subscriptions: dict[str, tuple[SubscribeFilter, int]] = field(default_factory=dict)
    exactly_once: set[int] = field(default_factory=set)
    outgoing: dict[int, Outgoing] = field(default_factory=dict)
    last_id: int = 0


Responder = Callable[["ServerSide", Publish], None]


class ModelServer:
    """``taken`` is every message the server took, in order. ``responder`` is told of each one."""

    def __init__(
        self, receive_maximum: int = 65_535, alias_maximum: int = 0, responder: Responder | None = None
    ) -> None:
        self.receive_maximum = receive_maximum
        self.alias_maximum = alias_maximum
        self.responder = responder
        self.sessions: dict[str, SessionState] = {}
        self.taken: list[Publish] = []
        self.topics: list[str] = []
        self.connects: list[Connect] = []
        self.refusal = 0
        self.response_space = True
        self.refused_topics: dict[str, tuple[int, str]] = {}
        self.limits: dict[str, object] = {}
        self.present: list[ServerSide] = []
        self.acks: list[Ack] = []

    def forget(self) -> None:
        """Lose every session, as a server that was started anew."""
        self.sessions.clear()


class ServerSide:
    """The server's end of one connection."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.client_id = ""
        self.closed = False
        self.out: list[bytes] = []
        self.session = SessionState()
        self._decoder = Decoder(True)
        self._aliases: dict[int, bytes] = {}
        self._unacknowledged: set[int] = set()

    def send(self, *packets: Packet) -> None:
        """Send packets."""
        self.out.extend(encode(packet, V5) for packet in packets)

    def take(self) -> bytes:
        """The bytes for the client."""
        data = b"".join(self.out)
        self.out.clear()
        return data

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        self._decoder.feed(data)
        while not self.closed and (packet := self._decoder.next()) is not None:
            self._handle(packet)

    def _handle(self, packet: Packet) -> None:
        kind = packet.type
        if kind == CONNECT:
            self._connect(packet)
        elif kind == PUBLISH:
            self._publish(packet)
        elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self._acknowledged(packet)
        elif kind == SUBSCRIBE:
            self._subscribe(packet)
        elif kind == UNSUBSCRIBE:
            reasons = [0 if self.session.subscriptions.pop(f, None) else 0x11 for f in packet.filters]
            self.send(UnsubAck(packet.packet_id, reasons))
        elif kind == PINGREQ:
            self.send(PingResp())
        elif kind == DISCONNECT:
            if packet.properties is not None and packet.properties.session_expiry == 0:
                self.server.sessions.pop(self.client_id, None)
            self.closed = True

    def _connect(self, connect: Connect) -> None:
        self.server.connects.append(connect)
        if self.server.refusal:
            self.send(ConnAck(False, self.server.refusal))
            self.closed = True
            return
        self.client_id = connect.client_id
        known = self.server.sessions.get(connect.client_id)
        present = known is not None and not connect.clean_start
        self.session = known if present else SessionState()
        if connect.properties is not None and connect.properties.session_expiry:
            self.server.sessions[connect.client_id] = self.session
        given = properties(
            receive_maximum=self.server.receive_maximum,
            topic_alias_maximum=self.server.alias_maximum,
            **self.server.limits,
        )
        if self.server.response_space and connect.properties is not None:
            given.response_information = f"$mom/reply/{connect.client_id}/"
        self.send(ConnAck(present, 0, given))
        self.server.present.append(self)
        for packet_id, outgoing in self.session.outgoing.items():
            if outgoing.received:
                self.send(Ack(PUBREL, packet_id))
            else:
                self._send_out(outgoing)

    def _publish(self, publish: Publish) -> None:
        given = publish.properties
        topic = publish.topic
        if given is not None and given.topic_alias is not None:
            assert given.topic_alias <= self.server.alias_maximum
            topic = topic or self._aliases[given.topic_alias]
            self._aliases[given.topic_alias] = topic
        if publish.qos == 0:
            self._took(publish, topic)
            return
        self._unacknowledged.add(publish.packet_id)
        assert len(self._unacknowledged) <= self.server.receive_maximum, "the client exceeds our Receive Maximum"
        reason, text = self.server.refused_topics.get(topic.decode(), (0, ""))
        answer = properties(reason_string=text) if text else None
        if publish.qos == 1:
            if not reason:
                self._took(publish, topic)
            self._unacknowledged.discard(publish.packet_id)
            self.send(Ack(PUBACK, publish.packet_id, reason, answer))
            return
        if not reason and publish.packet_id not in self.session.exactly_once:
            self.session.exactly_once.add(publish.packet_id)
            self._took(publish, topic)
        self.send(Ack(PUBREC, publish.packet_id, reason, answer))

    def _took(self, publish: Publish, topic: bytes) -> None:
        self.server.taken.append(publish)
        self.server.topics.append(topic.decode())
        if self.server.responder is not None:
            self.server.responder(self, publish)

    def _acknowledged(self, ack: Ack) -> None:
        self.server.acks.append(ack)
        if ack.type == PUBREL:
            known = ack.packet_id in self.session.exactly_once
            self.session.exactly_once.discard(ack.packet_id)
            self._unacknowledged.discard(ack.packet_id)
            self.send(Ack(PUBCOMP, ack.packet_id, 0 if known else 0x92))
            return
        outgoing = self.session.outgoing.get(ack.packet_id)
        # A release sent again, after a PUBREC that came again, is answered once more: the client says so (0x92).
        repeated = ack.type == PUBREC or ack.type == PUBCOMP and ack.reason == 0x92
        assert outgoing is not None or repeated, f"{ack} is for nothing"
        if ack.type == PUBREC and ack.reason < 0x80:
            if outgoing is not None:
                outgoing.received = True
            self.send(Ack(PUBREL, ack.packet_id, 0 if outgoing is not None else 0x92))
        elif outgoing is not None:
            del self.session.outgoing[ack.packet_id]

    def _subscribe(self, subscribe: Subscribe) -> None:
        given = subscribe.properties
        identifier = given.subscription_ids[0] if given is not None and given.subscription_ids else 0
        reasons = []
        for entry in subscribe.filters:
            reason, _ = self.server.refused_topics.get(entry.filter, (0, ""))
            reasons.append(reason or entry.qos)
            if not reason:
                self.session.subscriptions[entry.filter] = (entry, identifier)
        self.send(SubAck(subscribe.packet_id, reasons))

    def deliver(self, topic: str, payload: bytes, qos: int = 0, given: Properties | None = None) -> bool:
        """Send a message to this client if it is subscribed; with the QoS of its subscription at the most."""
        found = [pair for filter, pair in self.session.subscriptions.items() if matches(filter, topic)]
        if not found:
            return False
        qos = min(qos, max(entry.qos for entry, _ in found))
        given = given or Properties()
        given.subscription_ids = [identifier for _, identifier in found if identifier]
        packet_id = 0
        if qos:
            self.session.last_id = packet_id = self.session.last_id + 1
        outgoing = Outgoing(Publish.create(topic, payload, qos, False, False, packet_id, given))
        if qos:
            self.session.outgoing[packet_id] = outgoing
        self._send_out(outgoing)
        return True

    def _send_out(self, outgoing: Outgoing) -> None:
        publish = outgoing.publish
        if outgoing.sent:
            publish = Publish.create(
                publish.topic, publish.payload(), publish.qos, False, True, publish.packet_id, publish.properties
            )
        outgoing.sent = True
        self.send(publish)

    def dismiss(self, reason: int) -> None:
        """End the connection in order."""
        self.send(Disconnect(reason))
        self.closed = True
