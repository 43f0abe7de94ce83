"""What a transport asks of the native API. ``mombroker.api.native`` has it; a test may have something smaller."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

from msgspec import Struct

from mombroker.api.caller import Caller
from mombroker.operations.messages import InMessage
from mombroker.operations.services import Part, Request, Task

Item = TypeVar("Item", covariant=True)


class Stream(Protocol[Item]):
    """What is pushed, in batches; never more unsettled items than there is credit. The first iteration may raise
    Problem, and so may a later one, as when the queue is deleted."""

    def __aiter__(self) -> "Stream[Item]": ...

    async def __anext__(self) -> tuple[Item, ...]: ...

    def add_credit(self, count: int) -> None:
        """Take so many more items at a time."""
        ...

    async def close(self) -> None:
        """Return what was not settled."""
        ...


class Native(Protocol):
    """The operations."""

    async def login(self, username: str | None, password: bytes | None, address: str, transport: str) -> Caller:
        """Who this is. Raises Problem (not-logged-in)."""
        ...

    async def call(self, caller: Caller, request: Struct) -> Struct:
        """Carry out an operation of the catalogue. Calls take effect in the order in which they were begun. Raises
        Problem."""
        ...

    def parts(self, caller: Caller, request: Request) -> AsyncIterator[Part]:
        """Ask a service, and give the parts of the reply as they come. Raises Problem."""
        ...

    def consume(self, caller: Caller, queue: str, credit: int, lease: float = 0.0) -> Stream[InMessage]:
        """Push the messages of a queue."""
        ...

    def serve(self, caller: Caller, service: str, credit: int) -> Stream[Task]:
        """Push the requests of a service, whose worker the caller is until the stream is closed. A reply does not give
        credit back."""
        ...
