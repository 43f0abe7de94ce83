"""Builds images of a recording and looks at each, in a process of its own: one that is bad enough may end it."""

import contextlib
import json
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
from tests.reliability.powerloss.log import Operation
from tests.reliability.powerloss.observed import judge
from tests.reliability.powerloss.recording import Recording

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
        offset = len(ids) - len(left)
        command = [sys.executable, str(_STARTER), "powerloss", "--examine", str(offset), "--served", str(serve_every)]
        command += ["--keep", str(recording.place)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            lines: SimpleQueue[str] = SimpleQueue()
            threading.Thread(target=_pass_on, args=(process, " ".join(map(str, left)), lines), daemon=True).start()
            try:
                yield from _hear(process, lines, left)
            finally:
                process.kill()


def _pass_on(process: "subprocess.Popen[str]", ids: str, lines: "SimpleQueue[str]") -> None:
    """Tell a process its images, and pass on what it says, in the end nothing."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(ids)
        process.stdin.close()
    for line in process.stdout:
        lines.put(line)
    lines.put("")


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
        point.go_on(id.cut)
        made = image(point.disk, id, point.recording.seed)
        whole_broker = serve_every > 0 and number % serve_every == 0
        faults = examine(point, made, whole_broker)
        key = id.cut, made.key
        print(json.dumps([str(id), made.choice, faults, whole_broker, key not in keys]), flush=True)
        keys.add(key)


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
