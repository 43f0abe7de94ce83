"""A client's session with a server, over as many connections as it takes.

::

    opened() -> CONNECT in the outbox -> feed(CONNACK) -> Events.let_in -> feed(...), tick() ... -> lost() -> opened()
"""

from dataclasses import dataclass, field
from typing import Protocol, cast

from mombroker.client.protocol.inbound import Inbound, Message
from mombroker.client.protocol.limits import ServerLimits, limits_of
from mombroker.client.protocol.outbound import Outbound
from mombroker.client.protocol.outbox import Outbox
from mombroker.client.protocol.packet_ids import PacketIds
from mombroker.client.protocol.subscriptions import Subscriptions
from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import UNSPECIFIED_ERROR
from mombroker.mqtt import (
    V5,
    Ack,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    Properties,
    ProtocolError,
    Publish,
    SubAck,
    UnsubAck,
    Will,
    encode,
    packet_name,
)
from mombroker.mqtt.errors import forbidden
from mombroker.mqtt.packet_types import (
    CONNACK,
    DISCONNECT,
    LARGEST_PACKET,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
)


@dataclass(frozen=True)
class Options:
    """How a client introduces itself. ``keep_alive`` and ``session_expiry`` are seconds; ``receive_maximum`` (1 to
    65535) bounds the unacknowledged messages from the server, ``inflight_maximum`` those to it.

    ``clean_start`` is about the first connection only: False goes on with the session of an earlier run.
    """

    client_id: str
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    clean_start: bool = True
    session_expiry: int = 0
    keep_alive: int = 60
    receive_maximum: int = 1000
    inflight_maximum: int = 16_384
    maximum_packet_size: int = LARGEST_PACKET
    topic_alias_maximum: int = 64
    will: Will | None = None
    user_properties: tuple[tuple[str, str], ...] = ()

    def properties(self) -> Properties:
        """Those of the CONNECT."""
        properties = Properties()
        properties.session_expiry = self.session_expiry
        properties.receive_maximum = self.receive_maximum
        properties.topic_alias_maximum = self.topic_alias_maximum
        properties.request_response_information = 1
        properties.user = list(self.user_properties)
        if self.maximum_packet_size < LARGEST_PACKET:
            properties.maximum_packet_size = self.maximum_packet_size
        return properties


class Events(Protocol):
    """What a session tells of. None of these may raise."""

    def wants_write(self) -> None:
        """The outbox is no longer empty."""
        ...

    def let_in(self, session_present: bool) -> None:
        """The server has let us in; what was to be sent again is in the outbox."""
        ...

    def refused(self, reason: int, text: str) -> None:
        """The server has not let us in."""
        ...

    def received(self, message: Message, publish: Publish) -> None:
        """A message has come."""
        ...

    def dismissed(self, reason: int, text: str) -> None:
        """The server has sent a DISCONNECT, and will close the connection."""
        ...


class Session:
    """One session. Call :meth:`opened` when the socket is there, and :meth:`lost` when it is gone."""

    __slots__ = (
        "options",
        "limits",
        "outbox",
        "outbound",
        "inbound",
        "subscriptions",
        "_events",
        "_decoder",
        "_let_in",
        "_clean",
        "_heard",
        "_pinged",
        "client_id",
    )

    def __init__(self, options: Options, events: Events) -> None:
        ids = PacketIds()
        self.options: Options = options
        self.limits: ServerLimits = ServerLimits()
        self.client_id: str = options.client_id
        self.outbox: Outbox = Outbox(events.wants_write)
        self.outbound: Outbound = Outbound(self.outbox, ids, options.inflight_maximum)
        self.inbound: Inbound = Inbound(self.outbox, options.receive_maximum, options.topic_alias_maximum)
        self.subscriptions: Subscriptions = Subscriptions(self.outbox, ids)
        self._events: Events = events
        self._decoder: Decoder = Decoder(False, V5)
        self._let_in: bool = False
        self._clean: bool = options.clean_start
        self._heard: bool = False
        self._pinged: bool = False

    @property
    def keep_alive(self) -> int:
        """Seconds of silence that the server allows, 0 for any."""
        wanted = self.limits.keep_alive
        return self.options.keep_alive if wanted is None else wanted

    def opened(self) -> None:
        """There is a new connection: introduce ourselves."""
        options = self.options
        self._decoder = Decoder(False, V5, options.maximum_packet_size)
        self._let_in = False
        self._heard = False
        self._pinged = False
        self.outbox.clear()
        connect = Connect(
            self.client_id,
            V5,
            self._clean,
            options.keep_alive,
            options.username,
            options.password,
            options.will,
            options.properties(),
        )
        self.outbox.send(encode(connect, V5))

    def lost(self) -> None:
        """The connection is gone, in whatever way."""
        self._let_in = False
        self.outbox.clear()
        self.outbound.lost()
        self.inbound.lost()
        self.subscriptions.lost()

    def abandon(self, error: MombrokerError) -> None:
        """There will be no other connection: whoever waits for an answer is told."""
        self.outbound.abandon(error)
        self.subscriptions.abandon(error)

    def closing(self, keep_session: bool) -> None:
        """Say goodbye; unless ``keep_session``, the server forgets us."""
        if self._let_in:
            properties: Properties | None = None
            if not keep_session and self.options.session_expiry:
                properties = Properties()
                properties.session_expiry = 0
            self.outbox.send(encode(Disconnect(0, properties), V5))

    def feed(self, data: bytes) -> None:
        """Take bytes from the server. Raises ProtocolError, with the DISCONNECT that answers it in the outbox."""
        decoder = self._decoder
        decoder.feed(data)
        self._heard = True
        try:
            while True:
                packet = decoder.next()
                if packet is None:
                    break
                self._take(packet)
        except ProtocolError as error:
            if self._let_in:
                self.outbox.send(encode(Disconnect(error.reason), V5))
            raise
        if self._let_in:
            self.outbound.pump()

    def _take(self, packet: Packet) -> None:
        kind = packet.type
        if not self._let_in:
            if kind != CONNACK:
                raise forbidden(f"the server began with {packet_name(kind)}, not with CONNACK")
            self._introduced(cast(ConnAck, packet))
        elif kind == PUBLISH:
            publish = cast(Publish, packet)
            message = self.inbound.received(publish)
            if message is not None:
                self._events.received(message, publish)
        elif kind == PUBACK:
            self.outbound.acknowledged(cast(Ack, packet))
        elif kind == PUBREC:
            self.outbound.received(cast(Ack, packet))
        elif kind == PUBREL:
            self.inbound.released(cast(Ack, packet).packet_id)
        elif kind == PUBCOMP:
            self.outbound.completed(cast(Ack, packet))
        else:
            self._take_rare(packet)

    def _take_rare(self, packet: Packet) -> None:
        kind = packet.type
        if kind == SUBACK or kind == UNSUBACK:
            self.subscriptions.answered(cast(SubAck | UnsubAck, packet))
        elif kind == DISCONNECT:
            goodbye = cast(Disconnect, packet)
            self._events.dismissed(goodbye.reason, _text(goodbye.properties))
        elif kind != PINGRESP:
            raise forbidden(f"{packet_name(kind)} has no place here")

    def _introduced(self, connack: ConnAck) -> None:
        if connack.reason >= UNSPECIFIED_ERROR:
            self._events.refused(connack.reason, _text(connack.properties))
            return
        if connack.session_present and self._clean:
            raise forbidden("the server kept a session that was to be new")
        self.limits = limits_of(connack)
        if self.limits.assigned_client_id is not None:
            self.client_id = self.limits.assigned_client_id
        self._let_in = True
        # Only with an expiry there is a session to come back to.
        self._clean = not self.options.session_expiry
        self.inbound.connected(connack.session_present)
        self.subscriptions.resume(connack.session_present, self.limits.subscription_ids_available)
        self.outbound.resume(self.limits, connack.session_present)
        self._events.let_in(connack.session_present)

    def tick(self) -> bool:
        """To be called three times in :attr:`keep_alive` seconds: asks for a sign of life where there was none.

        False when the last such question was not answered: the connection is dead.
        """
        if self._pinged and not self._heard:
            return False
        if self._let_in:
            # Sent whatever else was: the server has to hear from us, and we from it, and this does both.
            self.outbox.send(encode(PingReq(), V5))
        self._pinged = True
        self._heard = False
        return True


def _text(properties: Properties | None) -> str:
    return "" if properties is None else properties.reason_string or ""
