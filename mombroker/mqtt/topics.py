"""Topic names and topic filters (MQTT 5.0, section 4.7) and shared subscriptions (4.8.2)."""

from typing import Final

from mypy_extensions import i64

from mombroker.model.reasons import TOPIC_FILTER_INVALID, TOPIC_NAME_INVALID
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.wire import LONGEST_TEXT, decode_text

SHARED_PREFIX: Final = "$share/"


def check_name(raw: bytes) -> str:
    """The topic a PUBLISH or a will names; 0x81 when it is not a UTF-8 string, 0x90 when it is no topic name."""
    topic = decode_text(raw, "topic name")
    if not topic:
        raise ProtocolError(TOPIC_NAME_INVALID, "the topic name is empty")
    if is_wildcard(topic):
        raise ProtocolError(TOPIC_NAME_INVALID, f"the topic name {topic!r} holds a wildcard")
    if len(raw) > LONGEST_TEXT:
        raise ProtocolError(TOPIC_NAME_INVALID, f"the topic name takes {len(raw)} bytes; MQTT allows 65535")
    return topic


def is_wildcard(filter: str) -> bool:
    """Whether the filter may match more than the one topic that is spelled like it."""
    return "+" in filter or "#" in filter


def check_filter(filter: str) -> bool:
    """Whether this is a valid filter, taken as a plain one: ``$share/`` has no meaning here."""
    if not filter or "\0" in filter or len(filter) > LONGEST_TEXT:
        return False
    if not filter.isascii() and _encoded_size(filter) > LONGEST_TEXT:
        return False
    return not is_wildcard(filter) or _wildcards_stand_alone(filter)


def _encoded_size(filter: str) -> int:
    return len(filter.encode("utf-8", "surrogatepass"))


def _wildcards_stand_alone(filter: str) -> bool:
    levels = filter.split("/")
    last = len(levels) - 1
    for index, level in enumerate(levels):
        if level == "#":
            if index != last:
                return False
        elif level != "+" and is_wildcard(level):
            return False
    return True


def split_shared(filter: str) -> tuple[str, str] | None:
    """The share name and the filter behind it, None for a plain filter; 0x8F when ``$share/`` is ill-formed.

    The filter behind the share name still has to pass :func:`check_filter`.
    """
    if not filter.startswith(SHARED_PREFIX):
        return None
    group, slash, plain = filter[len(SHARED_PREFIX) :].partition("/")
    if not group or is_wildcard(group):
        raise ProtocolError(TOPIC_FILTER_INVALID, f"the shared subscription {filter!r} has no valid share name")
    if not slash or not plain:
        raise ProtocolError(TOPIC_FILTER_INVALID, f"the shared subscription {filter!r} has no topic filter")
    return group, plain


def matches(filter: str, topic: str) -> bool:
    """Whether a message to ``topic`` is for the (valid, plain) ``filter``.

    A leading wildcard does not see topics that begin with ``$`` (MQTT-4.7.2-1).
    """
    if topic.startswith("$") and (filter.startswith("+") or filter.startswith("#")):
        return False
    wanted = filter.split("/")
    levels = topic.split("/")
    count: i64 = len(levels)
    index: i64 = 0
    for level in wanted:
        if level == "#":
            return True
        if index == count or (level != "+" and level != levels[index]):
            return False
        index += 1
    return index == count
