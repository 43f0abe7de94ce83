"""Turns at something that only a few can do at a time, given to those who ask from different places one after the
other.

First come, first served would let whoever asks most often keep all others out.
"""

import asyncio
from collections import deque


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
