"""Payloads in JSON: as text where they are text, otherwise in base64."""

from typing import Any

from msgspec import Struct, structs


def as_text(response: Struct) -> Struct:
    """The response with every payload that is UTF-8 given as text."""
    changes: dict[str, Any] = {}
    for name in response.__struct_fields__:
        value = getattr(response, name)
        if name == "payload" and getattr(response, "text", None) is None:
            text = _text_of(value)
            if text is not None:
                changes["payload"], changes["text"] = b"", text
        elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
            changes[name] = tuple(as_text(item) for item in value)
    return structs.replace(response, **changes) if changes else response


def _text_of(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
