"""The log of a recording: what a process did to its files, and what its clients were told, in one order.

``record.c`` writes the records of the process. Whoever talks to the process adds marks, each in one write.
"""

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final

_HEADER: Final = struct.Struct("<IBBHIIQqq")
_MAGIC: Final = 0x52574F50

CREATED: Final = 1
TRUNCATED: Final = 2
SYNCED: Final = 4
PARTIAL: Final = 8


class Operation(IntEnum):
    """What a record is about; the numbers are those of ``record.c``."""

    OPENED = 1
    WRITE = 2
    DURABLE = 3
    SIZE = 4
    SYNC_BEGIN = 5
    SYNC_END = 6
    MKDIR = 7
    UNLINK = 8
    RENAME = 9
    LINK = 10
    MAPPED = 11
    BEYOND = 12
    LIE = 13
    MARK = 32


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``path`` is relative to the recorded directory; ``data`` is what was written, or a mark."""

    operation: Operation
    flags: int
    thread: int
    inode: int
    offset: int
    length: int
    path: str
    data: bytes


def read(path: Path) -> list[Record]:
    """All records of a log. Raises ValueError if it is not one, or ends within a record."""
    whole = path.read_bytes()
    records = []
    at = 0
    while at < len(whole):
        magic, operation, flags, path_length, thread, data_length, inode, offset, length = _HEADER.unpack_from(
            whole, at
        )
        if magic != _MAGIC:
            raise ValueError(f"{path} has no record at {at}")
        at += _HEADER.size
        name = whole[at : at + path_length].decode()
        at += path_length
        data = whole[at : at + data_length]
        at += data_length
        records.append(Record(Operation(operation), flags, thread, inode, offset, length, name, data))
    if at != len(whole):
        raise ValueError(f"{path} ends within a record")
    return records


def marks(records: list[Record]) -> Iterator[list[Any]]:
    """What the marks among these say."""
    for record in records:
        if record.operation == Operation.MARK:
            yield json.loads(record.data)


class Marker:
    """Adds marks to a log."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def mark(self, *said: object) -> None:
        """Add a mark: what is said happened after all that is in the log, and before all that will be."""
        data = json.dumps(said).encode()
        record = _HEADER.pack(_MAGIC, Operation.MARK, 0, 0, 0, len(data), 0, 0, 0) + data
        if os.write(self._descriptor, record) != len(record):
            raise OSError("the log is incomplete")

    def __enter__(self) -> "Marker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
