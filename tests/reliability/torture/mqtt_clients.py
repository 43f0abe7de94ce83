"""Clients that publish and receive through a broker that is maltreated, and keep honest books.

A publisher sends what was not acknowledged again, with DUP, and counts a message as acknowledged at its PUBACK or
PUBREC. A subscriber remembers the identifiers of QoS 2 messages that it has taken and whose PUBREL has not come, over
all its connections and, by its journal, over its own death.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from mombroker.model.reasons import (
    PACKET_IDENTIFIER_NOT_FOUND,
    QUOTA_EXCEEDED,
    SERVER_SHUTTING_DOWN,
    SESSION_TAKEN_OVER,
    SUCCESS,
)
from mombroker.mqtt import V5, Ack, Disconnect, Packet, PingReq, PingResp, Publish, SubAck, Subscribe, SubscribeFilter
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL
from tests.broker.client import Client
from tests.reliability.torture.journals import Inbox, Journal, Outbox, Sent

WINDOW = 40
OWN_LOSS = 0.0005
"""How likely a client is to break its own connection at each packet."""
IDLE = 240.0
"""Seconds that nothing may come for a client."""
FOR_EVER = 0xFFFFFFFF


class Peer:
    """A client with a session that it expects the broker to keep."""

    def __init__(self, name: str, version: int, port: int, random: Random) -> None:
        self.name = name
        self.version = version
        self.port = port
        self.random = random
        self.connections = 0
        self.finished = False

    async def run(self) -> None:
        """Connect, and connect again, until it is finished."""
        while not self.finished:
            await self.try_once()

    async def try_once(self) -> None:
        """One connection, if there is anybody to connect to."""
        try:
            await self.connect_once()
        except (ConnectionError, EOFError):
            await asyncio.sleep(0.001)  # others have work too, if whoever listens closes at once

    async def connect_once(self) -> None:
        """One connection from its beginning to its end."""
        async with await Client.open(self.port, self.version) as client:
            given: dict[str, Any] = {"session_expiry": FOR_EVER} if self.version == V5 else {}
            connack = await client.connect(self.name, clean_start=False, **given)
            assert connack.reason == 0, f"{self.name} was refused: {connack}"
            if self.known():
                assert connack.session_present, f"the session of {self.name} is lost"
            else:
                self.note("known")
            self.connections += 1
            await self.talk(client)

    def known(self) -> bool:
        """Whether the broker has promised to keep its session."""
        raise NotImplementedError

    def note(self, line: str) -> None:
        """Write into its journal."""
        raise NotImplementedError

    async def talk(self, client: Client) -> None:
        """What it does while it is connected."""
        raise NotImplementedError

    def breaks_off(self) -> bool:
        """Whether it loses its connection now, by itself."""
        return self.random.random() < OWN_LOSS


async def received(client: Client) -> Packet:
    """The next packet. Raises EOFError for the end, in order or not."""
    packet = await client.receive(IDLE)
    if isinstance(packet, Disconnect):
        assert packet.reason in (SERVER_SHUTTING_DOWN, SESSION_TAKEN_OVER), f"dismissed: {packet}"
        raise EOFError("the broker has said goodbye")
    return packet


def payload_of(name: str, qos: int, number: int) -> bytes:
    """A publisher's message. Small ones are stored with their reference, larger ones once for all queues."""
    filling = b"x" * (8000 if number % 101 == 0 else 300 if number % 3 == 0 else 0)
    return b"%s %d %d %s" % (name.encode(), qos, number, filling)


class Publisher(Peer):
    """Publishes QoS 0, 1 and 2 as fast as its window lets it. ``acknowledged`` is called for each that is."""

    def __init__(
        self,
        name: str,
        version: int,
        port: int,
        random: Random,
        journal: Path,
        acknowledged: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name, version, port, random)
        self.outbox = Outbox(name)
        self.stopping = False
        self._journal = Journal(journal, self.outbox)
        self._acknowledged = acknowledged
        self._last_id = max(self.outbox.in_flight, default=0)

    def known(self) -> bool:
        """Whether the broker has promised to keep its session."""
        return self.outbox.known

    def note(self, line: str) -> None:
        """Write into its journal."""
        self._journal.note(line)

    async def talk(self, client: Client) -> None:
        """Repeat what is not finished, in its order; then go on."""
        for packet_id, sent in self.outbox.in_flight.items():
            if sent.released:
                sent.repeated = True
                client.send(Ack(PUBREL, packet_id))
            else:
                client.send(self._packet(packet_id, sent.key[1], sent.number, True))
        while True:
            while len(self.outbox.in_flight) < WINDOW and not self.stopping:
                self._publish(client)
            if not self.outbox.in_flight:
                self.finished = True
                return
            await self._answered(client, await received(client))
            if self.breaks_off():
                return

    def _publish(self, client: Client) -> None:
        qos = self.random.choice((0, 1, 1, 2, 2))
        number = self.outbox.next[qos]
        packet_id = self._free_id() if qos else 0
        self.note(f"sent {packet_id} {qos} {number}")
        client.send(self._packet(packet_id, qos, number, False))

    def _free_id(self) -> int:
        self._last_id = self._last_id % 65_535 + 1
        while self._last_id in self.outbox.in_flight:
            self._last_id = self._last_id % 65_535 + 1
        return self._last_id

    def _packet(self, packet_id: int, qos: int, number: int, again: bool) -> Publish:
        payload = payload_of(self.name, qos, number)
        return Publish.create(f"t/{self.name}", payload, qos, False, again, packet_id)

    async def _answered(self, client: Client, packet: Packet) -> None:
        assert isinstance(packet, Ack), f"{self.name} got {packet}"
        sent = self.outbox.in_flight.get(packet.packet_id)
        assert sent is not None, f"{self.name} got {packet} for nothing"
        qos = sent.key[1]
        if packet.type == (PUBACK if qos == 1 else PUBREC):
            assert not sent.released, f"{self.name} got a second {packet}"
            if packet.reason == QUOTA_EXCEEDED:
                self.note(f"refused {packet.packet_id}")
                # Nothing new at once, or it would do nothing else while the disk is full.
                await asyncio.sleep(0.01)
                return
            assert packet.reason == SUCCESS, f"{self.name}: {sent} was refused: {packet}"
            self.note(f"acked {packet.packet_id}")
            if self._acknowledged is not None:
                self._acknowledged()
            if qos == 2:
                client.send(Ack(PUBREL, packet.packet_id))
        else:
            assert packet.type == PUBCOMP and qos == 2 and sent.released, f"{self.name} got {packet} for {sent}"
            self._completed(packet, sent)

    def _completed(self, packet: Ack, sent: Sent) -> None:
        # A repeated PUBREL may be one too many: its PUBCOMP was lost with the connection.
        fine = (SUCCESS, PACKET_IDENTIFIER_NOT_FOUND) if sent.repeated else (SUCCESS,)
        assert packet.reason in fine, f"{self.name}: {sent} ended with {packet}"
        self.note(f"done {packet.packet_id}")


class Subscriber(Peer):
    """Takes whatever comes, and notes it before it acknowledges."""

    def __init__(
        self, name: str, version: int, port: int, random: Random, journal: Path, filter: str, alone: bool = True
    ) -> None:
        super().__init__(name, version, port, random)
        self.filter = filter
        self.inbox = Inbox(name, alone)
        self._journal = Journal(journal, self.inbox)

    def known(self) -> bool:
        """Whether the broker has promised to keep its session."""
        return self.inbox.known

    def note(self, line: str) -> None:
        """Write into its journal."""
        self._journal.note(line)

    async def subscribe(self) -> None:
        """Connect for the subscription only."""
        while not self.inbox.subscribed:
            await self.try_once()

    async def talk(self, client: Client) -> None:
        """Subscribe if that has not been answered yet, then take whatever comes."""
        if not self.inbox.subscribed:
            client.send(Subscribe(1, [SubscribeFilter(self.filter, 2)]))
            answer = await received(client)
            assert isinstance(answer, SubAck) and answer.reasons == [2], f"{self.name} got {answer}"
            self.note("subscribed")
            return
        client.send(PingReq())
        while not self.finished:
            self._take(client, await received(client))
            if self.breaks_off():
                return

    def _take(self, client: Client, packet: Packet) -> None:
        if isinstance(packet, Publish):
            self._take_publish(client, packet)
        elif isinstance(packet, Ack):
            assert packet.type == PUBREL, f"{self.name} got {packet}"
            self.note(f"released {packet.packet_id}")
            client.send(Ack(PUBCOMP, packet.packet_id))
        else:
            assert isinstance(packet, PingResp), f"{self.name} got {packet}"

    def _take_publish(self, client: Client, packet: Publish) -> None:
        payload = packet.payload()
        publisher, qos, number, _ = payload.decode().split(" ")
        assert payload == payload_of(publisher, int(qos), int(number)), f"{self.name} got {payload!r}"
        assert packet.qos == int(qos), f"{self.name} got {payload!r} with QoS {packet.qos}"
        packet_id = int(packet.packet_id)
        if packet.qos < 2:
            self.note(f"took 0 {publisher} {qos} {number}")
            if packet.qos:
                client.send(Ack(PUBACK, packet_id))
            return
        content = ((publisher, int(qos)), int(number))
        held = self.inbox.held.get(packet_id)
        if held is None:
            self.note(f"took {packet_id} {publisher} {qos} {number}")
        else:
            assert held == content, f"{self.name}: {content} came as {packet_id}, which is still {held}"
            assert packet.dup, f"{self.name}: {content} came again and not as a duplicate"
        client.send(Ack(PUBREC, packet_id))
