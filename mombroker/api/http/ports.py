"""What HTTP asks of the native API. ``mombroker.api.native`` has it; a test may have something smaller."""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from mombroker.model.identity import Identity
from mombroker.operations.messages import InMessage


class Caller(Protocol):
    """Somebody who has logged in."""

    @property
    def identity(self) -> Identity:
        """Who it is."""
        ...


class Consumption(Protocol):
    """Messages of a queue as they come, in batches; never more unsettled ones than there is credit."""

    def __aiter__(self) -> AsyncIterator[tuple[InMessage, ...]]:
        """Itself."""
        ...

    async def __anext__(self) -> tuple[InMessage, ...]:
        """The next batch."""
        ...

    async def close(self) -> None:
        """Return what was not settled to the queue."""
        ...


class Native(Protocol):
    """The operations."""

    async def login(self, username: str | None, password: bytes | None, address: str, transport: str) -> Caller:
        """Who this is. Raises Problem (not-logged-in)."""
        ...

    async def call(self, caller: Caller, request: Struct) -> Struct:
        """Carry out an operation of the catalogue. Raises Problem."""
        ...

    def consume(self, caller: Caller, queue: str, credit: int, lease: float = 0.0) -> Consumption:
        """Push the messages of a queue. The first iteration raises Problem."""
        ...
