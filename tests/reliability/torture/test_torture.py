"""The bounded part of the torture run, and whether its checks can fail at all."""

import asyncio
import os
import secrets
from pathlib import Path

import pytest

from tests.reliability.torture import torture
from tests.reliability.torture.faults import FAULTS
from tests.reliability.torture.native_clients import QUEUE
from tests.reliability.torture.run import Options, Run
from tests.reliability.torture.shim import compiler

KILLS = int(os.environ.get("MOMBROKER_TORTURE_KILLS", "20"))
SECONDS = 600.0
"""Only a broken broker, or a very slow machine, needs them."""


def options(folder: Path, kills: int, **given: object) -> Options:
    """Those of a run with a fixed seed, a new one (``EXPLORE=1``), or the one that is to be repeated."""
    chosen = secrets.token_hex(4) if os.environ.get("EXPLORE") else "1"
    seed = os.environ.get("MOMBROKER_TORTURE_SEED") or chosen
    print(f"repeat with MOMBROKER_TORTURE_SEED={seed}")
    return Options(seed, kills, folder, **given)  # type: ignore[arg-type]


@pytest.mark.timeout(SECONDS)
@pytest.mark.skipif(compiler() is None, reason="a bad disk takes a C compiler")
@pytest.mark.conforms("MQTT-4.3.3-10", "MQTT-4.4.0-1", "MQTT-4.6.0-5")
def test_nothing_acknowledged_is_lost_and_no_qos_2_message_comes_twice_whatever_is_done_to_the_broker(tmp_path):
    run = Run(options(tmp_path, KILLS))
    asyncio.run(torture(run))
    assert run.counts["kills"] >= KILLS
    assert run.counts.keys() >= {fault.name for fault in FAULTS}
    sums = run.sums()
    assert sums["publishes acknowledged"] and sums["deliveries"] and sums["messages accepted by a queue"], sums


@pytest.mark.timeout(SECONDS)
async def test_a_broker_that_acknowledges_before_the_disk_has_it_is_found_out(tmp_path):
    run = Run(options(tmp_path, 0, durability="interval", patience=5.0))
    try:
        await run.begin()
        # The sessions and all so far are on disk; what follows is not.
        await run.stop()
        await run.start()
        retained = sum(topic.settled for topic in run.cast.keeper.topics) + 10
        await run.until(
            lambda: sum(topic.settled for topic in run.cast.keeper.topics) > retained, "nothing is retained"
        )
        await run.load(200, 200)
        await publishing_ends(run)
        await run.cast.native.end()
        async with run.cast.native.connect() as mom:
            ids = {await mom.queue(QUEUE).put(b"accepted") for _ in range(10)}
        owed = run.cast.acknowledged()
        await run.kill()
        await run.start()
        with pytest.raises(AssertionError, match="the retained message on r/"):
            await run.cast.keeper.look()
        with pytest.raises(AssertionError, match="have to be in the queue"):
            await run.look_at_queues(ids)
        run.cast.wake()
        with pytest.raises(AssertionError, match="never arrived: {'asleep': "):
            await run.arrived([run.asleep], owed)
    finally:
        await run.end()


@pytest.mark.timeout(SECONDS)
async def test_a_broker_that_keeps_nothing_is_found_out(tmp_path):
    run = Run(options(tmp_path, 0, durability="memory", patience=5.0))
    try:
        await run.begin()
        await run.load(50, 50)
        await run.kill()
        await run.start()
        with pytest.raises(AssertionError, match="the session of .* is lost"):
            await run.load(1_000_000, 1_000_000)
    finally:
        await run.end()


async def publishing_ends(run: Run) -> None:
    """The publishers finish what they have begun, and begin nothing new."""
    run.cast.stop_publishing()
    await run.until(run.cast.have_finished, "publishers do not come to an end")
