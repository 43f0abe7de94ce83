"""What only real sockets show: closes that linger, bytes in any portions, large packets, many connections."""

import asyncio
import contextlib
import socket
import struct
import time

import pytest

from mombroker.mqtt import (
    V5,
    V31,
    V311,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    encode,
)
from mombroker.wiring.settings import load_settings

from .client import TIMEOUT, Client

BAD = {
    "reserved flags": (b"\x83\x00", 0x81),
    "QoS 3": (b"\x36\x05\x00\x01t\x00\x01", 0x81),
    "a length of five bytes": (b"\x30\xff\xff\xff\xff\x01", 0x81),
    "packet identifier 0": (b"\x32\x06\x00\x01t\x00\x00\x00", 0x82),
    "a wildcard in a topic name": (b"\x30\x05\x00\x02t#\x00", 0x90),
    "a second CONNECT": (encode(Connect("again", V5), V5), 0x82),
    "a packet that only a server sends": (b"\x20\x03\x00\x00\x00", 0x82),
    "ill-formed UTF-8": (b"\x30\x05\x00\x02\xc3\x28\x00", 0x81),
    "an unknown topic alias": (b"\x30\x06\x00\x00\x03\x23\x00\x07", 0x82),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.conforms("MQTT-4.13.1-1", "MQTT-4.13.2-1")
async def test_bad_input_is_answered_with_its_reason_and_then_the_end(broker, name):
    sent, reason = BAD[name]
    async with await Client.connected(broker.port, "bad") as client, await Client.connected(broker.port) as other:
        client.writer.write(sent)
        assert (await client.expect(Disconnect)).reason == reason
        await client.expect_eof()
        await other.ping()


async def test_a_client_that_keeps_sending_still_gets_the_reason(broker):
    for _ in range(5):
        async with await Client.connected(broker.port) as client:
            # Far more than the sockets' buffers hold: bytes that arrive after the close would reset it.
            client.writer.write(b"\x36\x05\x00\x01t\x00\x01" + b"\x00" * 4_000_000)
            assert (await client.expect(Disconnect)).reason == 0x81
            await client.expect_eof()


async def test_a_client_that_never_closes_its_side_is_dropped_after_a_moment(broker):
    async with await Client.connected(broker.port) as client:
        client.writer.write(b"\x83\x00")
        await client.expect(Disconnect)
        await client.expect_eof()
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(ConnectionError):
                while True:
                    client.writer.write(b"\x00" * 1000)
                    await client.writer.drain()
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("version", [V31, V311])
@pytest.mark.conforms("MQTT3-4.8.0-1")
async def test_mqtt_3_has_no_reasons_only_an_end(broker, version):
    async with await Client.connected(broker.port, "bad", version) as client:
        client.writer.write(b"\x83\x00" + b"\x00" * 1_000_000)
        await client.expect_eof()


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b"\xc0\x00", b"\x16\x03\x01\x02\x00\x01"])
@pytest.mark.conforms("MQTT-3.1.0-1")
async def test_what_is_not_mqtt_is_closed_without_a_word(broker, first):
    async with await Client.open(broker.port) as client:
        client.writer.write(first)
        await client.expect_eof()


@pytest.mark.parametrize("version", [V31, V311, V5])
async def test_every_packet_may_come_one_byte_at_a_time(broker, version):
    async with await Client.open(broker.port, version) as client:
        stream = [
            Connect("slow", version),
            Subscribe(1, [SubscribeFilter("t", 1)]),
            Publish.create("t", b"hello" * 40, 1, packet_id=2),
            PingReq(),
        ]
        for byte in b"".join(encode(packet, version) for packet in stream):
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        kinds = [type(await client.receive()).__name__ for _ in range(5)]
        assert sorted(kinds) == ["Ack", "ConnAck", "PingResp", "Publish", "SubAck"]
        assert kinds[:2] == ["ConnAck", "SubAck"]


async def test_a_whole_conversation_may_come_in_one_piece(broker):
    async with await Client.open(broker.port) as client:
        client.send(
            Connect("hasty", V5),
            Subscribe(1, [SubscribeFilter("t", 0)]),
            *[Publish.create("t", b"%d" % number, 0) for number in range(1000)],
            Disconnect(),
        )
        await client.expect(ConnAck)
        await client.expect(SubAck)
        assert [(await client.expect(Publish)).payload() for _ in range(1000)] == [b"%d" % n for n in range(1000)]
        await client.expect_eof()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_five_mebibytes_arrive_as_they_were_sent(start, tmp_path, qos):
    broker = await start(storage__durability="fsync", storage__data=str(tmp_path))
    payload = bytes(range(256)) * (5 << 12)
    assert len(payload) == 5 << 20
    async with (
        await Client.connected(broker.port, "awake", session_expiry=100) as awake,
        await Client.connected(broker.port) as publisher,
    ):
        await awake.subscribe("t", qos=2)
        assert await publisher.publish("t", payload, qos) == 0
        assert (await awake.message()).payload() == payload
        if qos:
            awake.close()
            assert await publisher.publish("t", payload, qos) == 0
            async with await Client.open(broker.port) as back:
                await back.connect("awake", clean_start=False, session_expiry=100)
                assert (await back.message()).payload() == payload


async def test_a_packet_over_the_limit_is_refused_before_it_has_arrived(start):
    broker = await start(mqtt__max_packet_size=1000)
    async with await Client.connected(broker.port) as client:
        client.writer.write(b"\x30\xff\xff\x7f\x00\x01t")
        assert (await client.expect(Disconnect)).reason == 0x95
        await client.expect_eof()


async def test_a_client_that_sends_no_connect_is_closed_in_time(start):
    broker = await start(mqtt__connect_timeout=0.3)
    began = time.monotonic()
    async with await Client.open(broker.port) as silent, await Client.open(broker.port) as slow:
        slow.writer.write(encode(Connect("slow", V5), V5)[:-1])
        await silent.expect_eof()
        assert time.monotonic() - began > 0.25
        await slow.expect_eof()
    # On a busy machine nobody might be in time for that deadline.
    broker.reload(load_settings(overrides={"mqtt.listen": broker.settings.mqtt.listen}))
    async with await Client.connected(broker.port) as client:
        await client.ping()


@pytest.mark.conforms("MQTT-3.1.2-22")
async def test_a_client_that_falls_silent_is_told_and_closed(broker):
    began = time.monotonic()
    async with await Client.connected(broker.port, keep_alive=1) as client:
        assert (await client.expect(Disconnect)).reason == 0x8D
        assert time.monotonic() - began > 1.4
        await client.expect_eof()


async def test_a_reset_by_the_client_disturbs_nobody(broker):
    async with await Client.connected(broker.port) as watcher:
        await watcher.subscribe("wills")
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", broker.port))
            sock.sendall(encode(Connect("victim", V311), V311) + b"\x30\x05\x00\x01txx" * 100)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        await watcher.ping()


async def test_a_client_that_closes_its_sending_side_has_left(broker):
    async with await Client.connected(broker.port) as client:
        client.writer.write_eof()
        await client.expect_eof()


async def test_five_hundred_clients_connect_at_once_and_all_are_served(broker):
    async with contextlib.AsyncExitStack() as stack:
        opened = await asyncio.gather(*[Client.connected(broker.port, f"c{number}") for number in range(500)])
        for client in opened:
            stack.callback(client.close)
        await asyncio.gather(*[client.subscribe("all", f"one/{n}", qos=1) for n, client in enumerate(opened)])
        await opened[0].publish("all", b"everybody")
        assert {bytes((await client.message()).payload()) for client in opened} == {b"everybody"}
        for number, client in enumerate(opened):
            client.send(Publish.create(f"one/{(number + 1) % 500}", b"%d" % number, 0))
        got = await asyncio.gather(*[client.message() for client in opened])
        assert [int(message.payload()) for message in got] == [499, *range(499)]


async def test_one_connection_too_many_is_refused_and_the_others_stay(start):
    broker = await start(mqtt__max_connections=3)
    async with contextlib.AsyncExitStack() as stack:
        kept = [await stack.enter_async_context(await Client.connected(broker.port, f"c{n}")) for n in range(3)]
        for version, reason in ((V5, 0x89), (V311, 3)):
            async with await Client.open(broker.port, version) as extra:
                assert (await extra.connect("extra")).reason == reason
                await extra.expect_eof()
        for client in kept:
            await client.ping()
        kept[0].send(Disconnect())
        await kept[0].expect_eof()
        async with await Client.connected(broker.port, "next") as client:
            await client.ping()
