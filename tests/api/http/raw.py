"""A client that does what well-behaved clients do not: bytes on a socket."""

import asyncio
import contextlib
from types import TracebackType

TIMEOUT = 20.0


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, limit: int = 1 << 16) -> "Raw":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=limit))

    def request(self, line: str, body: bytes = b"", **headers: str) -> None:
        """Send a request."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given.setdefault("content-length", str(len(body)))
        head = [f"{line} HTTP/1.1", "host: localhost", *(f"{name}: {value}" for name, value in given.items())]
        self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    async def until(self, mark: bytes) -> bytes:
        """Everything up to and with a mark."""
        return await asyncio.wait_for(self.reader.readuntil(mark), TIMEOUT)

    async def events(self, count: int) -> list[bytes]:
        """The next events, without comments."""
        found: list[bytes] = []
        while len(found) < count:
            lines = (await self.until(b"\n\n")).split(b"\r\n")[-1]
            if not lines.startswith(b":"):
                found.append(lines)
        return found

    async def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        return await asyncio.wait_for(self.reader.read(), TIMEOUT)

    async def close(self) -> None:
        """Go away."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def __aenter__(self) -> "Raw":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
