"""Which messages are still owed: by number, in memory that does not grow with how many there were."""


class Books:
    """Numbers that were acknowledged and have to come, and numbers that came before their acknowledgement."""

    def __init__(self) -> None:
        self._owed: set[int] = set()
        self._early: set[int] = set()
        self.acked = 0
        self.taken = 0

    def ack(self, number: int) -> None:
        """This one was acknowledged to its publisher: it has to come, if it has not."""
        self.acked += 1
        if number in self._early:
            self._early.remove(number)
        else:
            self._owed.add(number)

    def take(self, number: int) -> None:
        """This one has come."""
        self.taken += 1
        if number in self._owed:
            self._owed.remove(number)
        else:
            self._early.add(number)

    @property
    def lost(self) -> int:
        """How many have not come."""
        return len(self._owed)

    @property
    def too_many(self) -> int:
        """How many came that nobody had acknowledged; once all has been, these are repetitions."""
        return len(self._early)
