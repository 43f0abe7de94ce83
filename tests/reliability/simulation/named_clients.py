"""MQTT clients that take messages from a named queue, and put some in: what they are sent is seen at once."""

from random import Random
from typing import TYPE_CHECKING

from mombroker.core import Connection, Transport
from mombroker.mqtt import (
    Ack,
    ConnAck,
    Connect,
    Decoder,
    Packet,
    Properties,
    Publish,
    Subscribe,
    SubscribeFilter,
    Unsubscribe,
    encode,
)
from mombroker.mqtt.packet_types import PUBACK, V5

from .actors import Action
from .found import Found
from .named_copies import NEVER
from .named_oracle import Delivery

if TYPE_CHECKING:
    from .named_actors import Queues

FOREVER = 0xFFFFFFFF
NOBODY_WILL = 0x99
FAILED = 0x80


class Wire(Transport):
    """The broker's end of a connection."""

    def __init__(self, client: "Consumer") -> None:
        self.client = client
        self.closed = False
        self.paused = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.client.read(data)

    def buffered(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True
        self.client.closed()

    def abort(self) -> None:
        self.close()


class Consumer:
    """One client identifier, subscribed to one queue at a time. ``held``: packet identifiers and tokens."""

    def __init__(self, queues: "Queues", client_id: str, version: int) -> None:
        self.queues = queues
        self.client_id = client_id
        self.version = version
        self.lasting = version == V5 and queues.run.setup.random() < 0.4
        self.wire: Wire | None = None
        self.connection: Connection | None = None
        self.decoder = Decoder(False, version)
        self.accepted = False
        self.name = ""
        self.qos = 1
        self.instant = False
        self.held: dict[int, str] = {}
        self.sessions = 0
        self.deliveries = 0

    def actions(self) -> list[tuple[float, str, Action]]:
        """What it may do."""
        return [
            (0.7, f"{self.client_id} connects", self.connect),
            (0.3, f"{self.client_id} is cut", self.cut),
            (1.5, f"{self.client_id} acknowledges", self.acknowledge),
            (0.1, f"{self.client_id} unsubscribes", self.unsubscribe),
        ]

    # -- what it does

    def connect(self, rng: Random) -> None:
        """Connect and subscribe to a queue."""
        queues = self.queues
        if self.connection is not None and not self._is_over():
            if self.accepted and not self.name:
                self._subscribe(rng)
            return
        engine = queues.enter()
        self.wire = Wire(self)
        self.accepted = False
        self.held.clear()
        self.sessions += 1
        self.decoder = Decoder(False, self.version)
        self.connection = engine.open_connection(self.wire, "10.0.0.9", 9, "sim")
        given = Properties()
        if self.version == V5:
            given.receive_maximum = rng.choice((1, 3, 20))
            given.session_expiry = FOREVER if self.lasting else 0
        self._uses()
        self._send(Connect(self.client_id, self.version, not self.lasting, 0, "ann", None, None, given))
        self._subscribe(rng)

    def _is_over(self) -> bool:
        return self.wire is None or self.wire.closed

    def _subscribe(self, rng: Random) -> None:
        self.queues.enter()
        if not self.lasting or self.queues.oracle.place(self.name) is None:
            found = self.queues.queue(rng, dead=False)
            if found is None:
                return
            self.name = found[1].name
        self.qos = rng.choice((0, 1, 1, 1))
        self.instant = self.instant or self.qos == 0
        place = self.queues.oracle.place(self.name)
        if place is not None:
            place.hasty = place.hasty or self.qos == 0
        self._uses()
        self._send(Subscribe(1, [SubscribeFilter("$queue/" + self.name, self.qos)]))

    def _uses(self) -> None:
        place = self.queues.oracle.place(self.name)
        if place is not None:
            place.last_use = self.queues.world.now

    def _send(self, packet: Packet) -> None:
        connection = self.connection
        if connection is None or self._is_over():
            return
        self.queues.trace(f"{self.client_id} > {packet}")
        engine = self.queues.enter()
        engine.feed(connection, encode(packet, self.version))
        engine.wake()

    def cut(self, rng: Random) -> None:
        """The connection breaks."""
        if self.connection is None or self._is_over():
            return
        world = self.queues.world
        if self.instant or rng.random() < 0.7:
            world.end_turn()
        self.lose()

    def lose(self) -> None:
        """The broker learns that the connection is over."""
        connection, wire = self.connection, self.wire
        if connection is None or wire is None or wire.closed:
            return
        engine = self.queues.enter()
        wire.closed = True
        place = self.queues.oracle.place(self.name)
        if place is not None and self.queues.world.turn_wanted:
            place.unseen += 1
        self.closed()
        engine.connection_lost(connection)
        engine.wake()

    def closed(self) -> None:
        """The connection is over: what it had is for others."""
        self._uses()
        oracle = self.queues.oracle
        engine = self.queues.world.engine
        oracle.at(engine.now)
        for token in self.held.values():
            oracle.full = oracle.full or engine.barrier.refusing
            serial = oracle.given_back(token, 0.0)
            self.queues.tell(engine, serial, True)
            self.queues.tell(engine, serial, False)
        self.held.clear()

    def died(self) -> None:
        """The broker has died."""
        self.held.clear()
        if self.wire is not None:
            self.wire.closed = True
        self.connection = None
        self.accepted = False

    def leave(self) -> None:
        """Go, for good."""
        self.queues.world.end_turn()
        self.lose()

    def acknowledge(self, rng: Random) -> None:
        """Acknowledge some of what it has, or say that it could not be handled."""
        connection = self.connection
        if connection is None or self._is_over() or connection.blocked:
            return
        for packet_id in list(self.held)[: rng.choice((1, 2, 5))]:
            reason = rng.choice((0, 0, 0, FAILED, NOBODY_WILL)) if self.version == V5 else 0
            self._acknowledge_one(packet_id, reason, rng.choice((-1.0, 0.0, 3.0)))

    def _acknowledge_one(self, packet_id: int, reason: int, delay: float) -> None:
        queues = self.queues
        token = self.held.pop(packet_id)
        found = queues.oracle.hold_of(token)
        engine = queues.enter()
        given = None
        if reason == FAILED and delay >= 0.0:
            given = Properties()
            given.user.append(("mom-delay", str(delay)))
        if found is None:
            serial = queues.oracle.next()
        elif reason == 0:
            serial = queues.oracle.acked(token)
        elif reason == NOBODY_WILL:
            serial = queues.oracle.rejected(token)
        else:
            wait = delay if delay >= 0.0 else found[2].rules.retry_delay
            serial = queues.oracle.given_back(token, wait)
        self._send(Ack(PUBACK, packet_id, reason, given))
        queues.tell(engine, serial, True)
        if reason:
            queues.tell(engine, serial, False)

    def unsubscribe(self, rng: Random) -> None:
        """Take no more; what it has it keeps until it is done with it."""
        if self.accepted and self.name and not self._is_over():
            self._uses()
            self.queues.world.end_turn()
            self._send(Unsubscribe(2, ["$queue/" + self.name]))
            self.name = ""

    # -- what comes

    def read(self, data: bytes) -> None:
        """Bytes of the broker."""
        self.decoder.feed(data)
        packet = self.decoder.next()
        while packet is not None:
            if isinstance(packet, ConnAck):
                self.accepted = packet.reason == 0
            elif isinstance(packet, Publish):
                self._take(packet)
            packet = self.decoder.next()

    def _take(self, packet: Publish) -> None:
        queues = self.queues
        engine = queues.world.engine
        oracle = queues.oracle
        oracle.at(engine.now)
        name, count = self.name, 0
        if self.version == V5 and packet.properties is not None:
            user = dict(packet.properties.user)
            name = user.get("mom-queue", name)
            count = int(user.get("mom-deliveries", "1"))
        place = oracle.place(name)
        if place is None:
            raise Found(f"{self.client_id} is sent a message of {name}, which is not there")
        self.deliveries += 1
        token = f"{self.client_id}/{self.sessions}/{self.deliveries}"
        number = int(packet.payload().split(b"|", 2)[1])
        instant = packet.qos == 0
        deadline = -1.0 if instant else NEVER
        queues.trace(f"{self.client_id} gets {number} of {name}, {count}")
        oracle.delivered(place, Delivery(number, name, token, "client:" + self.client_id, deadline, count, True))
        if instant:
            queues.tell(engine, oracle.acked(token), True)
        else:
            self.held[packet.packet_id] = token
