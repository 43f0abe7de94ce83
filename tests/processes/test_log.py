"""The log of a broker process: lines of JSON that say who, and never what was in a message or a password."""

import pytest

from mombroker.mqtt import V5, V311, Disconnect, Publish, Will

from ..broker.client import Client

SECRETS = (b"the payload itself", b"the last words", b"the password itself", b"the correlation data")


async def talk(port: int) -> None:
    """Everything that leaves a line in the log, with secrets in all places that hold some."""
    payload, words, password, correlation = SECRETS
    first = await Client.connected(port, "taken", V5, password=password, will=Will("wills", words, 1))
    second = await Client.connected(port, "taken", V5, password=password)
    await first.expect(Disconnect)
    first.close()
    await second.subscribe("#", qos=1)
    for qos in (1, 2):
        second.send(Publish.create("t", payload, qos, packet_id=qos))
    second.close()
    async with await Client.connected(port, "clumsy", V5) as clumsy:
        await clumsy.publish("$SYS/forbidden", payload, 1, correlation_data=correlation)
        clumsy.writer.write(b"\x36\x20\x00\x01t" + payload)
        await clumsy.expect(Disconnect)
    async with await Client.connected(port, "clumsy3", V311) as clumsy:
        clumsy.writer.write(b"\x30\x16\x00\x02t#" + payload)
        await clumsy.expect_eof()
    async with await Client.open(port) as nobody:
        nobody.writer.write(b"POST / HTTP/1.1\r\nAuthorization: " + password + b"\r\n\r\n")
        await nobody.expect_eof()


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_every_line_is_json_with_time_level_and_event_and_without_secrets(new_server, level):
    server = new_server("--log-level", level).start()
    await talk(server.port)
    assert server.stop() == 0
    for entry in server.log:
        assert "unparsed" not in entry, entry
        assert list(entry)[:3] == ["time", "level", "event"]
        assert entry["time"].endswith("Z")
    for secret in SECRETS:
        assert secret.decode() not in server.text
        assert secret.hex() not in server.text


async def test_what_concerns_a_client_names_it(server):
    await talk(server.port)
    assert server.stop() == 0
    for event in ("client connected", "client disconnected"):
        assert {entry["client_id"] for entry in server.log if entry["event"] == event} >= {"taken", "clumsy", "clumsy3"}
    server.wait_for("session taken over", client_id="taken", address="127.0.0.1")
    server.wait_for("publish refused", client_id="clumsy", topic="$SYS/forbidden")
    server.wait_for("protocol error", client_id="clumsy", level="warning", reason="Malformed Packet")
    server.wait_for("protocol error", client_id="clumsy3")
    assert not [entry for entry in server.log if entry["level"] in ("error", "critical")]
