"""Signals: SIGTERM and SIGINT stop in order, SIGHUP reads the settings again."""

import asyncio
import signal

import pytest

from mombroker.mqtt import V5, Disconnect, Publish

from ..broker.client import Client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_broker_told_to_stop_tells_its_clients_and_exits_with_0(server, number):
    five, four = await Client.connected(server.port, "five"), await Client.connected(server.port, "four", 4)
    server.signal(number)
    assert (await five.expect(Disconnect)).reason == 0x8B
    await five.expect_eof()
    await four.expect_eof()
    five.close()
    four.close()
    assert await asyncio.to_thread(server.wait) == 0
    assert server.wait_for("stopping")["signal"] == number.name
    assert server.log[-1]["event"] == "stopped"


async def test_what_was_sent_before_the_stop_is_there_after_it(server):
    async with await Client.connected(server.port, "keeper", session_expiry=1000) as keeper:
        await keeper.subscribe("t", qos=1)
    publisher = await Client.connected(server.port, receive_maximum=100)
    for number in range(500):
        publisher.send(Publish.create("t", b"%d" % number, 1, False, False, number + 1))
    await publisher.writer.drain()
    # At its first answer the broker has read something; how much is kept, it says with its acknowledgements.
    acknowledged = 0
    server.signal(signal.SIGTERM)
    while True:
        packet = await publisher.receive()
        if isinstance(packet, Disconnect):
            break
        acknowledged += 1
    publisher.close()
    assert await asyncio.to_thread(server.wait) == 0
    await asyncio.to_thread(server.start)
    async with await Client.open(server.port, V5) as keeper:
        assert (await keeper.connect("keeper", clean_start=False, session_expiry=1000)).session_present
        assert await keeper.messages(acknowledged) == [b"%d" % number for number in range(acknowledged)]


async def test_a_client_that_does_not_listen_cannot_keep_the_broker_from_stopping(server):
    deaf = await Client.connected(server.port)
    await deaf.subscribe("t")
    deaf.writer.transport.pause_reading()
    server.signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.wait) == 0
    deaf.close()


LIMITED = '[mqtt]\nmaximum_qos = {qos}\n[log]\nlevel = "{level}"\n'


async def test_sighup_takes_over_limits_and_the_log_level(new_server):
    server = new_server(config=LIMITED.format(qos=2, level="info")).start()
    async with await Client.connected(server.port, "before") as before:
        server.config.write_text(LIMITED.format(qos=1, level="warning"))
        seen = len(server.log)
        server.signal(signal.SIGHUP)
        async with await Client.open(server.port) as after:
            # The signal is handled before the connection, or soon after it: ask until it has been.
            connack = await after.connect("after")
            while connack.properties is None or connack.properties.maximum_qos != 1:
                after.close()
                after = await Client.open(server.port)
                connack = await after.connect("after")
            after.close()
        await before.ping()
    server.config.write_text(LIMITED.format(qos=0, level="info"))
    server.signal(signal.SIGHUP)
    server.wait_for("settings reloaded", since=seen)


async def test_a_mistake_in_the_file_is_logged_and_changes_nothing(new_server):
    server = new_server(config=LIMITED.format(qos=1, level="info")).start()
    server.config.write_text("[mqtt]\nmaximum_qso = 0\n")
    server.signal(signal.SIGHUP)
    told = server.wait_for("settings not reloaded", level="error")
    assert "did you mean maximum_qos?" in told["error"]
    assert "line 2" in told["error"]
    server.config.unlink()
    seen = len(server.log)
    server.signal(signal.SIGHUP)
    assert "cannot read the settings file" in server.wait_for("settings not reloaded", since=seen)["error"]
    async with await Client.open(server.port) as client:
        connack = await client.connect("c")
        assert connack.properties is not None
        assert connack.properties.maximum_qos == 1
    assert server.stop() == 0
