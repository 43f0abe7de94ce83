"""Changed copies of messages, for plugins: a message itself is shared and must stay as it is."""

from collections.abc import Iterable
from typing import Final

from mombroker.model.errors import PluginError
from mombroker.model.message import Message

_USER_PROPERTY: Final = b"\x26"
_LONGEST: Final = 65_535


def changed(
    message: Message,
    *,
    topic: str | None = None,
    payload: bytes | None = None,
    add_user_properties: Iterable[tuple[str, str]] = (),
) -> Message:
    """A copy of ``message`` with another topic or payload, or with further MQTT 5 user properties at the end.

    Everything else stays as the publisher set it. Raises PluginError for a property that MQTT cannot carry.
    """
    added = b"".join(_user_property(name, value) for name, value in add_user_properties)
    return Message(
        message.topic if topic is None else topic,
        message.payload if payload is None else payload,
        message.qos,
        message.retain,
        message.properties + added,
        message.published_at,
        message.expires_at,
        message.publisher,
    )


def _user_property(name: str, value: str) -> bytes:
    return _USER_PROPERTY + _text(name) + _text(value)


def _text(text: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise PluginError("a user property holds a lone surrogate, which MQTT cannot carry: clean the text") from None
    if len(encoded) > _LONGEST or "\0" in text:
        raise PluginError(f"a user property is longer than {_LONGEST} bytes or holds a null character: clean the text")
    return len(encoded).to_bytes(2) + encoded
