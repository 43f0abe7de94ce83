"""Which subscription a message is for: by the server's subscription identifiers, or else by the filters themselves."""

from collections import deque
from typing import Protocol

from mombroker.client.protocol import Message
from mombroker.mqtt import ProtocolError, Publish
from mombroker.mqtt.topics import matches, split_shared

UNCLAIMED_MAXIMUM = 1000


class Sink(Protocol):
    """Something that messages are for."""

    filters: tuple[str, ...]

    def received(self, message: Message) -> None:
        """A message has come. Must not raise."""
        ...


class ReplySink(Protocol):
    """Something that takes all messages to one topic, without looking at filters."""

    def replied(self, publish: Publish) -> None:
        """A reply has come. Must not raise."""
        ...


class Dispatch:
    """The receivers of one connection.

    With ``hold_unclaimed`` (a session of an earlier run is continued), a message that nobody has subscribed to yet in
    this run waits, unacknowledged, for somebody who does.
    """

    def __init__(self, hold_unclaimed: bool = False) -> None:
        self._sinks: dict[int, Sink] = {}
        self._filters: dict[int, tuple[str, ...]] = {}
        self._replies: dict[str, ReplySink] = {}
        self._last = 0
        self._hold = hold_unclaimed
        self._unclaimed: deque[tuple[Message, Publish]] = deque(maxlen=UNCLAIMED_MAXIMUM)

    def add(self, sink: Sink) -> int:
        """Register a sink; its subscription identifier."""
        self._last += 1
        self._sinks[self._last] = sink
        filters = self._filters[self._last] = tuple([_plain(filter) for filter in sink.filters])
        waiting = self._unclaimed
        self._unclaimed = deque(maxlen=UNCLAIMED_MAXIMUM)
        for message, publish in waiting:
            if wants(filters, message.topic):
                sink.received(message)
            else:
                self._unclaimed.append((message, publish))
        return self._last

    def remove(self, identifier: int) -> None:
        """Forget a sink."""
        self._sinks.pop(identifier, None)
        self._filters.pop(identifier, None)

    def add_replies(self, topic: str, sink: ReplySink) -> None:
        """Hand everything that comes to this very topic to ``sink``."""
        self._replies[topic] = sink

    def received(self, message: Message, publish: Publish) -> None:
        """Hand a message to everybody it is for."""
        replies = self._replies.get(message.topic)
        if replies is not None:
            replies.replied(publish)
            message.ack()
            return
        sinks = self._found(message, publish)
        if not sinks:
            if self._hold and message.qos:
                self._unclaimed.append((message, publish))
            else:
                message.ack()
            return
        # The copies first: the message itself may be acknowledged by whoever gets it.
        copies = [(sink, message.share(publish)) for sink in sinks[1:]]
        sinks[0].received(message)
        for sink, copy in copies:
            sink.received(copy)

    def _found(self, message: Message, publish: Publish) -> list[Sink]:
        properties = publish.properties
        if properties is not None and properties.subscription_ids:
            found = [self._sinks[number] for number in properties.subscription_ids if number in self._sinks]
            if found:
                return found
        return [sink for number, sink in self._sinks.items() if wants(self._filters[number], message.topic)]


def wants(filters: tuple[str, ...], topic: str) -> bool:
    """Whether one of these filters matches."""
    for filter in filters:
        if matches(filter, topic):
            return True
    return False


def _plain(filter: str) -> str:
    try:
        shared = split_shared(filter)
    except ProtocolError:
        return filter
    return filter if shared is None else shared[1]
