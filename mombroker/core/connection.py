"""One network connection: what is on its way out, and what holds up its way in."""

from typing import TYPE_CHECKING, Final

from mombroker.core.ports import Exchange, Transport
from mombroker.core.statistics import Statistics
from mombroker.model.identity import Identity, Refusal
from mombroker.model.message import Message
from mombroker.model.reasons import SUCCESS
from mombroker.mqtt.decoder import Decoder
from mombroker.mqtt.encoder import ack_frame, ack_frame_with_reason
from mombroker.mqtt.packet_types import PUBACK, PUBREC, V5
from mombroker.mqtt.packets import Connect, Packet

if TYPE_CHECKING:
    from mombroker.core.bindings import Binding
    from mombroker.core.engine import Engine
    from mombroker.core.router import Route
    from mombroker.core.session import Session

AWAITING_CONNECT: Final = 0
AUTHENTICATING: Final = 1
OPENING: Final = 2
OPEN: Final = 3
CLOSED: Final = 4

TURN_BYTES: Final = 1024 * 1024

LONGEST_DETAIL: Final = 500
ACK_BYTES: Final = 16
"""What an acknowledgement with a reason string takes besides the string, at the most."""


class Connection:
    """The state of a connection that its session does not share. ``blocked`` while packets must wait for an answer."""

    __slots__ = (
        "engine",
        "transport",
        "statistics",
        "decoder",
        "state",
        "blocked",
        "running",
        "paused",
        "congested",
        "starved",
        "late",
        "dirty",
        "version",
        "session",
        "identity",
        "identity_expires",
        "connect",
        "address",
        "port",
        "listener",
        "last_seen",
        "keep_alive",
        "out",
        "out_bytes",
        "backlog",
        "stalled",
        "held_up",
        "held_up_since",
        "acks",
        "acks_in",
        "max_packet_size",
        "window",
        "quota_used",
        "aliases_in",
        "aliases_out",
        "alias_out_maximum",
        "exchange",
        "reauthenticating",
        "details",
        "allowed",
        "asking",
        "held",
        "held_topic",
        "held_message",
        "holding_back",
        "refusal_logged",
        "publish_route",
        "publish_until",
        "will_fires",
        "client_id_assigned",
        "session_present",
        "auth_data",
    )

    def __init__(self, engine: "Engine", transport: Transport, address: str, port: int, listener: str) -> None:
        self.engine: Engine = engine
        self.transport: Transport = transport
        self.statistics: Statistics = engine.statistics
        self.decoder: Decoder = Decoder(True, 0, engine.limits.max_packet_size, False)
        self.state: int = AWAITING_CONNECT
        self.blocked: bool = False
        self.running: bool = False
        self.paused: bool = False
        self.congested: bool = False
        self.starved: bool = False
        self.late: list[tuple[Message, Binding]] | None = None
        self.dirty: bool = False
        self.version: int = 0
        self.session: Session | None = None
        self.identity: Identity | None = None
        self.identity_expires: float = 0.0
        self.connect: Connect | None = None
        self.address: str = address
        self.port: int = port
        self.listener: str = listener
        self.last_seen: float = engine.now
        self.keep_alive: int = 0
        self.out: list[bytes] = []
        self.out_bytes: int = 0
        self.backlog: int = 0
        self.stalled: bool = False
        self.held_up: list[Connection] | None = None
        self.held_up_since: float = 0.0
        self.acks: list[int] = []
        self.acks_in: int = 0
        self.max_packet_size: int = 0
        self.window: int = 0
        self.quota_used: int = 0
        self.aliases_in: dict[int, bytes] | None = None
        self.aliases_out: dict[str, int] | None = None
        self.alias_out_maximum: int = 0
        self.exchange: Exchange | None = None
        self.reauthenticating: bool = False
        self.details: dict[int, str] | None = None
        self.allowed: dict[tuple[str, str], tuple[bool, float]] | None = None
        self.asking: tuple[str, str] | None = None
        self.held: Packet | None = None
        self.held_topic: bytes = b""
        self.holding_back: int = 0
        self.refusal_logged: int = 0
        self.publish_route: Route | None = None
        self.publish_until: float = 0.0
        self.held_message: Message | Refusal | None = None
        self.will_fires: bool = True
        self.client_id_assigned: bool = False
        self.session_present: bool = False
        self.auth_data: bytes | None = None

    def client_id(self) -> str:
        """The client identifier, as far as it is known."""
        connect = self.connect
        return connect.client_id if connect is not None else ""

    def takes_deliveries(self) -> bool:
        """Whether messages that wait in queues may be sent now. Only so many bytes go out in one turn."""
        if self.state != OPEN or self.congested or self.holding_back:
            return False
        if self.out_bytes > TURN_BYTES:
            self.starved = True
            return False
        return True

    def send(self, data: bytes) -> None:
        """Put bytes on their way; they leave at the end of the loop turn."""
        self.out.append(data)
        self.out_bytes += len(data)
        if not self.dirty:
            self.dirty = True
            self.engine.flush_later(self)

    def has_space(self) -> bool:
        """Whether QoS 0 messages may still be added to what waits to be sent.

        When a quarter of the buffer is full, whoever publishes is held up for a moment, so that a reader that is
        merely slower than a burst loses nothing.
        """
        waiting = self.out_bytes + self.backlog
        limit = self.engine.limits.max_out_buffer
        if waiting * 4 > limit and not self.stalled:
            self.engine.sweep.hold_up_publisher(self)
        return waiting < limit

    def send_ack(self, code: int) -> None:
        """Send one acknowledgement, packed as type << 24 | reason << 16 | packet id."""
        packet_type = code >> 24
        reason = (code >> 16) & 0xFF
        packet_id = code & 0xFFFF
        if packet_type == PUBACK or packet_type == PUBREC and reason >= 0x80:
            self.quota_used -= 1
        if self.state == CLOSED:
            return
        if reason == SUCCESS or self.version != V5:
            self.send(ack_frame(packet_type, packet_id))
        else:
            why = self.details.pop(packet_id, None) if reason >= 0x80 and self.details is not None else None
            self.send(ack_frame_with_reason(packet_type, packet_id, reason, why))
        self.statistics.packets_sent += 1

    def explain(self, packet_id: int, detail: str) -> None:
        """Send a reason string along with the refusal of a publish, if the client wants any and there is room for it
        (MQTT-3.1.2-29, MQTT-3.4.2-2)."""
        asked = self.connect.properties if self.connect is not None else None
        if asked is not None and asked.request_problem_information == 0:
            return
        text = detail[:LONGEST_DETAIL]
        if self.max_packet_size and len(text.encode()) + ACK_BYTES > self.max_packet_size:
            return
        if self.details is None:
            self.details = {}
        self.details[packet_id] = text

    def flush(self) -> None:
        """Hand everything that was sent in this turn to the transport, in one write."""
        self.dirty = False
        if not self.out:
            return
        data = self.out[0] if len(self.out) == 1 else b"".join(self.out)
        self.statistics.bytes_sent += self.out_bytes
        self.out = []
        self.out_bytes = 0
        self.transport.write(data)
        if self.congested:
            self.backlog = self.transport.buffered()

    def pause(self) -> None:
        """Read nothing more from this client for now."""
        if not self.paused:
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read from this client again, unless something else holds it up."""
        if self.paused and not self.blocked and self.state != CLOSED:
            self.paused = False
            self.transport.resume_reading()

    def block(self) -> None:
        """Handle no further packet of this client until an answer has come."""
        self.blocked = True
        self.pause()

    def unblock(self) -> None:
        """The answer is there; the caller goes on with the packets."""
        self.blocked = False

    def opened(self) -> None:
        """The CONNACK is on its way: packets and deliveries may follow."""
        self.engine.connection_opened(self)
