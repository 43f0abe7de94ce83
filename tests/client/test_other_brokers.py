"""The pub/sub half against a broker that is not ours: Debian's mosquitto."""

import asyncio
import getpass
import shutil
from collections.abc import AsyncIterator

import pytest

import mombroker
from mombroker.client import Mom, NotSupported

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (Debian: mosquitto)")


@pytest.fixture
async def url(tmp_path) -> AsyncIterator[str]:
    """A mosquitto that listens on a Unix socket: no port to be taken by somebody else."""
    socket = tmp_path / "s"
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener 0 {socket}\nallow_anonymous true\nuser {getpass.getuser()}\n")
    process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", str(config))
    try:
        async with asyncio.timeout(20):
            while not socket.exists():
                await asyncio.sleep(0.01)
                assert process.returncode is None, "mosquitto has ended"
        yield f"unix:{socket}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
async def mom(url) -> AsyncIterator[Mom]:
    async with mombroker.connect(url) as connected:
        yield connected


async def test_messages_of_every_qos_go_through(mom):
    async with mom.subscribe("a/#", qos=2) as messages:
        for qos in (0, 1, 2):
            assert await mom.publish("a/b", f"{qos}", qos=qos, properties={"x": "y"})
            message = await anext(messages)
            assert (message.text, message.qos, message.properties) == (f"{qos}", qos, {"x": "y"})


async def test_many_messages_are_pipelined_within_its_window(mom):
    payloads = [b"%d" % number for number in range(2000)]
    async with mom.subscribe("a", qos=1) as messages:
        publishing = asyncio.create_task(mom.publish_many("a", payloads))
        assert [(await anext(messages)).payload for _ in payloads] == payloads
        assert await publishing == len(payloads)


async def test_overlapping_and_shared_subscriptions_and_retained_messages(mom):
    await mom.publish("a/kept", b"1", retain=True)
    async with mom.subscribe("a/#") as wide, mom.subscribe("a/+") as narrow, mom.subscribe("$share/g/b") as shared:
        assert (await anext(wide)).retain
        assert (await anext(narrow)).retain
        await mom.publish("b", b"2")
        assert (await anext(shared)).payload == b"2"


async def test_it_is_told_that_there_is_no_native_api(mom):
    with pytest.raises(NotSupported):
        await mom.request("s")
