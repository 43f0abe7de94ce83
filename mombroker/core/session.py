"""A session: what the broker knows of a client across its connections, and how its queue reaches it.

Packet identifiers towards the client follow from positions: a message at position ``p`` of the session's own queue is
sent as ``1 + p % 65535``, always. So a message that is sent again, after a reconnect or a crash, carries its original
identifier (MQTT-4.4.0-1) although no identifier was ever written. Messages leased from a shared queue take free
identifiers from the top, and those of QoS 2 are on disk before they are sent.
"""

from typing import TYPE_CHECKING, Final, cast

from mombroker.core.connection import OPEN, Connection
from mombroker.core.delivery import fits, frame_for, is_expired, send_qos0
from mombroker.core.queue import LEASED, NO_MESSAGE, RELEASED, SENT, Consumer, Queue, Ref, Source, released_ref
from mombroker.core.records import InflightRecord
from mombroker.model.identity import Identity
from mombroker.model.message import Message
from mombroker.model.queues import Overflow
from mombroker.model.reasons import PACKET_IDENTIFIER_NOT_FOUND, PROTOCOL_ERROR
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import PUBREL, V5
from mombroker.mqtt.properties import Properties

if TYPE_CHECKING:
    from mombroker.core.bindings import Binding
    from mombroker.core.engine import Engine
    from mombroker.core.wills import PendingWill

PACKET_IDS: Final = 65535
NEVER: Final = 0xFFFFFFFF


class Session(Consumer):
    """``durable`` sessions outlive their connection; their state survives a restart. Times are Unix seconds.

    ``inbound`` has the identifiers of QoS 2 publishes that are not released yet, and the unit each was taken in.
    """

    __slots__ = (
        "engine",
        "client_id",
        "identity",
        "version",
        "queue",
        "connection",
        "durable",
        "ended",
        "expiry",
        "disconnected_at",
        "subscriptions",
        "groups",
        "inbound",
        "inflight",
        "withheld",
        "last_shared_id",
        "will",
        "touched",
        "receive_rights",
    )

    def __init__(self, engine: "Engine", client_id: str, identity: Identity, version: int, durable: bool) -> None:
        self.engine: Engine = engine
        self.client_id: str = client_id
        self.identity: Identity = identity
        self.version: int = version
        self.queue: Queue = engine.new_session_queue(self, durable)
        self.connection: Connection | None = None
        self.durable: bool = durable
        self.ended: bool = False
        self.expiry: int = 0
        self.disconnected_at: float = 0.0
        self.subscriptions: dict[str, Binding] = {}
        self.groups: list[Source] | None = None
        self.inbound: dict[int, int] | None = None
        self.inflight: dict[int, Ref] = {}
        self.withheld: list[Ref] | None = None
        self.last_shared_id: int = 0
        self.will: PendingWill | None = None
        self.touched: int = 0
        self.receive_rights: dict[str, tuple[bool, float]] | None = None

    def has_credit(self) -> bool:
        """Whether a QoS 1 or 2 message may be sent now."""
        connection = self.connection
        return connection is not None and connection.takes_deliveries() and len(self.inflight) < connection.window

    def offer(self, message: Message, qos: int, retain: bool, subscription_ids: bytes, after: int) -> None:
        """Append a message to the session's queue and send it if it is next in line and credit allows."""
        queue = self.queue
        ref = queue.append(self.engine.barrier, message, qos, retain, subscription_ids, after)
        if ref is None:
            if queue.loading or not queue.attached:
                return
            self.pump(queue)
            return
        if qos == 0:
            queue.push(ref)
            self.pump(queue)
            return
        if after > self.engine.barrier.committed or not self.has_credit():
            queue.push(ref)
            if after > self.engine.barrier.committed:
                self.engine.barrier.pump_later(queue)
            return
        packet_id = 1 + ref.position % PACKET_IDS
        if packet_id in self.inflight:
            queue.push(ref)
            return
        self.send(ref, packet_id)

    def pump(self, queue: Queue) -> None:
        """Send what is ready in the session's own queue, as far as credit goes."""
        barrier = self.engine.barrier
        while True:
            ref = queue.front()
            if ref is None:
                if queue.may_load(barrier.committed) and (queue.attached or queue.wants_oldest()):
                    self.engine.load(queue)
                return
            if queue.over_limit() and queue.policy.overflow is Overflow.DROP_OLDEST:
                queue.pop_front()
                self.engine.drop_ref(ref, "overflow")
                continue
            connection = self.connection
            if connection is None or not connection.takes_deliveries():
                return
            if ref.after > barrier.committed:
                barrier.pump_later(queue)
                return
            if ref.qos == 0:
                queue.pop_front()
                self.send_queued_qos0(connection, ref)
                continue
            packet_id = 1 + ref.position % PACKET_IDS
            if len(self.inflight) >= connection.window or packet_id in self.inflight:
                return
            queue.pop_front()
            self.send(ref, packet_id)

    def pump_groups(self) -> None:
        """Let the shared subscriptions and named queues that the session takes from hand out what they can."""
        if self.groups is not None:
            for group in self.groups:
                group.pump(group.queue)

    def pump_all(self) -> None:
        """Send on from every queue that reaches this client."""
        self.pump(self.queue)
        self.pump_groups()

    def send_queued_qos0(self, connection: Connection, ref: Ref) -> None:
        """Send a message that leaves its queue at once, since no acknowledgement will come."""
        now = self.engine.now
        ref.queue.settle(self.engine.barrier, ref)
        if is_expired(ref.message, ref.queue.policy.message_ttl, now):
            self.engine.dropped(ref.queue.spec.name, ref.message.topic, "expired", 1)
            return
        send_qos0(self, connection, ref.message, ref.retain, ref.subscription_ids, now)

    def send(self, ref: Ref, packet_id: int) -> None:
        """Send a QoS 1 or 2 message under this packet identifier and keep it in flight."""
        connection = self.connection
        engine = self.engine
        if connection is None:
            return
        message = ref.message
        now = engine.now
        queue = ref.queue
        # Once it may have been sent at QoS 2 its delivery must be completed (MQTT-4.3.3-7): the client keeps the
        # identifier, and would take another message under it for this one.
        begun = ref.qos == 2 and ref.dup
        if not begun and is_expired(message, queue.policy.message_ttl, now):
            engine.drop_ref(ref, "expired")
            return
        if engine.hooks.sees_deliver:
            changed = engine.hooks.on_deliver(message, self.identity)
            if changed is None:
                engine.drop_ref(ref, "refused-by-hook")
                return
            message = changed
        frame = frame_for(connection, message, ref.qos, ref.retain, ref.dup, packet_id, ref.subscription_ids, now)
        if connection.max_packet_size and not fits(connection, frame):
            engine.drop_ref(ref, "too-large")
            return
        ref.packet_id = packet_id
        ref.state = SENT
        self.inflight[packet_id] = ref
        if ref.position >= queue.sent_to:
            queue.sent_to = ref.position + 1
        connection.send(frame)
        statistics = engine.statistics
        statistics.publishes_sent += 1
        statistics.publish_bytes_sent += len(message.payload)

    def lease(self, ref: Ref) -> None:
        """Take a message from a shared queue; one of QoS 2 is sent once the lease is on disk."""
        packet_id = self._free_id()
        if ref.qos == 2 and self.durable:
            ref.packet_id = packet_id
            ref.state = LEASED
            self.inflight[packet_id] = ref
            barrier = self.engine.barrier
            barrier.touch_session(self)
            if barrier.lazy:
                self.send_leased(ref)
            else:
                barrier.send_after_commit(self, ref)
        else:
            self.send(ref, packet_id)

    def send_leased(self, ref: Ref) -> None:
        """The lease is on disk: send, unless the client has gone, or the lease has ended, meanwhile."""
        connection = self.connection
        packet_id = ref.packet_id
        if connection is None or connection.state != OPEN or self.inflight.get(packet_id) is not ref:
            return
        if ref.state == LEASED:
            del self.inflight[packet_id]
            self.send(ref, packet_id)
            if packet_id not in self.inflight:
                self._touch_lease(ref)
                self.credit_returned(ref)

    def _free_id(self) -> int:
        packet_id = self.last_shared_id
        while True:
            packet_id = packet_id - 1 if packet_id > 1 else PACKET_IDS
            if packet_id not in self.inflight:
                self.last_shared_id = packet_id
                return packet_id

    def acknowledged(self, packet_id: int, reason: int, properties: Properties | None) -> None:
        """PUBACK: the message is done with, whatever the reason says; a named queue may take it back."""
        ref = self.inflight.get(packet_id)
        if ref is None:
            return
        if ref.qos != 1:
            raise ProtocolError(PROTOCOL_ERROR, f"PUBACK for packet id {packet_id}, which was not sent at QoS 1")
        del self.inflight[packet_id]
        if ref.queue is self.queue:
            ref.queue.settle(self.engine.barrier, ref)
        else:
            cast(Source, ref.queue.consumer).acknowledged(ref, reason, properties)
        self.credit_returned(ref)

    def credit_returned(self, ref: Ref) -> None:
        """One message less is in flight: send the next ones."""
        if self.withheld is not None:
            self._send_withheld()
        queue = self.queue
        if queue.ready_head < len(queue.ready) or queue.loaded_to < queue.next_position:
            self.pump(queue)
        self.pump_groups()

    def received(self, connection: Connection, packet_id: int, reason: int) -> None:
        """PUBREC: the client has the message; release its identifier once that is on disk (MQTT-4.3.3-8, -9)."""
        barrier = self.engine.barrier
        ref = self.inflight.get(packet_id)
        if ref is None:
            if reason < 0x80:
                code = PACKET_IDENTIFIER_NOT_FOUND if connection.version == V5 else 0
                barrier.ack(connection, PUBREL, packet_id, code, False)
            return
        if ref.qos != 2:
            raise ProtocolError(PROTOCOL_ERROR, f"PUBREC for packet id {packet_id}, which was not sent at QoS 2")
        if ref.state != RELEASED:
            ref.queue.settle(barrier, ref)
            if reason >= 0x80:
                del self.inflight[packet_id]
                self._touch_lease(ref)
                self.credit_returned(ref)
                return
            del self.inflight[packet_id]  # to the end: releases are repeated in the order of the PUBRECs (MQTT-4.6.0-4)
            self.inflight[packet_id] = released_ref(ref.queue, ref.position, packet_id)
            if self.durable:
                barrier.touch_session(self)
        barrier.ack(connection, PUBREL, packet_id, 0, self.durable)

    def let_go(self, ref: Ref) -> None:
        """A leased message is gone. The client may have it, and keeps the identifier until that is released."""
        self.inflight[ref.packet_id] = released_ref(ref.queue, ref.position, ref.packet_id)
        barrier = self.engine.barrier
        barrier.touch_session(self)
        if self.connection is not None:
            barrier.ack(self.connection, PUBREL, ref.packet_id, 0, self.durable)

    def _touch_lease(self, ref: Ref) -> None:
        if self.durable and ref.queue is not self.queue:
            self.engine.barrier.touch_session(self)

    def completed(self, packet_id: int) -> None:
        """PUBCOMP: the identifier is free again."""
        ref = self.inflight.get(packet_id)
        if ref is None:
            return
        if ref.state != RELEASED:
            raise ProtocolError(PROTOCOL_ERROR, f"PUBCOMP for packet id {packet_id}, which was not released")
        del self.inflight[packet_id]
        if self.durable:
            self.engine.barrier.touch_session(self)
        self.credit_returned(ref)

    def holds(self, queue: Queue, position: int) -> Ref | None:
        """The message of ``queue`` in flight at ``position``."""
        for ref in self.inflight.values():
            if ref.position == position and ref.queue is queue and ref.state != RELEASED:
                return ref
        return None

    def leased_positions(self, queue: Queue) -> set[int] | None:
        """None: of its own queue, a session never reads again what is in flight."""
        return None

    def detach(self) -> None:
        """The connection is gone: forget what the store can give back; return shared QoS 1 messages to their groups.

        A QoS 2 message from a shared queue stays leased to this session (MQTT-4.8.2-5).
        """
        kept: dict[int, Ref] = {}
        returned: list[Ref] = []
        for packet_id, ref in self.inflight.items():
            if ref.state == RELEASED:
                kept[packet_id] = ref
            elif ref.queue is self.queue:
                if not ref.stored:
                    self.queue.settle(self.engine.barrier, ref)
            else:
                if ref.qos == 2 and (self.durable or ref.state == SENT):
                    ref.dup = ref.dup or ref.state == SENT
                    ref.state = LEASED
                    kept[packet_id] = ref
                else:
                    returned.append(ref)
        self.inflight = kept
        self.withheld = None
        self.connection = None
        self.queue.rewind(self.engine.barrier)
        for ref in returned:
            cast(Source, ref.queue.consumer).returned(ref)
        for queue in {ref.queue.id: ref.queue for ref in returned}.values():
            queue.consumer.pump(queue)
        self.pump_groups()

    def give_up_leases(self) -> None:
        """The session is over: what it was sent of QoS 2 goes to nobody else (MQTT-4.8.2-5), the rest to the others."""
        for ref in self.inflight.values():
            queue = ref.queue
            if queue is self.queue or ref.state == RELEASED or queue.deleted:
                continue
            if ref.dup:
                queue.consumer.settled(self.engine.barrier, ref)
            else:
                cast(Source, queue.consumer).returned(ref)
            queue.consumer.pump(queue)
        self.inflight = {}

    def attach(self, connection: Connection) -> None:
        """A connection is open: release and resend what was in flight, in order, then go on with the queue."""
        self.connection = connection
        self.queue.attached = True
        if self.inflight:
            self.withheld = []
            for packet_id, ref in self.inflight.items():
                if ref.state == RELEASED:
                    connection.send_ack(PUBREL << 24 | packet_id)
                else:
                    self.withheld.append(ref)
            self._send_withheld()
        self.pump_all()

    def _send_withheld(self) -> None:
        """Send again what was leased before this connection, as far as its window goes (MQTT-3.3.4-9)."""
        connection = self.connection
        while connection is not None and self.withheld is not None:
            if not self.withheld:
                self.withheld = None
            elif len(self.inflight) - len(self.withheld) >= connection.window:
                return
            else:
                ref = self.withheld.pop(0)
                if ref.message is NO_MESSAGE:
                    self.engine.load_lease(self, ref)
                else:
                    self.send_leased(ref)

    def inflight_record(self) -> bytes:
        """What must survive of the packets in flight (see :class:`InflightRecord`)."""
        released: list[int] = []
        leases: list[tuple[int, bool, int, int]] = []
        for packet_id, ref in self.inflight.items():
            if ref.queue is not self.queue and ref.qos == 2:
                leases.append((packet_id, ref.state == RELEASED, ref.queue.id, ref.position))
            elif ref.state == RELEASED:
                released.append(packet_id)
        return InflightRecord(list(self.inbound or ()), released, leases).encode()
