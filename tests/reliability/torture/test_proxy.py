"""A bad network does not change the order of a stream."""

import asyncio
from random import Random

from tests.reliability.torture.proxy import Proxy


async def test_a_cut_within_a_packet_comes_behind_what_is_late():
    arrived: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _, writer: arrived.put(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def where() -> int:
        return int(port)

    proxy = Proxy(where)
    await proxy.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        broker = await arrived.get()
        (wire,) = proxy.standing()
        wire.delay(Random(1), 1)
        wire.carry(wire.broker, b"first ")
        wire.cut_after(3)
        wire.carry(wire.broker, b"second")
        wire.carry(wire.broker, b"third")
        async with asyncio.timeout(60):
            assert await reader.read() == b"first sec"
        writer.close()
        broker.close()
    finally:
        await proxy.stop()
        server.close()
