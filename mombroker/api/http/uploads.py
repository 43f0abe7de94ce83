"""Request bodies: read whole, within bounds of size, time and memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import Request

from mombroker.operations.problems import BAD_REQUEST, OVERLOADED, TOO_LARGE, Problem

AT_A_TIME: Final = 8
"""How many bodies of the largest size all requests together may hold in memory."""


class ClientGone(Exception):
    """The client has closed its connection: nobody waits for a response any more."""


class Uploads:
    """Reads bodies of at most ``largest`` bytes, each within ``seconds``."""

    def __init__(self, largest: int, seconds: float) -> None:
        self._largest = largest
        self._seconds = seconds
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body, counted as long as the context lasts. Raises Problem (too-large, overloaded, bad-request)."""
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._largest:
            raise self._too_large()
        chunks: list[bytes] = []
        try:
            await self._read(request, chunks)
            yield chunks[0] if len(chunks) == 1 else b"".join(chunks)
        finally:
            self._held -= sum(map(len, chunks))

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._receive(request, chunks)
        except TimeoutError:
            raise Problem(BAD_REQUEST, f"the body did not come within {self._seconds:g} s; send it faster") from None

    async def _receive(self, request: Request, chunks: list[bytes]) -> None:
        size = 0
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > self._largest:
                raise self._too_large()
            if self._held + len(chunk) > self._largest * AT_A_TIME:
                raise Problem(OVERLOADED, "the requests of now hold as much memory as they may; try again in a moment")
            if chunk:
                self._held += len(chunk)
                chunks.append(chunk)
            if not message.get("more_body", False):
                return

    def _too_large(self) -> Problem:
        return Problem(
            TOO_LARGE, f"the body is larger than {self._largest} bytes; send it in parts, or set http.max_body"
        )
