"""Ordering keys: of the messages with one key, one at a time is with a consumer, and the others keep their order."""

from mombroker.core.queue import WINDOW_BYTES, WINDOW_REFS, Ref


class KeyLines:
    """For each key, the message that has the turn, and behind it those that stand in line.

    ``parked`` is how many stand in line; whoever fills the lines stops when they are full.
    """

    __slots__ = ("lines", "parked", "parked_bytes")

    def __init__(self) -> None:
        self.lines: dict[str, list[Ref]] = {}
        self.parked: int = 0
        self.parked_bytes: int = 0

    def is_full(self) -> bool:
        """Whether no more messages should be put in line: they are in memory."""
        return self.parked >= WINDOW_REFS or self.parked_bytes >= WINDOW_BYTES

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
        self.parked_bytes += ref.message.size()
        return False

    def release(self, key: str, ref: Ref) -> Ref | None:
        """A message is done with: the next one, if it had the turn and another one stands in line."""
        line = self.lines.get(key)
        if line is None or line[0] is not ref:
            return None
        line.pop(0)
        return self._next(key, line)

    def _next(self, key: str, line: list[Ref]) -> Ref | None:
        if not line:
            del self.lines[key]
            return None
        self._unpark(line[0])
        return line[0]

    def _unpark(self, ref: Ref) -> None:
        self.parked -= 1
        self.parked_bytes -= ref.message.size()

    def abandon(self, key: str) -> list[Ref]:
        """Nobody has the turn any more: those that stood in line."""
        line = self.lines.pop(key, None)
        if line is None:
            return []
        for ref in line[1:]:
            self._unpark(ref)
        return line[1:]

    def take_parked(self, priority: int) -> Ref | None:
        """Some message of this priority at the most that stands in line, taken out of it; None if none does."""
        if self.parked:
            for line in self.lines.values():
                meta = line[1].meta if len(line) > 1 else None
                if meta is not None and meta.priority <= priority:
                    ref = line.pop(1)
                    self._unpark(ref)
                    return ref
        return None

    def discard(self, queue_id: int, positions: set[int]) -> list[Ref]:
        """Forget those at these positions of a lane. Returns those that have the turn instead of one of them."""
        following: list[Ref] = []
        for key in list(self.lines):
            line = self.lines[key]
            if not any(_is_at(ref, queue_id, positions) for ref in line):
                continue
            had_turn = line[0]
            for ref in line[1:]:
                if _is_at(ref, queue_id, positions):
                    self._unpark(ref)
            kept = [ref for ref in line if not _is_at(ref, queue_id, positions)]
            self.lines[key] = kept
            if not kept or kept[0] is not had_turn:
                ref_next = self._next(key, kept)
                if ref_next is not None:
                    following.append(ref_next)
        return following

    def put_away(self, held: list[Ref]) -> None:
        """Forget all that stand in line, and those that have the turn without being ``held``."""
        still = {id(ref) for ref in held}
        self.lines = {key: [line[0]] for key, line in self.lines.items() if id(line[0]) in still}
        self.parked = 0
        self.parked_bytes = 0


def _is_at(ref: Ref, queue_id: int, positions: set[int]) -> bool:
    return ref.queue.id == queue_id and ref.position in positions
