"""The open connections of one listener."""

import asyncio

from mombroker.core import Transport


class Connections:
    """Those that are open. ``stopped``: no more are wanted."""

    def __init__(self) -> None:
        self.stopped: bool = False
        self._open: set[Transport] = set()
        self._all_closed: asyncio.Future[None] | None = None

    def opened(self, transport: Transport) -> None:
        """A connection has been opened."""
        self._open.add(transport)

    def closed(self, transport: Transport) -> None:
        """A connection has been closed."""
        self._open.discard(transport)
        if not self._open and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    async def close(self) -> None:
        """Close what the broker has not closed by itself, as when its store has failed, and wait until every
        connection is gone."""
        for transport in list(self._open):
            transport.close()
        if self._open:
            self._all_closed = asyncio.get_running_loop().create_future()
            await self._all_closed
