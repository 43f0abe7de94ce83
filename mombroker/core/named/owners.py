"""Owners: whose queues they are, and how much they may put into them together."""

from typing import Final

from mombroker.core.limits import Limits

NOBODY: Final = ""
"""The owner of what anonymous clients make."""


class Owner:
    """``queues``, ``messages`` and ``bytes`` are those of all queues of one user."""

    __slots__ = ("name", "queues", "messages", "bytes")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.queues: int = 0
        self.messages: int = 0
        self.bytes: int = 0

    def change(self, messages: int, size: int) -> None:
        """Count messages that came (or, below zero, went)."""
        self.messages += messages
        self.bytes += size

    def has_room(self, limits: Limits, messages: int, size: int) -> bool:
        """Whether the user's quota allows so much more. 0 stands for no limit."""
        if limits.messages_per_user and self.messages + messages > limits.messages_per_user:
            return False
        return not limits.bytes_per_user or self.bytes + size <= limits.bytes_per_user
