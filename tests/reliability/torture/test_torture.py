"""The bounded part of the torture run, and whether its checks can fail at all."""

import asyncio
import os
import secrets
from pathlib import Path

import pytest

from tests.reliability.torture import torture
from tests.reliability.torture.run import Options, Run
from tests.reliability.torture.shim import compiler

KILLS = int(os.environ.get("MOMBROKER_TORTURE_KILLS", "20"))
SECONDS = 600.0
"""Only a broken broker, or a very slow machine, needs them."""


def options(folder: Path, kills: int, **given: object) -> Options:
    """Those of a run with a seed that is new, or the one that is to be repeated."""
    seed = os.environ.get("MOMBROKER_TORTURE_SEED") or secrets.token_hex(4)
    print(f"repeat with MOMBROKER_TORTURE_SEED={seed}")
    return Options(seed, kills, folder, **given)  # type: ignore[arg-type]


@pytest.mark.timeout(SECONDS)
@pytest.mark.skipif(compiler() is None, reason="a bad disk takes a C compiler")
@pytest.mark.conforms("MQTT-4.3.3-10", "MQTT-4.4.0-1", "MQTT-4.6.0-5")
def test_nothing_acknowledged_is_lost_and_no_qos_2_message_comes_twice_whatever_is_done_to_the_broker(tmp_path):
    run = Run(options(tmp_path, KILLS))
    asyncio.run(torture(run))
    assert run.counts["kills"] >= KILLS
    assert all(run.sums().values()), run.sums()


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("durability", ["interval", "memory"])
def test_a_broker_that_acknowledges_before_the_disk_has_it_is_found_out(tmp_path, durability):
    run = Run(options(tmp_path, 5, durability=durability, patience=5.0))
    with pytest.raises(AssertionError) as found:
        asyncio.run(torture(run))
    print(found.value)
    assert "lost" in str(found.value) or "never arrived" in str(found.value) or "have to be" in str(found.value)
