"""Where the broker is, and how far everybody has come: what the clients and the run wait for."""

import asyncio


class Place:
    """Where the broker is at the moment, if it is anywhere; and how many acknowledgements it has given."""

    def __init__(self) -> None:
        self._port = 0
        self._changed = asyncio.Event()
        self.acknowledged = 0

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def set(self, port: int) -> None:
        """The broker listens on this port; 0: it is gone."""
        self._port = port
        self._tell()

    async def port(self) -> int:
        """The port, once there is one."""
        while not self._port:
            await self._changed.wait()
        return self._port

    async def left(self, port: int) -> None:
        """Wait until the broker is not there any more."""
        while self._port == port:
            await self._changed.wait()

    def count(self) -> None:
        """One more was acknowledged."""
        self.acknowledged += 1
        self._tell()

    async def more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = self.acknowledged + count
        while self.acknowledged < wanted:
            await self._changed.wait()
