"""Where the broker's own topics are."""

from typing import Final

OPERATIONS: Final = "$mom/v1/"
"""In front of the name of an operation of the native API."""

REPLY_SPACE: Final = "$mom/reply/"


def reply_space(client_id: str) -> str:
    """The topics below which only this client may subscribe. Percent-encodes what has a meaning in filters."""
    name = client_id.replace("%", "%25").replace("/", "%2F").replace("+", "%2B").replace("#", "%23")
    return f"{REPLY_SPACE}{name}/"
