"""MQTT over TLS: real handshakes, and each way in which one is refused."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import grpc
import httpx
import pytest

import mombroker
from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc import mombroker_pb2_grpc as stubs
from mombroker.broker import Broker
from mombroker.client import ConnectionFailed
from mombroker.hooks import ConnectRequest, hookimpl
from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import NOT_AUTHORIZED
from mombroker.wiring.settings import load_settings

from .conftest import Authority, Start

LISTEN = "mqtts://127.0.0.1:0"


async def handshake(port: int, context: ssl.SSLContext, host: str = "localhost") -> ssl.SSLObject:
    """A handshake, a CONNECT and its CONNACK: with TLS 1.3 a refused client learns of it only when it reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    try:
        writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a")
        async with asyncio.timeout(60):
            assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        return writer.get_extra_info("ssl_object")  # type: ignore[no-any-return]
    finally:
        writer.transport.abort()


async def refused(port: int, context: ssl.SSLContext, welcome: ssl.SSLContext, host: str = "localhost") -> None:
    """A handshake fails; one that is ``welcome`` goes well, and by then the broker has done with the first."""
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await handshake(port, context, host)
    await handshake(port, welcome)


class Witness:
    """Lets in whoever shows a certificate, and remembers it."""

    def __init__(self) -> None:
        self.seen: list[ConnectRequest] = []

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity | Refusal:
        self.seen.append(request)
        if request.certificate is None:
            return Refusal(NOT_AUTHORIZED, "show a certificate")
        return Identity(request.client_id, request.certificate.common_name, address=request.address)


async def test_messages_go_there_and_back(start: Start, authority: Authority):
    broker = await start(LISTEN)
    url = f"mqtts://127.0.0.1:{broker.port}"
    async with mombroker.connect(url, tls=authority.trusting()) as mom, mom.subscribe("t/#") as messages:
        payload = bytes(1_000_000)
        await mom.publish("t/1", payload, qos=1)
        async for message in messages:
            assert message.payload == payload
            break


@pytest.mark.skipif(not shutil.which("mosquitto_pub"), reason="mosquitto_pub is not installed")
async def test_mosquitto_clients_go_with_it(start: Start, authority: Authority):
    broker = await start(LISTEN)
    url = f"mqtts://127.0.0.1:{broker.port}"
    async with mombroker.connect(url, tls=authority.trusting()) as mom, mom.subscribe("t") as messages:
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "--cafile", authority.file, "-q", "1"]
        done = await asyncio.to_thread(
            subprocess.run, [*command, "-t", "t", "-m", "hello"], capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        async for message in messages:
            assert message.payload == b"hello"
            break


async def test_the_protocol_is_negotiated(start: Start, authority: Authority):
    broker = await start(LISTEN)
    context = authority.trusting()
    context.set_alpn_protocols(["mqtt"])
    assert (await handshake(broker.port, context)).selected_alpn_protocol() == "mqtt"
    assert (await handshake(broker.port, authority.trusting())).selected_alpn_protocol() is None


async def test_old_versions_of_tls_are_not_spoken(start: Start, authority: Authority):
    newest = await start(LISTEN, tls__minimum_version="1.3")
    context = authority.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    await refused(newest.port, context, authority.trusting())
    usual = await start(LISTEN)
    assert (await handshake(usual.port, context)).version() == "TLSv1.2"


async def test_a_client_that_does_not_trust_the_broker_goes(start: Start, authority: Authority, stranger: Authority):
    broker = await start(LISTEN)
    with pytest.raises(ConnectionFailed, match="certificate"):
        async with mombroker.connect(f"mqtts://127.0.0.1:{broker.port}", tls=stranger.trusting()):
            pass
    await handshake(broker.port, authority.trusting())


async def test_a_client_that_looks_for_another_host_goes(start: Start, authority: Authority):
    broker = await start(LISTEN)
    await refused(broker.port, authority.trusting(), authority.trusting(), "other.example")


async def test_the_host_that_a_client_asks_for_gets_its_certificate(start: Start, authority: Authority):
    others = authority.issue("other.example"), authority.issue("*.farm.example")
    broker = await start(LISTEN, tls__hosts=[f"other.example={others[0]}", f"*.farm.example={others[1]}"])
    for host in ("localhost", "other.example", "OTHER.example", "a.farm.example"):
        await handshake(broker.port, authority.trusting(), host)
    await refused(broker.port, authority.trusting(), authority.trusting(), "b.a.farm.example")


async def test_what_a_client_has_shown_comes_to_the_plugins(start: Start, authority: Authority):
    witness = Witness()
    broker = await start(LISTEN, plugins=(witness,), tls__client_certificates="required", tls__client_ca=authority.file)
    await handshake(broker.port, authority.trusting(authority.issue("pump.example", common_name="pump-7")))
    (request,) = witness.seen
    shown = request.certificate
    assert shown is not None
    assert shown.common_name == "pump-7"
    assert shown.alternative_names == (("DNS", "pump.example"),)
    assert len(shown.fingerprint) == 64 and shown.der and shown.not_after > 0
    assert "der=" not in repr(request)


async def test_without_a_certificate_nobody_connects_where_one_is_required(start: Start, authority: Authority):
    witness = Witness()
    broker = await start(LISTEN, plugins=(witness,), tls__client_certificates="required", tls__client_ca=authority.file)
    await refused(broker.port, authority.trusting(), authority.trusting(authority.issue("pump.example")))
    assert len(witness.seen) == 1


async def test_a_certificate_of_another_authority_is_refused(start: Start, authority: Authority, stranger: Authority):
    witness = Witness()
    broker = await start(LISTEN, plugins=(witness,), tls__client_certificates="required", tls__client_ca=authority.file)
    forged = authority.trusting(stranger.issue("pump.example"))
    await refused(broker.port, forged, authority.trusting(authority.issue("pump.example")))
    assert len(witness.seen) == 1


async def test_a_revoked_certificate_is_refused_from_the_reload_on(start: Start, authority: Authority, tmp_path):
    good, stolen = authority.issue("a.example"), authority.issue("b.example")
    revoked = tmp_path / "crl.pem"
    revoked.write_bytes(authority.revoking())
    broker = await start(
        LISTEN, tls__client_certificates="required", tls__client_ca=authority.file, tls__crl=str(revoked)
    )
    await handshake(broker.port, authority.trusting(stolen))
    revoked.write_bytes(authority.revoking(stolen))
    broker.reload(broker.settings)
    await refused(broker.port, authority.trusting(stolen), authority.trusting(good))


async def test_an_optional_certificate_may_be_left_out(start: Start, authority: Authority):
    broker = await start(LISTEN, tls__client_certificates="optional", tls__client_ca=authority.file)
    await handshake(broker.port, authority.trusting())


async def test_new_certificates_are_shown_after_a_reload_and_open_connections_stay(
    start: Start, authority: Authority, tmp_path
):
    used = tmp_path / "broker.pem"
    old, new = (Path(authority.issue("localhost")).read_bytes() for _ in range(2))
    used.write_bytes(old)
    broker = await start(LISTEN, tls__certificate=str(used))
    url = f"mqtts://localhost:{broker.port}"
    async with mombroker.connect(url, tls=authority.trusting()) as mom:
        before = (await handshake(broker.port, authority.trusting())).getpeercert(binary_form=True)
        used.write_bytes(new)
        assert (await handshake(broker.port, authority.trusting())).getpeercert(binary_form=True) == before
        broker.reload(broker.settings)
        assert (await handshake(broker.port, authority.trusting())).getpeercert(binary_form=True) != before
        used.write_bytes(b"nothing of the kind")
        with pytest.raises(ConfigurationError, match="cannot use the certificate"):
            broker.reload(broker.settings)
        await handshake(broker.port, authority.trusting())
        await mom.publish("t", b"still here", qos=1)


async def test_a_client_that_sends_something_else_than_tls_is_dropped(start: Start, authority: Authority):
    broker = await start(LISTEN)
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a")
    async with asyncio.timeout(60):
        assert b"\x20\x02" not in await reader.read()
    writer.close()
    await handshake(broker.port, authority.trusting())


async def test_http_and_grpc_show_the_same_certificate(authority: Authority, certificate: str):
    given = {
        "mqtt.listen": ["127.0.0.1:0"],
        "http.listen": "https://127.0.0.1:0",
        "grpc.listen": "grpcs://127.0.0.1:0",
        "storage.durability": "memory",
        "tls.certificate": certificate,
    }
    async with Broker(load_settings(overrides=given)) as broker:
        async with httpx.AsyncClient(verify=authority.trusting()) as http:
            assert (await http.get(f"https://127.0.0.1:{broker.http_port}/ready")).status_code == 200
        trust = grpc.ssl_channel_credentials(Path(authority.file).read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{broker.grpc_port}", trust) as channel:
            made = await stubs.QueuesStub(channel).CreateQueue(pb.CreateQueueRequest(queue="jobs"))
            assert made.queue == "jobs"
