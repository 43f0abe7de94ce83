"""Ordering keys: of the messages with one key, one at a time is with a consumer, and the others keep their order."""

from mombroker.core.queue import Ref


class KeyLines:
    """For each key, the message that has the turn, and behind it those that stand in line.

    ``parked`` is how many stand in line; whoever fills the lines bounds it.
    """

    __slots__ = ("lines", "parked")

    def __init__(self) -> None:
        self.lines: dict[str, list[Ref]] = {}
        self.parked: int = 0

    def claim(self, key: str, ref: Ref) -> bool:
        """Whether it is the message's turn; otherwise it stands in line now."""
        line = self.lines.get(key)
        if line is None:
            self.lines[key] = [ref]
            return True
        if line[0] is ref:
            return True
        line.append(ref)
        self.parked += 1
        return False

    def release(self, key: str, ref: Ref) -> Ref | None:
        """A message is done with: the next one, if it had the turn and another one stands in line."""
        line = self.lines.get(key)
        if line is None or line[0] is not ref:
            return None
        line.pop(0)
        if not line:
            del self.lines[key]
            return None
        self.parked -= 1
        return line[0]

    def abandon(self, key: str) -> list[Ref]:
        """Nobody has the turn any more: those that stood in line."""
        line = self.lines.pop(key, None)
        if line is None:
            return []
        self.parked -= len(line) - 1
        return line[1:]

    def discard(self, queue_id: int, positions: set[int]) -> None:
        """Forget those in line that are at these positions of a lane."""
        for key, line in self.lines.items():
            kept = [line[0]]
            for ref in line[1:]:
                if ref.queue.id != queue_id or ref.position not in positions:
                    kept.append(ref)
            self.parked -= len(line) - len(kept)
            self.lines[key] = kept

    def put_away(self, held: list[Ref]) -> None:
        """Forget all that stand in line, and those that have the turn without being ``held``."""
        still = {id(ref) for ref in held}
        self.lines = {key: [line[0]] for key, line in self.lines.items() if id(line[0]) in still}
        self.parked = 0
