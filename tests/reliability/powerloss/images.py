"""The disks that a power cut may leave behind at a point of a recording: chosen by a seed, built in a directory.

An image is named ``CUT.NUMBER``: how many records of the log had happened, and which choice among what was pending.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.reliability.powerloss.disk import Change, Disk, File, Resize, Write, apply, enter, parent
from tests.reliability.powerloss.log import Operation, Record
from tests.reliability.powerloss.places import DATA_FILE

PAGE: Final = 4096
ROOTS: Final = 2 * PAGE
"""Where LMDB keeps its two root pages; one of them is rewritten, in one sector, by each transaction."""
SECTORS: Final = (512, 4096)

_OPENING_SHARE: Final = 0.08
_BUSY_SHARE: Final = 0.8


@dataclass(frozen=True, order=True)
class ImageId:
    """Which image of a recording."""

    cut: int
    number: int

    @staticmethod
    def of(text: str) -> "ImageId":
        """Read ``CUT.NUMBER``."""
        cut, _, number = text.partition(".")
        return ImageId(int(cut), int(number))

    def __str__(self) -> str:
        return f"{self.cut}.{self.number}"


@dataclass(frozen=True)
class Image:
    """A disk: its directories, and the content of its files. ``choice`` tells what of the pending is there; two images
    of a cut with the same ``key`` have the same names and the same data file."""

    id: ImageId
    choice: str
    directories: list[str]
    files: dict[str, bytes | bytearray]
    key: int

    def build(self, place: Path) -> None:
        """Make it in a directory."""
        for path in self.directories:
            (place / path).mkdir()
        for path, content in self.files.items():
            (place / path).write_bytes(content)


def plan(records: list[Record], seed: int, count: int, start: int = 0, end: int = 0) -> list[ImageId]:
    """Which images to look at, in the order of their cuts, which are between ``start`` and ``end`` (0: of the log)."""
    random = Random(f"plan {seed}")
    opening: list[int] = []
    busy: list[int] = []
    idle: list[int] = []
    began = False
    for cut, pending in _pending(records):
        began = began or records[cut - 1].operation == Operation.MARK
        if start < cut <= (end or len(records)):
            (opening if not began else busy if pending else idle).append(cut)
    groups = [(opening, _OPENING_SHARE), (busy, _BUSY_SHARE), (idle, 1 - _BUSY_SHARE - _OPENING_SHARE)]
    groups = [(cuts, share) for cuts, share in groups if cuts]
    numbers: dict[int, int] = {}
    chosen = []
    for _ in range(count):
        cuts = random.choices([cuts for cuts, _ in groups], [share for _, share in groups])[0]
        cut = random.choice(cuts)
        numbers[cut] = numbers.get(cut, -1) + 1
        chosen.append(ImageId(cut, numbers[cut]))
    return sorted(chosen)


def _pending(records: list[Record]) -> Iterator[tuple[int, bool]]:
    """By cut: whether names, or parts of the data file, are pending there."""
    disk = Disk()
    for number, record in enumerate(records, 1):
        disk.follow(record)
        inode = disk.live.get(DATA_FILE)
        yield number, bool(disk.namings) or inode is not None and bool(disk.files[inode].pending)


def image(disk: Disk, id: ImageId, seed: int) -> Image:
    """An image of a disk as it is at the image's cut."""
    random = Random(f"image {seed} {id}")
    names = dict(disk.names)
    said = []
    if disk.namings:
        names, how = _names(disk, names, random)
        said.append(how)
    there = {path: inode for path, inode in sorted(names.items()) if _has_parents(path, names)}
    files: dict[str, bytes | bytearray] = {}
    key: list[object] = [tuple(there)]
    for path, inode in there.items():
        if inode in disk.directories:
            continue
        file = disk.files[inode]
        if file.mapped:
            files[path], how = _mapped(file, random)
            said.append(f"{path}: {how}")
            continue
        content = bytearray(file.content)
        if file.pending:
            choice = _Choice(file, random)
            content = choice.content(content)
            said.append(f"{path}: {choice.said}")
            if path == DATA_FILE:
                key.append(tuple(choice.key))
        files[path] = content
    directories = [path for path in there if there[path] in disk.directories]
    return Image(id, "; ".join(said) or "nothing was pending", directories, files, hash(tuple(key)))


def _names(disk: Disk, names: dict[str, int], random: Random) -> tuple[dict[str, int], str]:
    """The names that are there, and how they were chosen."""
    share = random.choice((0.0, 1.0, 1.0, 0.5, 0.8))
    kept = [naming for naming in disk.namings if random.random() < share]
    for naming in kept:
        enter(names, naming)
    return names, f"{len(kept)} of {len(disk.namings)} new names"


def _has_parents(path: str, names: dict[str, int]) -> bool:
    above = parent(path)
    return not above or above in names and _has_parents(above, names)


def _mapped(file: File, random: Random) -> tuple[bytes, str]:
    """What is in a file that was written through a map: nobody knows."""
    size = len(file.content)
    for change in file.pending:
        if isinstance(change, Resize):
            size = random.choice((size, change.size))
    if random.random() < 0.5:
        return bytes(size), f"{size} zeros"
    return random.randbytes(size), f"{size} bytes of anything"


class _Choice:
    """What of a file's pending changes has reached the disk. ``key`` tells choices apart, ``said`` explains."""

    def __init__(self, file: File, random: Random) -> None:
        self._pending = file.pending
        self._certain_size = len(file.content)
        self._random = random
        self.key: list[object] = []
        self.said = ""

    def content(self, content: bytearray) -> bytearray:
        """The file's content, made of its certain one."""
        kinds = [self._whole, self._whole, self._sectors, self._sectors, self._torn, self._with_garbage]
        pieces = self._random.choice(kinds)()
        for piece in pieces:
            apply(content, piece)
        self._size(content)
        return content

    def _whole(self) -> list[Change]:
        """Writes that are there as a whole, or not at all."""
        pending, random = self._pending, self._random
        number = random.randrange(len(pending))
        kind = random.choice(("none", "all", "one", "all but one", "the first", "the last", "roots", "bodies", "some"))
        share = random.choice((0.1, 0.3, 0.5, 0.7, 0.9))
        chosen = {
            "none": lambda at: False,
            "all": lambda at: True,
            "one": lambda at: at == number,
            "all but one": lambda at: at != number,
            "the first": lambda at: at <= number,
            "the last": lambda at: at >= number,
            "roots": lambda at: self._is_root(pending[at]),
            "bodies": lambda at: not self._is_root(pending[at]),
            "some": lambda at: random.random() < share,
        }[kind]
        kept = [at for at in range(len(pending)) if chosen(at)]
        self.key += kept
        self.said = f"{kind} of {len(pending)} changes: {kept if len(kept) < 20 else len(kept)}"
        return [pending[at] for at in kept]

    def _is_root(self, change: Change) -> bool:
        return isinstance(change, Write) and change.offset < ROOTS

    def _sectors(self) -> list[Change]:
        """Some sectors of all writes."""
        size = self._random.choice(SECTORS)
        share = self._random.choice((0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98))
        pieces: list[Change] = []
        count = 0
        for change in self._pending:
            parts = list(_in_sectors(change, size))
            count += len(parts)
            for part in parts:
                if self._random.random() < share:
                    pieces.append(part)
                    self.key.append((size, count, part.offset if isinstance(part, Write) else part.size))
        self.said = f"{len(pieces)} of {count} sectors of {size}"
        return pieces

    def _torn(self) -> list[Change]:
        """Some whole writes, and half of another one."""
        pending, random = self._pending, self._random
        number = random.randrange(len(pending))
        size = random.choice(SECTORS)
        parts = list(_in_sectors(pending[number], size))
        at = random.randrange(len(parts) + 1)
        half = random.choice((parts[:at], parts[at:], parts[::2], parts[1::2]))
        others = random.choice((range(0), range(number), range(len(pending))))
        kept: list[Change] = [pending[other] for other in others if other < number]
        rest: list[Change] = [pending[other] for other in others if other > number]
        self.key += [number, size, len(others), tuple(map(hash, half))]
        self.said = (
            f"{len(half)} of {len(parts)} sectors of {size} of change {number}, and {len(kept) + len(rest)} others"
        )
        return [*kept, *half, *rest]

    def _with_garbage(self) -> list[Change]:
        """Some sectors; and one of the others holds neither what it held nor what it was to hold."""
        pieces = self._sectors()
        lost = [part for change in self._pending for part in _in_sectors(change, 512) if not self._is_root(part)]
        writes = [part for part in lost if isinstance(part, Write)]
        if writes:
            spoilt = self._random.choice(writes)
            pieces.append(Write(spoilt.offset, self._random.randbytes(len(spoilt.data))))
            self.key.append(spoilt.offset)
            self.said += f", garbage at {spoilt.offset}"
        return pieces

    def _size(self, content: bytearray) -> None:
        """The file may not have got as long as its content, or longer."""
        largest = max([len(content), *(_reach(change) for change in self._pending)])
        kind = self._random.choice(("as written", "as written", "the old one", "the new one", "between"))
        size = len(content)
        if kind == "the old one":
            size = min(self._certain_size, largest)
        elif kind == "the new one":
            size = largest
        elif kind == "between" and largest > self._certain_size:
            size = self._random.randrange(self._certain_size // 512, largest // 512 + 1) * 512
        if size != len(content):
            apply(content, Resize(size))
            self.key.append((kind, size))
            self.said += f"; its size {kind}: {size}"


def _reach(change: Change) -> int:
    return change.size if isinstance(change, Resize) else change.end


def _in_sectors(change: Change, size: int) -> Iterator[Change]:
    """A write, sector by sector; a new size is one thing."""
    if isinstance(change, Resize):
        yield change
        return
    at = change.offset
    while at < change.end:
        end = min(change.end, (at // size + 1) * size)
        yield Write(at, change.data[at - change.offset : end - change.offset])
        at = end
