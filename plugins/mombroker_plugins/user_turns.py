"""Turns at something that only a few can do at a time, given to those who ask from different places one after the
other.

First come, first served would let whoever asks most often keep all others out.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """So many turns at a time. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, source: str) -> None:
        """Wait for a turn; :meth:`give` it back. However many wait from one source, another one waits for one of them
        at the most."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(source, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It was given just before.
                self.give()
            raise

    def give(self) -> None:
        """A turn is over: the next source has one."""
        while self._waiting:
            source = next(iter(self._waiting))
            waiting = self._waiting.pop(source)
            turn = waiting.popleft()
            if waiting:
                # Behind all others.
                self._waiting[source] = waiting
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def close(self) -> None:
        """Nobody who waits gets a turn any more: they are cancelled."""
        for waiting in self._waiting.values():
            for turn in waiting:
                turn.cancel()
        self._waiting.clear()


class PasswordThreads:
    """A few threads for the checking of passwords, which is slow. Places take turns at them. ``close`` it when done."""

    def __init__(self, most: int) -> None:
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="mombroker-password")
        self._turns = Turns(most)

    async def run(self, work: Callable[[], T], source: str = "") -> T:
        """What ``work`` returns, once there is a turn for somebody who asks from ``source``."""
        # A client whose time budget is over is cancelled here, and its turn goes to the next one.
        await self._turns.take(source)
        try:
            done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except BaseException:
            self._turns.give()
            raise
        done.add_done_callback(lambda _: self._turns.give())
        # What has begun goes on to its end, and takes its turn until then.
        return await asyncio.shield(done)

    def close(self) -> None:
        """Give up what has not begun yet."""
        self._turns.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
