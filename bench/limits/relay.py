"""A relay that parses nothing: bytes of publishers go to subscribers as they come. ``python relay.py PORT``

A connection that sends SUBSCRIBE is a subscriber; what any other one sends after CONNECT is handed on. No more than
that is known about MQTT here, so this is the limit of any broker on the same event loop.
"""

import asyncio
import sys
from typing import ClassVar, cast

import uvloop

CONNACK = b"\x20\x02\x00\x00"
DISCONNECT = b"\xe0\x00"


class Peer(asyncio.Protocol):
    """One connection."""

    subscribers: ClassVar[set[asyncio.Transport]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its CONNECT."""
        self._transport = cast(asyncio.Transport, transport)
        self._connected = False
        self._publishes = False

    def data_received(self, data: bytes) -> None:
        """Hand on, as soon as the handshake is over."""
        if self._publishes and data != DISCONNECT:
            for subscriber in self.subscribers:
                subscriber.write(data)
        elif not self._connected:
            self._connected = True
            self._transport.write(CONNACK)
            length = 2 + data[1]
            if len(data) > length:
                self.data_received(data[length:])
        elif data[0] == 0x82:
            self._transport.write(b"\x90\x03" + data[2:4] + b"\x00")
            self.subscribers.add(self._transport)
        elif data[0] >> 4 == 3:
            self._publishes = True
            self.data_received(data)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.subscribers.discard(self._transport)


async def main() -> None:
    """Relay until killed."""
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
