"""``mom.queue("orders")``: a named queue."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from secrets import token_hex
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType

from mombroker.client.branches import Branches
from mombroker.client.connection import Connection
from mombroker.client.consuming import Consumption
from mombroker.client.later import Caller
from mombroker.client.publishing import Payload, publish_one, to_bytes
from mombroker.client.queue_message import QueueMessage, pulled
from mombroker.client.queue_publishing import QOS_1, QueuePublisher, put_properties
from mombroker.operations.messages import (
    Ack,
    FindMessage,
    InMessage,
    Nack,
    OutMessage,
    Peek,
    Pull,
    Settled,
)
from mombroker.operations.names import check_name
from mombroker.operations.queues import (
    ChangeQueue,
    Count,
    CreateQueue,
    DeleteQueue,
    GetQueue,
    Policy,
    PurgeQueue,
    QueueInfo,
    RedriveQueue,
)

S = TypeVar("S", bound=Struct)


class Queue:
    """A queue by its name; making this object asks the broker nothing. All methods raise Problem, and ConnectionLost
    where it is not known whether the broker has done it."""

    def __init__(self, connection: Connection, caller: Caller, branches: Branches, name: str) -> None:
        self.name = check_name(name)
        self.topic = f"$queue/{name}"
        self._connection = connection
        self._caller = caller
        self._branches = branches

    # ── the queue itself ──

    async def create(self, *, bindings: Sequence[str] = (), **policy: object) -> QueueInfo:
        """Make it, with the topic filters whose messages it takes and a policy by the names of
        :class:`~mombroker.operations.queues.Policy`. One that is there already and the same is left as it is."""
        return await self._call(
            CreateQueue(queue=self.name, policy=_policy(policy), bindings=tuple(bindings)), QueueInfo
        )

    async def change(self, *, bindings: Sequence[str] | UnsetType = UNSET, **policy: object) -> QueueInfo:
        """Change what is given of its policy; ``bindings`` take the place of all there are."""
        given: tuple[str, ...] | UnsetType = UNSET if isinstance(bindings, UnsetType) else tuple(bindings)
        return await self._call(ChangeQueue(queue=self.name, policy=_policy(policy), bindings=given), QueueInfo)

    async def info(self) -> QueueInfo:
        """Its owner, policy, bindings and numbers."""
        return await self._call(GetQueue(queue=self.name), QueueInfo)

    async def purge(self) -> int:
        """Drop every message that no consumer has; how many there were."""
        return (await self._call(PurgeQueue(queue=self.name), Count)).count

    async def delete(self, *, if_empty: bool = False, if_unused: bool = False) -> int:
        """Delete it with all its messages; how many there were."""
        request = DeleteQueue(queue=self.name, if_empty=if_empty, if_unused=if_unused)
        return (await self._call(request, Count)).count

    async def redrive(self, limit: int = 0) -> int:
        """Move dead letters back to where they came from, ``limit`` at the most (0: all); how many."""
        return (await self._call(RedriveQueue(queue=self.name, limit=limit), Count)).count

    # ── putting messages in ──

    async def put(
        self,
        payload: Payload,
        *,
        id: str = "",
        priority: int = 0,
        key: str = "",
        delay: float = 0.0,
        deliver_at: float = 0.0,
        ttl: float = 0.0,
        content_type: str = "",
        properties: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> str:
        """Put a message in, and return its id when it is on disk; an id is made up if none is given.

        It is sent again over a new connection if the first one breaks, under the same id: a queue with a dedup window
        takes it once. The fields are those of :class:`~mombroker.operations.messages.OutMessage`; ``ttl`` counts in
        whole seconds, rounded up.
        """
        pairs = tuple(properties.items()) if isinstance(properties, Mapping) else tuple(properties)
        message = OutMessage(
            id=id or token_hex(12),
            priority=priority,
            key=key,
            delay=delay,
            deliver_at=deliver_at,
            ttl=ttl,
            content_type=content_type,
            properties=pairs,
        )
        await publish_one(self._connection, self.topic, to_bytes(payload), QOS_1, put_properties(message))
        return message.id

    async def put_many(self, messages: Iterable[Payload | OutMessage] | AsyncIterator[Payload | OutMessage]) -> int:
        """Put many messages in, in order, without waiting for each; how many, when all are on disk.

        Raises PublishesRefused, which tells how many were not taken: the others are in the queue.
        """
        async with self.publisher() as publisher:
            if isinstance(messages, AsyncIterator):
                async for message in messages:
                    await publisher.send(message)
            else:
                for message in messages:
                    await publisher.send(message)
        return publisher.sent

    def publisher(self) -> QueuePublisher:
        """Puts in messages without waiting for each: ``async with queue.publisher() as publisher`` and
        ``await publisher.send(message)``."""
        return QueuePublisher(self._connection, self.topic)

    # ── taking messages out ──

    async def pull(self, limit: int = 1, *, wait: float = 0.0, lease: float = 0.0) -> list[QueueMessage]:
        """Take up to ``limit`` messages, waiting ``wait`` seconds for the first one, for ``lease`` seconds (0: as the
        queue's policy says)."""
        request = Pull(queue=self.name, limit=limit, wait=wait, lease=lease)
        return pulled(await self._caller.call(request, timeout=wait + 30.0), self._caller)

    def consume(self, credit: int = 100, *, auto_ack: bool = False) -> Consumption:
        """Have messages pushed, ``credit`` unsettled ones at the most."""
        return Consumption(self._branches, self._caller, self.name, credit, auto_ack)

    async def ack(self, messages: Iterable[QueueMessage]) -> int:
        """Acknowledge many pulled messages at once; how many of them were still ours. On disk when it returns."""
        return await self._settle(Ack(leases=tuple([message.content.lease for message in messages])))

    async def nack(
        self,
        messages: Iterable[QueueMessage],
        delay: float | None = None,
        *,
        dead_letter: bool = False,
        reason: str = "",
    ) -> int:
        """As :meth:`QueueMessage.nack`, for many pulled messages at once."""
        leases = tuple([message.content.lease for message in messages])
        return await self._settle(Nack(leases=leases, delay=delay, dead_letter=dead_letter, reason=reason))

    async def peek(self, limit: int = 10) -> list[InMessage]:
        """Look at the messages in front without taking them."""
        found = await self._caller.call(Peek(queue=self.name, limit=limit))
        return list(found.messages)

    async def find(self, id: str) -> InMessage:
        """Look for a message by its id. Raises Problem (no-such-message)."""
        return await self._call(FindMessage(queue=self.name, id=id), InMessage)

    async def _settle(self, request: Ack | Nack) -> int:
        return (await self._call(request, Settled)).settled if request.leases else 0

    async def _call(self, request: Struct, response: type[S]) -> S:
        answer = await self._caller.call(request)
        assert isinstance(answer, response)
        return answer

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"


def _policy(given: Mapping[str, object]) -> Policy:
    """Raises TypeError for a name that is no part of a policy."""
    return Policy(**given)  # type: ignore[arg-type]
