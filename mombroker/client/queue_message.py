"""A message taken from a queue, and the two ways to settle one: over the connection it came on, or by its lease."""

from typing import Any, Final, Protocol

from mombroker.client.later import Caller
from mombroker.client.protocol import Message
from mombroker.model.reasons import IMPLEMENTATION_SPECIFIC_ERROR, PAYLOAD_FORMAT_INVALID
from mombroker.mqtt import Properties
from mombroker.operations import Problem
from mombroker.operations.messages import Ack, Death, Extend, InMessage, Nack
from mombroker.operations.problems import BAD_REQUEST, UNKNOWN_LEASE

OWN: Final = "mom-"
"""What the names of the broker's user properties begin with."""


class Settling(Protocol):
    """How one message is settled."""

    async def ack(self) -> None:
        """It is handled."""
        ...

    async def nack(self, delay: float | None, dead_letter: bool, reason: str) -> None:
        """It is not handled."""
        ...

    async def extend(self, seconds: float) -> None:
        """It takes longer."""
        ...


class QueueMessage:
    """A message that this client has; nobody else gets it until it is settled or its lease has run out."""

    __slots__ = ("content", "_settling")

    def __init__(self, content: InMessage, settling: Settling) -> None:
        self.content: InMessage = content
        self._settling: Settling = settling

    @property
    def id(self) -> str:
        """The message id."""
        return self.content.id

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self.content.queue

    @property
    def payload(self) -> bytes:
        """The content."""
        return self.content.content()

    @property
    def text(self) -> str:
        """The content as text. Raises UnicodeDecodeError where it is not UTF-8."""
        return self.content.content().decode()

    @property
    def topic(self) -> str:
        """The topic it was published to."""
        return self.content.topic

    @property
    def content_type(self) -> str:
        """What the publisher says the payload is."""
        return self.content.content_type

    @property
    def properties(self) -> dict[str, str]:
        """The application's own properties."""
        return dict(self.content.properties)

    @property
    def key(self) -> str:
        """The ordering key."""
        return self.content.key

    @property
    def priority(self) -> int:
        """0 to 9."""
        return self.content.priority

    @property
    def deliveries(self) -> int:
        """How often it was handed out, this time included."""
        return self.content.deliveries

    @property
    def deaths(self) -> tuple[Death, ...]:
        """Why it became a dead letter, each time."""
        return self.content.deaths

    async def ack(self) -> None:
        """It is handled and leaves its queue. Raises Problem (unknown-lease) if it is not ours any more.

        For a pulled message this returns when it is on disk; a pushed message's acknowledgement is on its way, and a
        broken connection in the next moment makes the broker hand the message out again.
        """
        await self._settling.ack()

    async def nack(self, delay: float | None = None, *, dead_letter: bool = False, reason: str = "") -> None:
        """It could not be handled: it is handed out again, after ``delay`` seconds or as the queue's policy says; with
        ``dead_letter`` it never is, for the ``reason`` given. Raises Problem as :meth:`ack`."""
        await self._settling.nack(delay, dead_letter, reason)

    async def extend(self, seconds: float) -> None:
        """Have it for ``seconds`` more, from now on. Raises Problem as :meth:`ack`. (A pushed message that has no lease
        of its own is ours as long as its connection stands; then there is nothing to do.)"""
        await self._settling.extend(seconds)

    def __repr__(self) -> str:
        return f"QueueMessage(id={self.id!r}, queue={self.queue!r}, {len(self.payload)} bytes)"


class LeaseSettling:
    """Settles a message that was pulled."""

    __slots__ = ("_caller", "_lease")

    def __init__(self, caller: Caller, lease: str) -> None:
        self._caller = caller
        self._lease = lease

    async def ack(self) -> None:
        """It is handled."""
        await self._caller.call(Ack(leases=self._leases()))

    async def nack(self, delay: float | None, dead_letter: bool, reason: str) -> None:
        """It is not handled."""
        await self._caller.call(Nack(leases=self._leases(), delay=delay, dead_letter=dead_letter, reason=reason))

    async def extend(self, seconds: float) -> None:
        """It takes longer."""
        await self._caller.call(Extend(leases=self._leases(), seconds=seconds))

    def _leases(self) -> tuple[str]:
        if not self._lease:
            raise Problem(BAD_REQUEST, "the message was only looked at: pull it to settle it")
        return (self._lease,)


class PushSettling:
    """Settles a message that was pushed, by its PUBACK."""

    __slots__ = ("_message", "_caller", "_lease")

    def __init__(self, message: Message, caller: Caller, lease: str) -> None:
        self._message = message
        self._caller = caller
        self._lease = lease

    async def ack(self) -> None:
        """It is handled."""
        if not self._message.ack():
            raise self._not_ours()

    async def nack(self, delay: float | None, dead_letter: bool, reason: str) -> None:
        """It is not handled: 0x83 for another try, 0x99 for the dead letters."""
        properties = Properties()
        if reason:
            properties.reason_string = reason
        if delay is not None:
            properties.user.append(("mom-delay", f"{delay:g}"))
        code = PAYLOAD_FORMAT_INVALID if dead_letter else IMPLEMENTATION_SPECIFIC_ERROR
        if not self._message.settle(code, properties if properties.present() else None):
            raise self._not_ours()

    async def extend(self, seconds: float) -> None:
        """It takes longer."""
        if self._message.acknowledged:
            raise self._not_ours()
        if self._lease:
            await self._caller.call(Extend(leases=(self._lease,), seconds=seconds))

    def _not_ours(self) -> Problem:
        return Problem(
            UNKNOWN_LEASE, f"the message from {self._message.topic} was settled before, or its connection is gone"
        )


def pushed(message: Message, queue: str, caller: Caller) -> QueueMessage:
    """The message of a queue that came as a PUBLISH."""
    properties = message.mqtt_properties
    user = [] if properties is None else properties.user
    own = {name: value for name, value in user if name.startswith(OWN)}
    lease = own.get("mom-lease", "")
    content = InMessage(
        id=own.get("mom-id", ""),
        queue=own.get("mom-queue", queue),
        lease=lease,
        topic=message.topic,
        payload=message.payload,
        content_type=message.content_type,
        properties=tuple([pair for pair in user if not pair[0].startswith(OWN)]),
        priority=_whole(own.get("mom-priority", ""), 0),
        key=own.get("mom-key", ""),
        deliveries=_whole(own.get("mom-deliveries", ""), 1),
    )
    return QueueMessage(content, PushSettling(message, caller, lease))


def pulled(messages: Any, caller: Caller) -> list[QueueMessage]:
    """The messages that came as the answer to an operation."""
    return [QueueMessage(content, LeaseSettling(caller, content.lease)) for content in messages.messages]


def _whole(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() else otherwise
