"""How fast a part of the load goes: as fast as it can while the machine's limit is looked for, then at a given rate."""

import asyncio
import time

DEBT = 1.0
"""Seconds of work that are made up for after a stall; what is beyond shows as a rate that was not kept."""


class Pace:
    """Tells how many are due. Without a rate, as many as one can."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._next = 0.0
        self.stopped = False
        self.done = 0

    def hold(self, rate: float) -> None:
        """So many a second from now on."""
        self._rate, self._next = rate, time.monotonic()

    def due(self, most: int) -> int:
        """How many may be done now, up to ``most``. They count as done."""
        if self.stopped:
            return 0
        if self._rate:
            now = time.monotonic()
            self._next = max(self._next, now - DEBT)
            most = min(most, int((now - self._next) * self._rate))
            self._next += most / self._rate
        self.done += most
        return most

    async def turn(self, count: int = 1) -> bool:
        """Wait until so many are due; whether to go on at all."""
        if self._rate and not self.stopped:
            self._next = max(self._next, time.monotonic() - DEBT) + count / self._rate
            await asyncio.sleep(self._next - time.monotonic())
        else:
            await asyncio.sleep(0)
        self.done += 0 if self.stopped else count
        return not self.stopped
