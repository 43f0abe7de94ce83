"""An MQTT client over a real socket that does nothing by itself: tests say what it sends and see all that it gets."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

from mombroker.mqtt import (
    V5,
    Ack,
    ConnAck,
    Connect,
    Decoder,
    Packet,
    PingReq,
    PingResp,
    Properties,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    Will,
    encode,
)
from mombroker.mqtt.packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL

TIMEOUT = 60.0
"""Seconds for anything that has to happen; only a broken broker needs them."""

P = TypeVar("P", bound=Packet)


def properties(**values: object) -> Properties:
    """The properties with these values."""
    made = Properties()
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    """A connection to a broker. Close it, or use it as a context manager."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int) -> None:
        self.reader = reader
        self.writer = writer
        self.version = version
        self._decoder = Decoder(False, version)
        self._last_id = 0

    @staticmethod
    async def open(port: int, version: int = V5, limit: int = 1 << 16, host: str = "127.0.0.1") -> "Client":
        """Connect the socket and send nothing."""
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port, limit=limit)
        return Client(reader, writer, version)

    @staticmethod
    async def connected(
        port: int,
        client_id: str = "",
        version: int = V5,
        clean_start: bool = True,
        keep_alive: int = 0,
        username: str | None = None,
        password: bytes | None = None,
        will: Will | None = None,
        host: str = "127.0.0.1",
        **given: object,
    ) -> "Client":
        """A client that the broker has let in. ``given`` are properties of the CONNECT."""
        client = await Client.open(port, version, host=host)
        try:
            connack = await client.connect(
                client_id, clean_start, keep_alive, username=username, password=password, will=will, **given
            )
            assert connack.reason == 0, connack
        except BaseException:
            client.close()
            raise
        return client

    async def connect(
        self,
        client_id: str = "",
        clean_start: bool = True,
        keep_alive: int = 0,
        username: str | None = None,
        password: bytes | None = None,
        will: Will | None = None,
        **given: object,
    ) -> ConnAck:
        """Send a CONNECT and return the answer."""
        props = properties(**given) if given else None
        self.send(Connect(client_id, self.version, clean_start, keep_alive, username, password, will, props))
        return await self.expect(ConnAck)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection, without a DISCONNECT."""
        self.writer.transport.abort()

    def send(self, *packets: Packet) -> None:
        """Send packets in one piece, if there is still somebody to send them to."""
        if self.writer.transport.is_closing():
            return
        self.writer.write(b"".join(encode(packet, self.version) for packet in packets))

    def next_id(self) -> int:
        """The next packet identifier."""
        self._last_id = self._last_id % 65_535 + 1
        return self._last_id

    async def receive(self, timeout: float = TIMEOUT) -> Packet:
        """The next packet. Raises EOFError where the broker has shut the connection down, TimeoutError for silence."""
        packet = self._decoder.next()
        if packet is None:
            async with asyncio.timeout(timeout):
                while packet is None:
                    data = await self.reader.read(1 << 18)
                    if not data:
                        raise EOFError("the broker has closed the connection")
                    self._decoder.feed(data)
                    packet = self._decoder.next()
        return packet

    async def expect(self, kind: type[P], timeout: float = TIMEOUT) -> P:
        """The next packet, which has to be of this kind."""
        packet = await self.receive(timeout)
        assert isinstance(packet, kind), packet
        return packet

    async def expect_ack(self, kind: int, packet_id: int) -> Ack:
        """The next packet, which has to be this acknowledgement."""
        ack = await self.expect(Ack)
        assert (ack.type, ack.packet_id) == (kind, packet_id), ack
        return ack

    async def expect_eof(self, timeout: float = TIMEOUT) -> None:
        """Nothing more comes, and the connection is shut down in order, not reset."""
        try:
            packet = await self.receive(timeout)
        except EOFError:
            return
        raise AssertionError(f"the broker went on: {packet}")

    async def subscribe(self, *filters: str | SubscribeFilter, qos: int = 0) -> SubAck:
        """Subscribe and return the answer."""
        entries = [entry if isinstance(entry, SubscribeFilter) else SubscribeFilter(entry, qos) for entry in filters]
        packet_id = self.next_id()
        self.send(Subscribe(packet_id, entries))
        suback = await self.expect(SubAck)
        assert suback.packet_id == packet_id
        return suback

    async def publish(
        self, topic: str, payload: bytes = b"", qos: int = 0, retain: bool = False, **given: object
    ) -> int:
        """Publish, and go through the whole acknowledgement. The reason code, of the PUBREC if that one refuses."""
        packet_id = self.next_id() if qos else 0
        props = properties(**given) if given else None
        self.send(Publish.create(topic, payload, qos, retain, False, packet_id, props))
        if not qos:
            return 0
        ack = await self.expect_ack(PUBACK if qos == 1 else PUBREC, packet_id)
        if qos == 2 and ack.reason < 0x80:
            self.send(Ack(PUBREL, packet_id))
            ack = await self.expect_ack(PUBCOMP, packet_id)
        return int(ack.reason)

    async def message(self, timeout: float = TIMEOUT) -> Publish:
        """The next PUBLISH, which is acknowledged (QoS 2 through to its end)."""
        publish = await self.expect(Publish, timeout)
        if publish.qos == 1:
            self.send(Ack(PUBACK, publish.packet_id))
        elif publish.qos == 2:
            self.send(Ack(PUBREC, publish.packet_id))
            await self.expect_ack(PUBREL, publish.packet_id)
            self.send(Ack(PUBCOMP, publish.packet_id))
        return publish

    async def messages(self, count: int) -> Sequence[bytes]:
        """The payloads of the next messages, which may overlap; all are acknowledged through to the end."""
        payloads: list[bytes] = []
        unfinished: set[int] = set()
        while len(payloads) < count or unfinished:
            packet = await self.receive()
            if isinstance(packet, Publish):
                payloads.append(packet.payload())
                if packet.qos:
                    self.send(Ack(PUBACK if packet.qos == 1 else PUBREC, packet.packet_id))
                if packet.qos == 2:
                    unfinished.add(packet.packet_id)
            else:
                assert isinstance(packet, Ack) and packet.type == PUBREL, packet
                unfinished.remove(packet.packet_id)
                self.send(Ack(PUBCOMP, packet.packet_id))
        return payloads

    async def ping(self) -> None:
        """A round trip: what was sent before has been handled. Fails if anything but the answer comes."""
        self.send(PingReq())
        await self.expect(PingResp)
