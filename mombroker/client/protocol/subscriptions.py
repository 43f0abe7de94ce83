"""What the application wants to be subscribed to, and the requests about it that the server has not answered yet.

A wish is asked for until it is answered, and asked for again when the server has lost the session.
"""

from typing import Protocol

from mombroker.client.protocol.outbox import Outbox
from mombroker.client.protocol.packet_ids import PacketIds
from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import UNSPECIFIED_ERROR
from mombroker.mqtt import V5, Properties, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, encode


class Answer(Protocol):
    """Waits for a SUBACK or UNSUBACK."""

    def answered(self, reasons: list[int], text: str) -> None:
        """The server's reason codes, one for each filter, and its reason string."""
        ...

    def broken(self, error: MombrokerError) -> None:
        """The client has come to its end first."""
        ...


class Wish:
    """Filters that are subscribed to, or ended, together. ``identifier`` is the subscription identifier, 0 for none."""

    __slots__ = ("filters", "identifier", "answer", "ends")

    def __init__(self, filters: list[SubscribeFilter], identifier: int, answer: Answer | None, ends: bool) -> None:
        self.filters: list[SubscribeFilter] = filters
        self.identifier: int = identifier
        self.answer: Answer | None = answer
        self.ends: bool = ends


class Subscriptions:
    """The subscriptions of one session."""

    __slots__ = ("_outbox", "_ids", "_connected", "_use_identifiers", "_granted", "_asked", "_waiting")

    def __init__(self, outbox: Outbox, ids: PacketIds) -> None:
        self._outbox: Outbox = outbox
        self._ids: PacketIds = ids
        self._connected: bool = False
        self._use_identifiers: bool = True
        self._granted: list[Wish] = []
        self._asked: dict[int, Wish] = {}
        self._waiting: list[Wish] = []

    def ask(self, wish: Wish) -> None:
        """Subscribe, or end subscriptions, as soon as there is a connection."""
        if wish.ends:
            ended = {entry.filter for entry in wish.filters}
            for granted in self._granted:
                granted.filters = [entry for entry in granted.filters if entry.filter not in ended]
            self._granted = [granted for granted in self._granted if granted.filters]
        if self._connected:
            self._send(wish)
        else:
            self._waiting.append(wish)

    def lost(self) -> None:
        """The connection is gone: what was not answered is asked again."""
        self._connected = False
        for packet_id in self._asked:
            self._ids.give_back(packet_id)
        self._waiting = list(self._asked.values()) + self._waiting
        self._asked = {}

    def resume(self, session_present: bool, use_identifiers: bool) -> None:
        """A connection is there; without a session, everything is asked for anew."""
        self._connected = True
        self._use_identifiers = use_identifiers
        if not session_present:
            again = [Wish(granted.filters, granted.identifier, None, False) for granted in self._granted]
            self._granted = []
            self._waiting = again + self._waiting
        waiting = self._waiting
        self._waiting = []
        for wish in waiting:
            self._send(wish)

    def abandon(self, error: MombrokerError) -> None:
        """This is the end: tell every request that has no answer."""
        left = [*self._asked.values(), *self._waiting]
        self._asked = {}
        self._waiting = []
        for wish in left:
            if wish.answer is not None:
                wish.answer.broken(error)

    def _send(self, wish: Wish) -> None:
        packet_id = self._ids.take()
        self._asked[packet_id] = wish
        if wish.ends:
            self._outbox.send(encode(Unsubscribe(packet_id, [entry.filter for entry in wish.filters]), V5))
            return
        properties: Properties | None = None
        if wish.identifier and self._use_identifiers:
            properties = Properties()
            properties.subscription_ids.append(wish.identifier)
        self._outbox.send(encode(Subscribe(packet_id, wish.filters, properties), V5))

    def answered(self, answer: SubAck | UnsubAck) -> None:
        """The server's answer to one request; what it granted is kept."""
        wish = self._asked.pop(answer.packet_id, None)
        if wish is None:
            return
        self._ids.give_back(answer.packet_id)
        reasons = answer.reasons
        if not wish.ends:
            granted = [
                entry for entry, reason in zip(wish.filters, reasons, strict=False) if reason < UNSPECIFIED_ERROR
            ]
            if granted:
                self._granted.append(Wish(granted, wish.identifier, None, False))
        if wish.answer is not None:
            properties = answer.properties
            wish.answer.answered(reasons, "" if properties is None else properties.reason_string or "")
