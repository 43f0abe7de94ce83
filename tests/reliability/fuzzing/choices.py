"""Bytes as a list of decisions, so that whatever a fuzzer makes up is a valid script, and a recorded one replays."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads decisions from the front of ``data``. When that is used up, every further decision is 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are not used yet."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """0 to 255."""
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def number(self, most: int) -> int:
        """0 to ``most``, from as many bytes as that needs."""
        value = 0
        for _ in range((most.bit_length() + 7) // 8):
            value = value << 8 | self.byte()
        return value % (most + 1)

    def flag(self) -> bool:
        """Yes or no."""
        return self.byte() & 1 == 1

    def rarely(self) -> bool:
        """Yes in one case of sixteen."""
        return self.byte() & 15 == 15

    def pick(self, options: Sequence[T]) -> T:
        """One of up to 256 options."""
        return options[self.byte() % len(options)]

    def blob(self, most: int = 255) -> bytes:
        """Up to ``most`` bytes."""
        size = min(self.number(most), self.left)
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        found = self._data[self._at :]
        self._at = len(self._data)
        return found
