"""Frames on their way out: gathered during a turn of the event loop, and written in one piece at its end."""

from collections.abc import Callable


class Outbox:
    """Gathers frames. ``notify`` is called by the first one after :meth:`take`: time to plan a write."""

    __slots__ = ("frames", "_notify")

    def __init__(self, notify: Callable[[], None]) -> None:
        self.frames: list[bytes] = []
        self._notify: Callable[[], None] = notify

    def send(self, frame: bytes) -> None:
        """Send this frame after those before it."""
        frames = self.frames
        if not frames:
            self._notify()
        frames.append(frame)

    def take(self) -> bytes:
        """All frames in one piece; the outbox is empty afterwards."""
        frames = self.frames
        if len(frames) == 1:
            data = frames[0]
        else:
            data = b"".join(frames)
        self.frames = []
        return data

    def clear(self) -> None:
        """Forget what was meant for a connection that is gone."""
        self.frames = []
