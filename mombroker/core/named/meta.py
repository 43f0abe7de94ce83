"""What a named queue knows of a message beyond its content, and how a publisher says it.

It is kept in the head of the message's record, where a session's queue keeps subscription identifiers. Most messages
have nothing in particular, and no bytes for it.
"""

from typing import Any, Final

import msgspec

from mombroker.model.message import Message
from mombroker.mqtt.packet_types import WILL
from mombroker.mqtt.properties import Properties, decode_properties
from mombroker.mqtt.wire import varint

HIGHEST: Final = 9
"""The highest priority; 0 is the lowest, and the usual one."""

LONGEST_NAME: Final = 128
"""Characters of an id or a key."""

DEATHS_KEPT: Final = 10
"""How many of its deaths a message remembers, the latest ones."""

Death = tuple[str, str, float, int]
"""(queue, reason, Unix seconds, deliveries): how a message became a dead letter."""


class Meta:
    """``id`` is empty for a message that is known by its place. ``deliver_at`` and ``since``, when it came into this
    queue, are Unix seconds, 0.0 for at once and for when it was published. ``deliveries`` counts those before it was
    written where it is now."""

    __slots__ = ("id", "priority", "key", "deliver_at", "since", "deliveries", "deaths", "request")

    def __init__(self) -> None:
        self.id: str = ""
        self.priority: int = 0
        self.key: str = ""
        self.deliver_at: float = 0.0
        self.since: float = 0.0
        self.deliveries: int = 0
        self.deaths: list[Death] = []
        self.request: str = ""

    def is_plain(self) -> bool:
        """Whether there is nothing to remember."""
        if self.id or self.key or self.request or self.deaths:
            return False
        return not (self.priority or self.deliver_at or self.since or self.deliveries)

    def encode(self) -> bytes:
        """The bytes for the head of a record; none if there is nothing to remember."""
        if self.is_plain():
            return b""
        fields = (
            self.id,
            self.priority,
            self.key,
            self.deliver_at,
            self.since,
            self.deliveries,
            self.deaths,
            self.request,
        )
        return msgspec.msgpack.encode(fields)

    def copy(self) -> "Meta":
        """The same, to be changed."""
        other = Meta()
        other.id = self.id
        other.priority = self.priority
        other.key = self.key
        other.deliver_at = self.deliver_at
        other.since = self.since
        other.deliveries = self.deliveries
        other.deaths = list(self.deaths)
        other.request = self.request
        return other


PLAIN: Final = Meta()
"""Of a message with nothing in particular. Never changed."""


def meta_from(extra: bytes) -> Meta:
    """What :meth:`Meta.encode` made bytes of."""
    if not extra:
        return PLAIN
    fields: list[Any] = msgspec.msgpack.decode(extra)
    meta = Meta()
    meta.id = fields[0]
    meta.priority = fields[1]
    meta.key = fields[2]
    meta.deliver_at = fields[3]
    meta.since = fields[4]
    meta.deliveries = fields[5]
    meta.deaths = [(death[0], death[1], death[2], death[3]) for death in fields[6]]
    meta.request = fields[7]
    return meta


class BadOption(Exception):
    """A publisher's option cannot be read."""


def user_properties(block: bytes) -> Properties:
    """The properties that a message carries from end to end."""
    return decode_properties(varint(len(block)) + block, 0, WILL)[0]


def meta_of(message: Message, now: float) -> Meta:
    """What the publisher of an MQTT 5 message wants, by its user properties. Raises :class:`BadOption`."""
    if b"mom-" not in message.properties:
        return PLAIN
    meta = Meta()
    for name, value in user_properties(message.properties).user:
        if name == "mom-id":
            meta.id = _name(name, value)
        elif name == "mom-key":
            meta.key = _name(name, value)
        elif name == "mom-priority":
            meta.priority = int(_number(name, value, float(HIGHEST)))
        elif name == "mom-delay":
            meta.deliver_at = now + _number(name, value, 1e10)
        elif name == "mom-deliver-at":
            meta.deliver_at = _number(name, value, 1e12)
    if meta.deliver_at <= now:
        meta.deliver_at = 0.0
    return meta


def delay_of(properties: Properties) -> float:
    """The seconds that a consumer which could not handle a message wants it to wait; -1.0 if it does not say, or says
    nonsense: an acknowledgement cannot be refused."""
    for name, value in properties.user:
        if name == "mom-delay":
            try:
                return _number(name, value, 1e10)
            except BadOption:
                return -1.0
    return -1.0


def _name(option: str, value: str) -> str:
    if not value or len(value) > LONGEST_NAME:
        raise BadOption(f"{option} has {len(value)} characters; it may have 1 to {LONGEST_NAME}")
    return value


def _number(option: str, value: str, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        raise BadOption(f"{option} is {value[:40]!r}, which is no number") from None
    if not 0.0 <= number <= most:
        raise BadOption(f"{option} is {value[:40]}; it may be 0 to {most:g}")
    return number
