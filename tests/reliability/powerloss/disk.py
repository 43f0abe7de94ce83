"""What a disk holds for certain, and what is under way to it, at any point of a recording.

Pessimistic beyond what a file system does: a write is certain only after a sync of its file (or, through O_DSYNC, after
itself), a file's size likewise, and a name only after a sync of the directory that it is in. Until then each of them
may be there or not, whatever else is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.reliability.powerloss.log import CREATED, PARTIAL, SYNCED, TRUNCATED, Operation, Record

DIRECTORY: Final = -1


class BeyondModel(Exception):
    """The process did something that the model of a disk does not know: nothing can be concluded from the recording."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes on their way to a place in a file. ``synced``: through O_DSYNC."""

    offset: int
    data: bytes
    synced: bool = False

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Resize:
    """A new size of a file; what is gained is zeros."""

    size: int


Change = Write | Resize


@dataclass(slots=True)
class File:
    """A file: its certain content, and what is pending, oldest first. ``mapped``: it was written through a map as well,
    so that nothing is known of its content."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    mapped: bool = False


@dataclass(frozen=True, slots=True)
class Naming:
    """Names that come and go in one step in one directory: by path the inode, None where the name goes."""

    directory: str
    names: tuple[tuple[str, int | None], ...]


def apply(content: bytearray, change: Change) -> None:
    """Let a change take effect."""
    if isinstance(change, Resize):
        if change.size <= len(content):
            del content[change.size :]
        else:
            content.extend(bytes(change.size - len(content)))
        return
    if change.offset > len(content):
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : change.end] = change.data


def parent(path: str) -> str:
    """The directory that a path is in; the recorded one itself is empty."""
    return path.rpartition("/")[0]


class Disk:
    """Follows a recording. ``names`` are certain, ``namings`` pending; paths are relative to the recorded directory."""

    def __init__(self) -> None:
        self.files: dict[int, File] = {}
        self.names: dict[str, int] = {}
        self.namings: list[Naming] = []
        self.live: dict[str, int] = {}
        self.directories: set[int] = set()
        self._begun: dict[tuple[int, int], tuple[list[Change], list[Naming]]] = {}

    def follow(self, record: Record) -> None:
        """Take the next record. Raises BeyondModel."""
        operation = record.operation
        if operation == Operation.WRITE:
            self._file(record).pending.append(Write(record.offset, record.data, bool(record.flags & SYNCED)))
        elif operation == Operation.DURABLE:
            self._durable(record)
        elif operation == Operation.SIZE:
            self._file(record).pending.append(Resize(record.length))
        elif operation == Operation.SYNC_BEGIN:
            file = self.files.get(record.inode)
            inside = [naming for naming in self.namings if naming.directory == record.path]
            self._begun[record.thread, record.inode] = (list(file.pending) if file else [], inside)
        elif operation == Operation.SYNC_END:
            self._synced(record)
        elif operation == Operation.OPENED:
            self._opened(record)
        elif operation == Operation.MAPPED:
            self._file(record).mapped = True
        elif operation in (Operation.MKDIR, Operation.UNLINK, Operation.RENAME, Operation.LINK):
            self._named(record)
        elif operation == Operation.BEYOND:
            raise BeyondModel(record.path)

    def _file(self, record: Record) -> File:
        file = self.files.get(record.inode)
        if file is None:
            raise BeyondModel(f"{record.path} was there before the recording began")
        return file

    def _opened(self, record: Record) -> None:
        if record.length:
            if record.path and record.inode not in self.directories:
                raise BeyondModel(f"the directory {record.path} was there before the recording began")
            return
        if record.flags & CREATED:
            self.files[record.inode] = File()
            self._rename(parent(record.path), ((record.path, record.inode),))
        elif record.flags & TRUNCATED:
            self._file(record).pending.append(Resize(0))

    def _durable(self, record: Record) -> None:
        file = self._file(record)
        if record.flags & PARTIAL:
            raise BeyondModel(f"a synced write to {record.path} was cut short")
        at = max(index for index, change in enumerate(file.pending) if _is_at(change, record.offset))
        write = file.pending.pop(at)
        assert isinstance(write, Write)
        # What is older and still pending would overwrite it when it becomes certain.
        older = [piece for change in file.pending[:at] for piece in _without(change, write)]
        file.pending[:at] = older
        apply(file.content, write)

    def _synced(self, record: Record) -> None:
        changes, namings = self._begun.pop((record.thread, record.inode))
        file = self.files.get(record.inode)
        if file is not None:
            done = set(map(id, changes))
            for change in file.pending:
                if id(change) in done:
                    apply(file.content, change)
            file.pending = [change for change in file.pending if id(change) not in done]
        for naming in namings:
            if naming in self.namings:
                self.namings.remove(naming)
                enter(self.names, naming)

    def _named(self, record: Record) -> None:
        path, other = record.path, record.data.decode()
        if record.operation == Operation.MKDIR:
            self.directories.add(record.inode)
            self._rename(parent(path), ((path, record.inode),))
        elif record.operation == Operation.UNLINK:
            self._rename(parent(path), ((path, None),))
        elif record.operation == Operation.LINK:
            self._rename(parent(other), ((other, self.live[path]),))
        elif self.live[path] in self.directories:
            raise BeyondModel(f"the directory {path} was renamed")
        elif parent(path) == parent(other):
            self._rename(parent(path), ((path, None), (other, self.live[path])))
        else:
            moved = self.live[path]
            self._rename(parent(other), ((other, moved),))
            self._rename(parent(path), ((path, None),))

    def _rename(self, directory: str, names: tuple[tuple[str, int | None], ...]) -> None:
        naming = Naming(directory, names)
        self.namings.append(naming)
        enter(self.live, naming)

    def current(self) -> dict[str, bytes]:
        """By path: the content of each file as the running process sees it, but for those that are mapped."""
        found = {}
        for path, inode in self.live.items():
            file = self.files.get(inode)
            if file is None or file.mapped:
                continue
            content = bytearray(file.content)
            for change in file.pending:
                apply(content, change)
            found[path] = bytes(content)
        return found


def enter(names: dict[str, int], naming: Naming) -> None:
    """Let names come and go."""
    for path, inode in naming.names:
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode


def _is_at(change: Change, offset: int) -> bool:
    return isinstance(change, Write) and change.synced and change.offset == offset


def _without(change: Change, write: Write) -> Iterable[Change]:
    """What is left of an older change where a newer write does not cover it."""
    if isinstance(change, Resize) or change.end <= write.offset or write.end <= change.offset:
        yield change
        return
    if change.offset < write.offset:
        yield Write(change.offset, change.data[: write.offset - change.offset])
    if write.end < change.end:
        yield Write(write.end, change.data[write.end - change.offset :])
