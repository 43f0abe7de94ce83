"""The PROXY protocol: headers byte by byte, and load balancers in front of real connections."""

import asyncio
import ipaddress
import socket
import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mombroker.hooks import ConnectRequest, hookimpl
from mombroker.listeners.proxy_protocol import SIGNATURE, BadHeader, source, wanted
from mombroker.model.identity import Identity
from mombroker.mqtt import V311, Connect, encode

from .conftest import Authority, Start

CONNECT = encode(Connect("behind", V311), V311)
CONNACK = b"\x20\x02\x00\x00"


def version_2(body: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


IPV4 = version_2(socket.inet_aton("203.0.113.7") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 4711, 1883))
IPV6 = version_2(
    ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("::1").packed + struct.pack("!HH", 4711, 1883),
    family=0x21,
)
GOOD = {
    "version 1": (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 1883\r\n", ("203.0.113.7", 4711)),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::7 ::1 4711 1883\r\n", ("2001:db8::7", 4711)),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "version 1, unknown with addresses": (b"PROXY UNKNOWN ff ee 1 2\r\n", None),
    "version 2": (IPV4, ("203.0.113.7", 4711)),
    "version 2, IPv6": (IPV6, ("2001:db8::7", 4711)),
    "version 2 with more behind": (version_2(IPV4[16:] + b"\x04\x00\x02no"), ("203.0.113.7", 4711)),
    "version 2, the balancer itself": (version_2(b"", 0x20, 0), None),
    "version 2, a Unix socket": (version_2(bytes(216), 0x21, 0x31), None),
}
BAD = {
    "MQTT": CONNECT,
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "no ports": b"PROXY TCP4 203.0.113.7 10.0.0.1\r\n",
    "an address that is none": b"PROXY TCP4 203.0.113.777 10.0.0.1 4711 1883\r\n",
    "another family": b"PROXY TCP6 203.0.113.7 10.0.0.1 4711 1883\r\n",
    "a port that is none": b"PROXY TCP4 203.0.113.7 10.0.0.1 70000 1883\r\n",
    "a signed port": b"PROXY TCP4 203.0.113.7 10.0.0.1 +1 1883\r\n",
    "a line without an end": b"PROXY TCP4 " + b"1" * 120,
    "version 3": version_2(IPV4[16:], 0x31),
    "too short": version_2(b"\0\0\0\0"),
    "far too long": version_2(bytes(5000)),
}


def read(stream: bytes) -> tuple[bytes, bytes]:
    """The header, taken as it asks to be, and what is behind it."""
    taken = 0
    while size := wanted(stream[:taken]):
        if taken >= len(stream):
            raise EOFError
        taken = min(taken + size, len(stream))
    return stream[:taken], stream[taken:]


@pytest.mark.parametrize("name", GOOD)
def test_a_header_is_taken_to_its_end_and_no_further(name):
    header, expected = GOOD[name]
    taken, rest = read(header + CONNECT)
    assert (taken, rest) == (header, CONNECT)
    assert source(taken) == expected


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_is_refused(name):
    with pytest.raises(BadHeader):
        source(read(BAD[name])[0])


@given(st.ip_addresses(), st.integers(0, 65_535), st.binary(max_size=50))
def test_every_address_comes_through_both_versions(address, port, behind):
    packed = address.packed * 2 + struct.pack("!HH", port, 1883)
    family = 0x11 if address.version == 4 else 0x21
    line = f"PROXY TCP{address.version} {address} {address} {port} 1883\r\n".encode()
    for header in (version_2(packed, family=family), line):
        taken, rest = read(header + behind)
        assert rest == behind
        assert source(taken) == (str(address), port)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_are_refused(stream):
    try:
        source(read(SIGNATURE + stream)[0])
        source(read(b"PROXY " + stream)[0])
        source(read(stream)[0])
    except (BadHeader, EOFError):
        return


class Doorkeeper:
    """Lets everybody in, and remembers where they came from."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity:
        self.seen.append((request.address, request.port))
        return Identity(request.client_id, None, address=request.address)


async def answer(port: int, first: bytes, then: bytes = CONNECT, context: ssl.SSLContext | None = None) -> bytes:
    """What comes back to a header and a CONNECT behind it; nothing if the connection is dropped."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(first)
        if context is not None:
            await writer.start_tls(context, server_hostname="localhost")
        writer.write(then)
        async with asyncio.timeout(60):
            return await reader.read(4)
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("header", [GOOD["version 1"][0], IPV4])
async def test_plugins_see_where_the_client_is(start: Start, header: bytes):
    keeper = Doorkeeper()
    broker = await start("127.0.0.1:0", plugins=(keeper,), mqtt__proxies=["127.0.0.0/8"])
    assert await answer(broker.port, header) == CONNACK
    assert keeper.seen == [("203.0.113.7", 4711)]


async def test_tls_begins_behind_the_header(start: Start, authority: Authority):
    keeper = Doorkeeper()
    broker = await start("mqtts://127.0.0.1:0", plugins=(keeper,), mqtt__proxies=["127.0.0.1"])
    assert await answer(broker.port, IPV4, context=authority.trusting()) == CONNACK
    assert keeper.seen == [("203.0.113.7", 4711)]


async def test_a_balancer_that_looks_whether_we_live_comes_as_itself(start: Start):
    keeper = Doorkeeper()
    broker = await start("127.0.0.1:0", plugins=(keeper,), mqtt__proxies=["127.0.0.1"])
    assert await answer(broker.port, version_2(b"", 0x20, 0)) == CONNACK
    assert keeper.seen[0][0] == "127.0.0.1"


async def test_a_balancer_without_a_header_is_dropped(start: Start):
    keeper = Doorkeeper()
    broker = await start("127.0.0.1:0", plugins=(keeper,), mqtt__proxies=["127.0.0.1"])
    assert await answer(broker.port, b"") == b""
    assert keeper.seen == []


async def test_a_header_from_anybody_else_is_no_mqtt(start: Start):
    keeper = Doorkeeper()
    broker = await start("127.0.0.1:0", plugins=(keeper,), mqtt__proxies=["203.0.113.0/24"])
    assert await answer(broker.port, IPV4) != CONNACK
    assert keeper.seen == []
    assert await answer(broker.port, b"") == CONNACK
    assert keeper.seen[0][0] == "127.0.0.1"


async def test_half_a_header_is_waited_for_as_long_as_a_connect(start: Start):
    broker = await start("127.0.0.1:0", mqtt__proxies=["127.0.0.1"], mqtt__connect_timeout=0.1)
    assert await answer(broker.port, IPV4[:20], b"") == b""


async def test_a_broker_stops_while_a_header_is_awaited(start: Start):
    broker = await start("127.0.0.1:0", plugins=(Doorkeeper(),), mqtt__proxies=["127.0.0.1"])
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    assert await answer(broker.port, IPV4) == CONNACK
    await broker.__aexit__(None, None, None)
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", broker.port)
