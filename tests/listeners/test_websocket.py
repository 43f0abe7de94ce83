"""MQTT over WebSocket: the handshake and its refusals, packets in any frames, real clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from mombroker.broker import Broker
from mombroker.mqtt import (
    V5,
    V311,
    Ack,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    encode,
)
from mombroker.mqtt.packet_types import PUBACK

from .conftest import Authority, Start

LISTEN = "ws://127.0.0.1:0"
SUBPROTOCOLS = [Subprotocol("mqtt")]


class Client:
    """Packets over a WebSocket."""

    def __init__(self, socket: ClientConnection, version: int = V5) -> None:
        self.socket = socket
        self.version = version
        self._decoder = Decoder(False, version)

    async def send(self, *packets: Packet) -> None:
        """Send packets in one frame."""
        await self.socket.send(b"".join(encode(packet, self.version) for packet in packets))

    async def expect(self, kind: type[Packet]) -> Any:
        """The next packet, which has to be of this kind."""
        packet = await self.next()
        assert isinstance(packet, kind), packet
        return packet

    async def next(self) -> Packet:
        """The next packet."""
        while (packet := self._decoder.next()) is None:
            async with asyncio.timeout(60):
                data = await self.socket.recv(decode=False)
            assert isinstance(data, bytes)
            self._decoder.feed(data)
        return packet


def publish(topic: str, payload: bytes, packet_id: int) -> Publish:
    """A message of QoS 1."""
    return Publish.create(topic, payload, 1, False, False, packet_id, None)


@asynccontextmanager
async def opened(broker: Broker, path: str = "/mqtt", **given: object) -> AsyncIterator[Client]:
    """A WebSocket to the broker."""
    given = {"subprotocols": SUBPROTOCOLS, "max_size": None, **given}
    async with connect(f"ws://127.0.0.1:{broker.port}{path}", **given) as socket:  # type: ignore[arg-type]
        yield Client(socket)


async def refused(broker: Broker, path: str = "/mqtt", **given: object) -> int:
    """The status with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(broker, path, **given):
            pass
    return caught.value.response.status_code


@pytest.mark.conforms("MQTT-6.0.0-3", "MQTT-6.0.0-4")
async def test_the_subprotocol_is_mqtt(start: Start):
    broker = await start(LISTEN)
    async with opened(broker, subprotocols=[Subprotocol("other"), Subprotocol("mqtt")]) as client:
        assert client.socket.subprotocol == "mqtt"
    async with opened(broker, subprotocols=[Subprotocol("mqttv3.1")]) as client:
        assert client.socket.subprotocol == "mqttv3.1"
    assert await refused(broker, subprotocols=[Subprotocol("other")]) == HTTPStatus.BAD_REQUEST
    assert await refused(broker, subprotocols=None) == HTTPStatus.BAD_REQUEST


async def test_packets_go_there_and_back(start: Start):
    broker = await start(LISTEN)
    async with opened(broker) as client:
        await client.send(Connect("web", V5), publish("t", b"kept", 1))
        assert (await client.expect(ConnAck)).reason == 0
        acked = await client.expect(Ack)
        assert (acked.type, acked.packet_id) == (PUBACK, 1)


@pytest.mark.conforms("MQTT-6.0.0-1")
async def test_text_is_no_mqtt(start: Start):
    broker = await start(LISTEN)
    async with opened(broker) as client:
        await client.send(Connect("web", V5))
        await client.expect(ConnAck)
        await client.socket.send("text")
        with pytest.raises(ConnectionClosed) as caught:
            await client.expect(Disconnect)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1003


async def test_mqtt_is_at_one_path_only(start: Start):
    broker = await start("ws://127.0.0.1:0/broker")
    assert await refused(broker) == HTTPStatus.NOT_FOUND
    async with opened(broker, "/broker?x=1") as client:
        await client.send(Connect("web", V5))
        await client.expect(ConnAck)


async def test_pages_of_another_origin_may_not_connect(start: Start):
    broker = await start(LISTEN, mqtt__origins=["https://app.example"])
    assert await refused(broker, origin=Origin("https://evil.example")) == HTTPStatus.FORBIDDEN
    assert await refused(broker, origin=Origin("https://app.example.evil.example")) == HTTPStatus.FORBIDDEN
    assert await refused(broker, origin=Origin("http://localhost")) == HTTPStatus.FORBIDDEN
    for origin in (Origin("https://app.example"), None):
        async with opened(broker, origin=origin) as client:
            await client.send(Connect("web", V5))
            await client.expect(ConnAck)


async def test_by_itself_a_broker_lets_in_pages_of_this_machine_only(start: Start):
    broker = await start(LISTEN)
    for origin in ("https://evil.example", "http://127.0.0.1.evil.example", "null"):
        assert await refused(broker, origin=Origin(origin)) == HTTPStatus.FORBIDDEN
    for origin in ("http://localhost:3000", "https://[::1]", "http://127.0.0.1:80"):
        async with opened(broker, origin=Origin(origin)):
            pass
    open_to_all = await start(LISTEN, mqtt__origins=["*"])
    async with opened(open_to_all, origin=Origin("https://any.example")):
        pass


async def test_a_browser_that_asks_for_a_page_is_told(start: Start):
    broker = await start(LISTEN)
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(60):
        assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
    writer.close()


async def test_what_is_no_http_is_dropped(start: Start):
    broker = await start(LISTEN)
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(encode(Connect("web", V311), V311) + b"\r\n\r\n")
    async with asyncio.timeout(60):
        assert b"\x20\x02" not in await reader.read()
    writer.close()


async def test_who_never_shakes_hands_is_dropped(start: Start):
    broker = await start(LISTEN, mqtt__connect_timeout=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(b"GET /mqtt HTTP/1.1\r\nHost: loc")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


async def test_the_reason_of_the_end_comes_before_the_end(start: Start):
    broker = await start(LISTEN)
    async with opened(broker) as client:
        await client.send(Connect("web", V5))
        await client.expect(ConnAck)
        await client.socket.send(b"\x36\x05\x00\x01t\x00\x01")
        assert (await client.expect(Disconnect)).reason == 0x81
        with pytest.raises(ConnectionClosed):
            await client.socket.recv()


async def test_a_large_message_comes_in_many_frames_and_goes_out(start: Start):
    broker = await start(LISTEN)
    payload = bytes(3_000_000)
    async with opened(broker) as client:
        await client.send(Connect("web", V5))
        await client.expect(ConnAck)
        await client.send(Subscribe(1, [SubscribeFilter("big", 0)]))
        await client.expect(SubAck)
        data = encode(publish("big", payload, 1), V5)
        await client.socket.send(data[i : i + 65_536] for i in range(0, len(data), 65_536))
        got = {type(packet): packet for packet in [await client.next(), await client.next()]}
        assert got[Ack].reason == 0
        assert got[Publish].payload() == payload


async def test_a_message_beyond_all_bounds_ends_the_connection(start: Start):
    broker = await start(LISTEN, mqtt__max_packet_size=1000)
    async with opened(broker) as client:
        await client.send(Connect("web", V5))
        await client.expect(ConnAck)
        with pytest.raises(ConnectionClosed) as caught:
            await client.socket.send(bytes(3 << 20))
            await client.socket.recv()
        assert caught.value.rcvd is None or caught.value.rcvd.code == 1009


@pytest.mark.conforms("MQTT-6.0.0-2")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_packets_may_be_cut_anywhere(cuts: list[int]):
    asyncio.run(in_pieces(cuts))


async def in_pieces(cuts: list[int]) -> None:
    """A CONNECT and two publishes arrive, wherever the frames begin and end."""
    data = encode(Connect("web", V5), V5)
    data += b"".join(encode(publish("t", bytes(50), number), V5) for number in (1, 2))
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    async with Broker(listen=[LISTEN], durability="memory") as broker, opened(broker) as client:
        for begin, end in pairwise(places):
            await client.socket.send(data[begin:end])
        await client.expect(ConnAck)
        assert [(await client.expect(Ack)).packet_id for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("encrypted", [False, True])
async def test_paho_goes_with_it(start: Start, authority: Authority, encrypted: bool):
    broker = await start("wss://127.0.0.1:0" if encrypted else LISTEN)
    loop = asyncio.get_running_loop()
    got: asyncio.Future[bytes] = loop.create_future()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, transport="websockets")
    if encrypted:
        client.tls_set_context(authority.trusting())
    client.on_connect = lambda *_: client.subscribe("t", 1)
    client.on_subscribe = lambda *_: client.publish("t", b"hello", 1)
    client.on_message = lambda _, __, message: loop.call_soon_threadsafe(got.set_result, message.payload)
    await asyncio.to_thread(client.connect, "127.0.0.1", broker.port)
    client.loop_start()
    try:
        async with asyncio.timeout(60):
            assert await got == b"hello"
    finally:
        await asyncio.to_thread(client.disconnect)
        await asyncio.to_thread(client.loop_stop)


async def test_a_broker_stops_though_web_sockets_are_open(start: Start):
    async with Broker(listen=[LISTEN], durability="memory") as broker:
        stack = [opened(broker) for _ in range(3)]
        clients = [await one.__aenter__() for one in stack]
        await clients[0].send(Connect("web", V5))
        await clients[0].expect(ConnAck)
    assert (await clients[0].expect(Disconnect)).reason == 0x8B
    for one in stack:
        await one.__aexit__(None, None, None)
