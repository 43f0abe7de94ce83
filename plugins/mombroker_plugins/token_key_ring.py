"""Keys at hand, read anew from a file or a server from time to time, and kept when that fails.

Only a client that cannot be answered without new keys waits for them.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from mombroker_plugins.token_keys import Key, KeyProblem
from mombroker_plugins.web_calls import CallFailed

BETWEEN: Final = 60.0
"""Seconds between two attempts to read, at least: nobody's tokens make us ask a server more often."""


class KeyRing:
    """``load`` reads and parses the keys; it may block. ``lifetime``: seconds after which they are read anew."""

    def __init__(
        self,
        load: Callable[[], tuple[Key, ...]],
        lifetime: float,
        log: Any,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._lifetime = lifetime
        self._log = log
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._read_at = 0.0
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mombroker-keys")

    @property
    def is_empty(self) -> bool:
        """Whether no key has ever been read."""
        return not self._keys

    def read(self) -> None:
        """Read the keys here and now. Raises KeyProblem, OSError, CallFailed."""
        self._tried_at = self._clock()
        self._keys = self._load()
        self._read_at = self._tried_at

    def candidates(self, id: str | None, algorithm: str) -> list[Key]:
        """The keys that a token may have been signed with, by what it says itself."""
        if self._clock() - self._read_at >= self._lifetime and self._may_read():
            self._begin()
        return [key for key in self._keys if algorithm in key.algorithms and (id is None or not key.id or key.id == id)]

    async def look_again(self) -> bool:
        """Read the keys anew, unless that was done just now; tells whether it was."""
        if self._reading is None:
            if not self._may_read():
                return False
            self._begin()
        assert self._reading is not None
        # Whoever waits may give up; what others wait for goes on.
        await asyncio.shield(self._reading)
        return True

    async def close(self) -> None:
        """Read nothing any more."""
        if self._reading is not None:
            self._reading.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _may_read(self) -> bool:
        return self._reading is None and (self._tried_at is None or self._clock() - self._tried_at >= BETWEEN)

    def _begin(self) -> None:
        self._tried_at = self._clock()
        self._reading = asyncio.get_running_loop().create_task(self._read_in_thread())
        self._reading.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._reading = None

    async def _read_in_thread(self) -> None:
        try:
            self._keys = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        except (OSError, KeyProblem, CallFailed) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            self._log.error("keys for tokens not read: the old ones stay", error=reason)
            return
        self._read_at = self._clock()
