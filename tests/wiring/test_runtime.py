"""The runtime: what becomes of a defect where no client can be blamed for it."""

import asyncio
from concurrent.futures import Future

import pytest

from mombroker.model.unit import Unit
from mombroker.wiring.runtime import Clock, LoopOutside
from mombroker_storage import MemoryStore


class Broken:
    """An engine with a defect in each of its turns."""

    now = 0.0

    def end_turn(self):
        raise ZeroDivisionError("in a turn")

    def tick(self):
        raise ZeroDivisionError("in a tick")

    def committed(self, error):
        raise ZeroDivisionError("after a commit")

    def is_settled(self):
        return False


class Slow(MemoryStore):
    """Answers a commit later."""

    def commit(self, unit):
        future = Future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        return future


@pytest.fixture
async def outside():
    outside = LoopOutside(asyncio.get_running_loop(), Slow(), Clock())
    outside.engine = Broken()
    yield outside
    outside.close()


async def test_a_defect_at_the_end_of_a_turn_ends_the_broker_which_could_acknowledge_nothing_more(outside):
    outside.request_turn()
    assert str(await outside.failed) == "in a turn"


async def test_a_defect_in_a_tick_ends_the_broker_which_would_miss_its_deadlines(outside):
    outside.request_tick(0.0)
    assert str(await outside.failed) == "in a tick"


async def test_a_defect_after_a_commit_ends_the_broker(outside):
    outside.commit(Unit(1))
    assert str(await outside.failed) == "after a commit"
    await outside.when_settled()
