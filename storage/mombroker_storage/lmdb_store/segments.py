"""The form of a segment on disk: one LMDB value that holds up to about a thousand records of one queue.

::

    key    queue id u64 BE | last position u64 BE
    value  format u8 | flags u8 | count u32 | first position u64 | crc32 u32
           count lengths u32 | count crc32s u32 | the records, one after another

Numbers in values are little-endian. The first crc32 covers the key, the header and both columns, each of the others
one record: a flipped bit in a record costs that record, one in the columns costs the segment. A length of 0 is a
hole. A segment begins and ends with a record, never with a hole.
"""

import struct
from itertools import accumulate
from operator import itemgetter
from typing import Final
from zlib import crc32

from mombroker.model.unit import HEAD_SIZE, SHARED_BODY, Segment
from mombroker_storage.masks import present_mask

KEY: Final = struct.Struct(">QQ")

_FORMAT: Final = 1
_HAS_SHARED: Final = 1
_HEADER: Final = struct.Struct("<BBIQ")
_CRC: Final = struct.Struct("<I")
_COLUMNS_AT: Final = _HEADER.size + _CRC.size
_flags_of = itemgetter(0)


class UnreadableSegment(Exception):
    """The header or the columns of a segment fail their checksum. ``first`` is a guess where it begins, or None."""

    def __init__(self, detail: str, first: int | None) -> None:
        super().__init__(detail)
        self.detail: str = detail
        self.first: int | None = first


class EncodedSegment:
    """A segment ready to be put, and what has to be remembered of it."""

    __slots__ = ("key", "value", "first", "last", "present")

    def __init__(self, key: bytes, value: bytes, first: int, last: int, present: int) -> None:
        self.key: bytes = key
        self.value: bytes = value
        self.first: int = first
        self.last: int = last
        self.present: int = present


def encode(queue_id: int, segment: Segment, may_share: bool) -> EncodedSegment | None:
    """The stored form of a segment, or None if nothing but holes is left of it.

    ``may_share`` is False when the unit refers to no shared body, which saves looking at the records.
    """
    records = segment.records
    first = segment.first
    if segment.held != len(records):
        if not segment.held:
            return None
        first, records = _trimmed(first, records)
    lengths = list(map(len, records))
    count = len(lengths)
    last = first + count - 1
    # Everything per record happens in C: this runs beside the broker's loop and contends with it for the interpreter.
    shared = may_share and max(map(_flags_of, filter(None, records))) >= SHARED_BODY
    columns = struct.pack(f"<{2 * count}I", *lengths, *map(crc32, records))
    header = _HEADER.pack(_FORMAT, _HAS_SHARED if shared else 0, count, first)
    key = KEY.pack(queue_id, last)
    check = _CRC.pack(crc32(columns, crc32(header, crc32(key))))
    return EncodedSegment(key, b"".join([header, check, columns, *records]), first, last, present_mask(lengths))


def _trimmed(first: int, records: list[bytes]) -> tuple[int, list[bytes]]:
    start = 0
    while not records[start]:
        start += 1
    end = len(records)
    while not records[end - 1]:
        end -= 1
    return first + start, records[start:end]


class StoredSegment:
    """A segment as read back, checked as far as its header and columns go; records are checked one by one."""

    __slots__ = ("first", "last", "present", "has_shared", "_bytes", "_ends", "_lengths", "_checks")

    def __init__(self, key: bytes, value: bytes | memoryview) -> None:
        """Raises UnreadableSegment."""
        self.last: int = KEY.unpack(key)[1]
        count, flags, self.first = self._check(key, value)
        columns = struct.unpack_from(f"<{2 * count}I", value, _COLUMNS_AT)
        self._lengths: list[int] = list(columns[:count])
        self._checks: tuple[int, ...] = columns[count:]
        data_at = _COLUMNS_AT + 8 * count
        self._ends: list[int] = list(accumulate(self._lengths, initial=data_at))
        self.has_shared: bool = flags & _HAS_SHARED != 0
        self.present: int = present_mask(self._lengths)
        self._bytes: bytes | memoryview = value

    def _check(self, key: bytes, value: bytes | memoryview) -> tuple[int, int, int]:
        if len(value) < _COLUMNS_AT:
            raise UnreadableSegment("the segment is cut off", None)
        layout, flags, count, first = _HEADER.unpack_from(value, 0)
        guess = first if first + count - 1 == self.last else None
        columns_end = _COLUMNS_AT + 8 * count
        if columns_end > len(value):
            raise UnreadableSegment("the segment's header is damaged", None)
        check = crc32(value[_COLUMNS_AT:columns_end], crc32(value[: _HEADER.size], crc32(key)))
        if check != _CRC.unpack_from(value, _HEADER.size)[0] or layout != _FORMAT:
            raise UnreadableSegment("the segment's header or columns fail their checksum", guess)
        return count, flags, first

    def length(self, offset: int) -> int:
        """Bytes of a record."""
        return self._lengths[offset]

    def raw(self, offset: int) -> bytes:
        """A record, unchecked."""
        return bytes(self._bytes[self._ends[offset] : self._ends[offset + 1]])

    def record(self, offset: int) -> bytes | None:
        """A record, or None if it fails its checksum."""
        record = self.raw(offset)
        if crc32(record) != self._checks[offset] or len(record) < HEAD_SIZE:
            return None
        return record
