"""A broker that has run out of file descriptors: those who are in are served, and the door opens again."""

import asyncio
import sys

import pytest

from ..broker.client import TIMEOUT, Client

resource = pytest.importorskip("resource")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit of another process is set with prlimit")


async def test_clients_that_are_in_go_on_and_others_may_come_when_some_have_left(server):
    async with await Client.connected(server.port) as first:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (40, 40))
        crowd = [await Client.open(server.port) for _ in range(60)]
        await first.subscribe("t", qos=2)
        assert await first.publish("nobody", b"", 2) in (0, 0x10)
        for client in crowd:
            client.close()
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    async with await Client.connected(server.port) as late:
                        await late.ping()
                        break
                except (ConnectionError, EOFError):
                    continue
        await first.ping()
    assert server.stop() == 0
