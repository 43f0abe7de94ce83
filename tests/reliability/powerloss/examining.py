"""Builds images of a recording and looks at each, in a process of its own: one that is bad enough may end it."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.reliability.powerloss import inprocess, served
from tests.reliability.powerloss.books import Books
from tests.reliability.powerloss.disk import Disk
from tests.reliability.powerloss.images import Image, ImageId, image
from tests.reliability.powerloss.late import reliable
from tests.reliability.powerloss.log import Operation, marks
from tests.reliability.powerloss.observed import judge
from tests.reliability.powerloss.recording import INTERVAL, Recording

SILENCE = 180.0
"""Seconds that nothing may be heard of an image; only a broken broker needs them."""

_FAST = Path("/dev/shm")
_STARTER = Path(__file__).parents[1]


@dataclass(frozen=True)
class Verdict:
    """What an image came to; ``faults`` is empty if the broker kept its word. ``new``: not the same as another one."""

    id: ImageId
    choice: str
    faults: list[str]
    served: bool = False
    new: bool = True


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A directory in memory, where there is one: what the examined broker syncs is of no account."""
    fast = None if "TMPDIR" in os.environ or not _FAST.is_dir() else _FAST
    with tempfile.TemporaryDirectory(prefix="powerloss-", dir=fast) as place:
        yield Path(place)


class Point:
    """A recording, followed to a point that only goes on. ``books`` are what clients may rely on there."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.disk = Disk()
        self._books = Books()
        self._older = Books()
        self._at = 0
        self._older_at = 0
        self._last_root = 0

    def go_on(self, cut: int) -> None:
        """Follow the recording up to a cut."""
        for number, record in enumerate(self.recording.records[self._at : cut], self._at):
            self.disk.follow(record)
            if record.operation == Operation.MARK:
                self._books.note(json.loads(record.data))
            elif record.operation == Operation.DURABLE and self.recording.durability == INTERVAL:
                # The commit before this one has ended there.
                for mark in marks(self.recording.records[self._older_at : self._last_root]):
                    self._older.note(mark)
                self._older_at = max(self._older_at, self._last_root)
                self._last_root = number
        self._at = max(self._at, cut)

    @property
    def books(self) -> Books:
        """The books, as far as the durability lets anybody rely on them."""
        return reliable(self._older, self._books) if self.recording.durability == INTERVAL else self._books


def examine(point: Point, made: Image, whole_broker: bool) -> list[str]:
    """Build an image, have a broker started on it and clients come back, and say what is wrong."""
    with directory() as place:
        made.build(place)
        books = point.books
        try:
            seen = served.look(place, books) if whole_broker else inprocess.look(place, books, point.recording.now)
            return judge(books, seen, with_retained=point.recording.durability != INTERVAL)
        except Exception:
            return [f"it failed:\n{traceback.format_exc()}"]


def verdicts(recording: Recording, ids: list[ImageId], serve_every: int) -> Iterator[Verdict]:
    """Examine images; every so many with a whole broker process (0: none)."""
    left = list(ids)
    while left:
        offset = len(ids) - len(left)
        command = [sys.executable, str(_STARTER), "powerloss", "--examine", str(offset), "--served", str(serve_every)]
        command += ["--keep", str(recording.place)]
        # What a process leaves that is ended by a signal goes with the directory.
        with directory() as place:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "TMPDIR": str(place)},
                text=True,
            )
            lines: SimpleQueue[str] = SimpleQueue()
            threading.Thread(target=_pass_on, args=(process, left.copy(), lines), daemon=True).start()
            try:
                yield from _hear(process, lines, left)
            finally:
                _end(process)


def _pass_on(process: "subprocess.Popen[str]", ids: list[ImageId], lines: "SimpleQueue[str]") -> None:
    """Tell a process its images, and pass on what it says, in the end nothing."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError), process.stdout:
        process.stdin.write(" ".join(map(str, ids)) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def _end(process: "subprocess.Popen[str]") -> None:
    """Let a process end, which it does after the image that it is at, with the broker that it may have started."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(SILENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _hear(process: "subprocess.Popen[str]", lines: "SimpleQueue[str]", left: list[ImageId]) -> Iterator[Verdict]:
    """The verdicts that a process sends, until it ends; ``left`` are the images that it has said nothing of."""
    while left:
        try:
            line = lines.get(timeout=SILENCE)
        except Empty:
            yield Verdict(left.pop(0), "", [f"nothing was heard of it for {SILENCE} s"])
            return
        if not line:
            code = process.wait(SILENCE)
            if code >= 0:
                raise RuntimeError(f"the process that examines images has ended with {code}")
            yield Verdict(left.pop(0), "", [f"the process that opened it was ended by signal {-code}"])
            return
        id, choice, faults, served_too, new = json.loads(line)
        verdict = Verdict(ImageId.of(id), choice, faults, served_too, new)
        assert verdict.id == left.pop(0)
        yield verdict


def work(place: Path, ids: list[ImageId], offset: int, serve_every: int) -> None:
    """What such a process does: print a line for every image. ``offset`` others were examined before."""
    point = Point(Recording.load(place))
    keys: set[tuple[int, int]] = set()
    for number, id in enumerate(ids, offset + 1):
        if select.select([sys.stdin], [], [], 0)[0]:
            # Closed: nobody wants to know more.
            return
        point.go_on(id.cut)
        made = image(point.disk, id, point.recording.seed)
        whole_broker = serve_every > 0 and number % serve_every == 0
        faults = examine(point, made, whole_broker)
        key = id.cut, made.key
        print(json.dumps([str(id), made.choice, faults, whole_broker, key not in keys]), flush=True)
        keys.add(key)


def replay(recording: Recording, id: ImageId, whole_broker: bool) -> Verdict:
    """Examine one image, and leave it beside the recording."""
    point = Point(recording)
    point.go_on(id.cut)
    place = recording.place / f"image-{id}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    image(point.disk, id, recording.seed).build(place)
    return next(verdicts(recording, [id], int(whole_broker)))
