"""The runtime: what becomes of a defect where no client can be blamed for it."""

import asyncio
from concurrent.futures import Future

import pytest

from mombroker.core import Engine, Hooks, Limits, Transport
from mombroker.core.barrier import Outcome
from mombroker.model.unit import TABLE_SESSION
from mombroker.wiring.runtime import Clock, LoopOutside
from mombroker_storage import MemoryStore


class BrokenTransport(Transport):
    """Fails where it may not."""

    def write(self, data):
        raise ZeroDivisionError("in a turn")

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def buffered(self):
        return 0


class BrokenLog:
    """Fails where it may not."""

    def warning(self, event, **fields):
        raise ZeroDivisionError("in a tick")


class BrokenOutcome(Outcome):
    """Fails where it may not."""

    def kept(self):
        raise ZeroDivisionError("after a commit")


class Slow(MemoryStore):
    """Answers a commit later."""

    def commit(self, unit):
        future = Future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        return future


@pytest.fixture
async def outside():
    outside = LoopOutside(asyncio.get_running_loop(), Slow(), Clock())
    outside.engine = Engine(Limits(sys_interval=0), Hooks(), outside, BrokenLog(), 1, 0.0, 0.0)
    yield outside
    outside.close()


async def test_a_defect_at_the_end_of_a_turn_ends_the_broker_which_could_acknowledge_nothing_more(outside):
    outside.engine.open_connection(BrokenTransport(), "127.0.0.1", 1, "test").send(b"x")
    assert str(await outside.failed) == "in a turn"


async def test_a_defect_in_a_tick_ends_the_broker_which_would_miss_its_deadlines(outside):
    # At a time long past, so that the line in the log is due.
    outside.engine.dropped("queue", "topic", "cause", 1)
    outside.request_tick(0.0)
    assert str(await outside.failed) == "in a tick"


async def test_a_defect_after_a_commit_ends_the_broker(outside):
    outside.engine.barrier.unit.put(TABLE_SESSION, b"key", b"value")
    outside.engine.barrier.tell(BrokenOutcome(True))
    outside.engine.wake()
    assert str(await outside.failed) == "after a commit"
    await outside.when_settled()
