"""Steps of a stream: carried out side by side, answered in the order in which they came.

A client need not wait for one step to be on disk before it sends the next, and the disk takes many of them at once. A
client that does not read its answers is not read from any more, once PIPELINED steps wait.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from typing import Any, Final

PIPELINED: Final = 64
PIPELINED_BYTES: Final = 4 * 1024 * 1024

Step = Coroutine[Any, Any, bytes]
Write = Callable[[bytes], Awaitable[None]]


class Pipeline:
    """Carries out what ``begin`` makes of each request (None: there is nothing to answer) and writes the answers.

    ``begin`` and the steps may raise Problem, which ends the stream.
    """

    def __init__(self, begin: Callable[[bytes], Step | None], write: Write) -> None:
        self._begin = begin
        self._write = write
        self._steps: asyncio.Queue[tuple[asyncio.Task[bytes], int] | None] = asyncio.Queue()
        self._under_way = 0
        self._bytes = 0
        self._room = asyncio.Event()

    async def run(self, requests: AsyncIterable[bytes]) -> None:
        """Return when the client has sent its last step and has got its last answer."""
        reading = asyncio.ensure_future(self._read(requests))
        try:
            while (step := await self._steps.get()) is not None:
                task, size = step
                await self._write(await task)
                self._under_way -= 1
                self._bytes -= size
                self._room.set()
            await reading
        finally:
            reading.cancel()
            while not self._steps.empty():
                if (step := self._steps.get_nowait()) is not None:
                    step[0].cancel()

    async def _read(self, requests: AsyncIterable[bytes]) -> None:
        try:
            async for data in requests:
                step = self._begin(data)
                if step is None:
                    continue
                self._under_way += 1
                self._bytes += len(data)
                self._steps.put_nowait((asyncio.ensure_future(step), len(data)))
                while self._under_way >= PIPELINED or self._bytes >= PIPELINED_BYTES:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._steps.put_nowait(None)
