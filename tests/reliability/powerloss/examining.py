"""Builds images of a recording and looks at each, in a process of its own: one that is bad enough may end it."""

import json
import multiprocessing
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from . import inprocess, served
from .books import Books
from .disk import Disk
from .images import Image, ImageId, image
from .log import Operation
from .observed import judge
from .recording import Recording

SILENCE = 180.0
"""Seconds that nothing may be heard of an image; only a broken broker needs them."""

_FAST = Path("/dev/shm")


@dataclass(frozen=True)
class Verdict:
    """What an image came to; ``faults`` is empty if the broker kept its word. ``new``: not the same as another one."""

    id: ImageId
    choice: str
    faults: list[str]
    served: bool = False
    new: bool = True


@contextmanager
def directory() -> Iterator[Path]:
    """A directory in memory, where there is one: what the examined broker syncs is of no account."""
    with tempfile.TemporaryDirectory(prefix="powerloss-", dir=_FAST if _FAST.is_dir() else None) as place:
        yield Path(place)


class Point:
    """A recording, followed to a point that only goes on."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.disk = Disk()
        self.books = Books()
        self._at = 0

    def go_on(self, cut: int) -> None:
        """Follow the recording up to a cut."""
        for record in self.recording.records[self._at : cut]:
            self.disk.follow(record)
            if record.operation == Operation.MARK:
                self.books.note(json.loads(record.data))
        self._at = max(self._at, cut)


def examine(point: Point, made: Image, whole_broker: bool) -> list[str]:
    """Build an image, have a broker started on it and clients come back, and say what is wrong."""
    with directory() as place:
        made.build(place)
        try:
            if whole_broker:
                seen = served.look(place, point.books)
            else:
                seen = inprocess.look(place, point.books, point.recording.now)
            return judge(point.books, seen)
        except Exception:
            return [f"it failed:\n{traceback.format_exc()}"]


def verdicts(recording: Recording, ids: list[ImageId], serve_every: int) -> Iterator[Verdict]:
    """Examine images; every so many with a whole broker process (0: none)."""
    left = list(ids)
    while left:
        context = multiprocessing.get_context("spawn")
        ours, its = context.Pipe(duplex=False)
        offset = len(ids) - len(left)
        process = context.Process(
            target=_work, args=(str(recording.place), left, offset, serve_every, its), daemon=False
        )
        process.start()
        its.close()
        try:
            yield from _hear(ours, left)
            if left:
                process.join(SILENCE)
                yield Verdict(left.pop(0), "", [f"the process that opened it ended with {process.exitcode}"])
        except TimeoutError:
            process.kill()
            yield Verdict(left.pop(0), "", [f"nothing was heard of it for {SILENCE} s"])
        finally:
            ours.close()
            process.join(SILENCE)
            process.kill()
            process.join()


def _hear(connection: Connection, left: list[ImageId]) -> Iterator[Verdict]:
    """The verdicts that a process sends, until it ends; ``left`` are the images that it has said nothing of."""
    while left:
        if not connection.poll(SILENCE):
            raise TimeoutError
        try:
            verdict: Verdict = connection.recv()
        except EOFError:
            return
        assert verdict.id == left.pop(0)
        yield verdict


def _work(place: str, ids: list[ImageId], offset: int, serve_every: int, connection: Connection) -> None:
    point = Point(Recording.load(Path(place)))
    keys: set[tuple[int, int]] = set()
    for number, id in enumerate(ids, offset + 1):
        point.go_on(id.cut)
        made = image(point.disk, id, point.recording.seed)
        whole_broker = serve_every > 0 and number % serve_every == 0
        faults = examine(point, made, whole_broker)
        key = id.cut, made.key
        try:
            connection.send(Verdict(id, made.choice, faults, whole_broker, key not in keys))
        except BrokenPipeError:
            # Enough was found.
            return
        keys.add(key)
    connection.close()


def replay(recording: Recording, id: ImageId, whole_broker: bool) -> Verdict:
    """Examine one image in this process, and leave it beside the recording."""
    point = Point(recording)
    point.go_on(id.cut)
    made = image(point.disk, id, recording.seed)
    place = recording.place / f"image-{id}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    made.build(place)
    return Verdict(id, made.choice, examine(point, made, whole_broker), whole_broker)
