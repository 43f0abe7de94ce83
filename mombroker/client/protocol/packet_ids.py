"""Packet identifiers: one space for publishes, subscriptions and their ends (MQTT 5.0, section 2.2.1)."""

from typing import Final

HIGHEST: Final = 65_535


class PacketIds:
    """Hands out identifiers that are not in use, in a circle, so that one is not used again soon."""

    __slots__ = ("_last", "_used")

    def __init__(self) -> None:
        self._last: int = 0
        self._used: set[int] = set()

    def take(self) -> int:
        """A free identifier. There is one: the windows of a session are smaller than their space."""
        used = self._used
        number = self._last
        while True:
            number = number + 1 if number < HIGHEST else 1
            if number not in used:
                break
        used.add(number)
        self._last = number
        return number

    def give_back(self, number: int) -> None:
        """The exchange with this identifier is over."""
        self._used.discard(number)
