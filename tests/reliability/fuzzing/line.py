"""A client that does not behave: a connection to the engine of a World that is sent any bytes at all."""

from mombroker.core.connection import OPEN
from mombroker.mqtt import Ack, ConnAck, Decoder, Disconnect, Packet, PingResp, ProtocolError, Publish, encode
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, V311
from tests.core.world import Wire, World


class Line:
    """One connection after the other. ``auto`` acknowledges what comes, as a client should.

    What the broker sends is decoded as strictly as a client's codec can: a packet that is not allowed is a defect.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.wire = Wire()
        self.wire.told = True
        self.connection = None
        self.auto = False
        self.version = V5
        self.goodbye = False
        self.kept_back = b""
        self.seen: list[Packet] = []
        self._outgoing = b""
        self._decoder: Decoder | None = None
        self._mirror = Decoder(True)

    @property
    def gone(self) -> bool:
        """Whether there is no connection (any more)."""
        return self.connection is None or self.wire.told

    @property
    def is_open(self) -> bool:
        """Whether the broker has let this client in."""
        return not self.gone and self.connection.state == OPEN

    def open(self) -> None:
        """A fresh connection; nobody tells the broker what became of the old one."""
        self.cut()
        self.wire = Wire()
        self.seen = []
        self.kept_back = self._outgoing = b""
        self._decoder = None
        self._mirror = Decoder(True, 0, self.world.limits.max_packet_size, False)
        self.goodbye = False
        self.world.engine.now = self.world.now
        self.connection = self.world.engine.open_connection(self.wire, "10.6.6.6", 666, "test")

    def send(self, data: bytes) -> None:
        """Any bytes, after what was kept back."""
        self._outgoing += self.kept_back + data
        self.kept_back = b""

    def cut(self) -> None:
        """The network connection breaks."""
        self._outgoing = self.kept_back = b""
        if not self.gone:
            self.wire.told = True
            self.world.engine.now = self.world.now
            self.world.engine.connection_lost(self.connection)
        self.connection = None

    def drop(self) -> None:
        """The broker has died."""
        self._outgoing = self.kept_back = b""
        self.wire.told = self.wire.closed = True
        self.connection = None

    def congest(self, congested: bool) -> None:
        """Stop reading, or read again."""
        if self.gone or self.wire.closed or self.wire.stuck == congested:
            return
        self.wire.stuck = congested
        if not congested:
            self.wire.sent += self.wire.unsent
            self.wire.unsent = b""
        self.world.engine.now = self.world.now
        self.world.engine.congestion(self.connection, congested)

    def step(self) -> bool:
        """Hand bytes over in both directions. Tells whether there were any."""
        connection = self.connection
        if connection is None or self.wire.told:
            return False
        if self.wire.sent:
            self._read()
            return True
        if self.wire.closed:
            self.wire.told = True
            self.world.engine.connection_lost(connection)
            return True
        if self._outgoing and not self.wire.paused:
            data, self._outgoing = self._outgoing, b""
            self._reflect(data)
            self.world.engine.feed(connection, data)
            return True
        return False

    def _reflect(self, data: bytes) -> None:
        """Note whether the client itself says goodbye: then no reason is owed to it."""
        self._mirror.feed(data)
        try:
            packet = self._mirror.next()
            while packet is not None:
                self.goodbye = self.goodbye or isinstance(packet, Disconnect)
                packet = self._mirror.next()
        except ProtocolError:
            return

    def _read(self) -> None:
        if self._decoder is None:
            self._decoder = Decoder(False, self.connection.version or V311)
        self._decoder.feed(bytes(self.wire.sent))
        self.wire.sent.clear()
        try:
            packet = self._decoder.next()
            while packet is not None:
                assert not self.seen or not isinstance(self.seen[-1], Disconnect), f"{packet} after a DISCONNECT"
                self.seen.append(packet)
                self._react(packet)
                packet = self._decoder.next()
        except ProtocolError as error:
            raise AssertionError(f"the broker sent what no server may send: {error}") from error

    def _react(self, packet: Packet) -> None:
        if len(self.seen) == 1:
            assert isinstance(packet, (ConnAck, Disconnect)) or packet.type == 15, f"the broker began with {packet}"
        if not self.auto:
            return
        if isinstance(packet, Publish) and packet.qos:
            self._send_ack(PUBACK if packet.qos == 1 else PUBREC, packet.packet_id)
        elif isinstance(packet, Ack) and packet.type == PUBREL:
            self._send_ack(PUBCOMP, packet.packet_id)
        elif isinstance(packet, Ack) and packet.type == PUBREC and packet.reason < 0x80:
            self._send_ack(PUBREL, packet.packet_id)

    def _send_ack(self, kind: int, packet_id: int) -> None:
        self._outgoing += encode(Ack(kind, packet_id), self.connection.version)

    def check_end(self) -> None:
        """A client of MQTT 5 that was let in is told why the broker closes, whatever it did."""
        if self.wire.sent and self.connection is not None:
            self._read()
        if not self.wire.closed or self.connection is None or not self.seen or self.connection.version != V5:
            return
        first = self.seen[0]
        if not isinstance(first, ConnAck) or first.reason:
            return
        if 0 < self.connection.max_packet_size < 4 or self.goodbye:
            return
        assert isinstance(self.seen[-1], Disconnect), "the broker closed without a reason"

    def pongs(self) -> int:
        """How many pings were answered."""
        return sum(isinstance(packet, PingResp) for packet in self.seen)
