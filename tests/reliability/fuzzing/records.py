"""What the store keeps, damaged: each reader gives what its documentation promises, and nothing else.

Either bytes as they are, or with their checksums made right again: then the contents are foreign, not damaged.
"""

import struct
from zlib import crc32

from mombroker.core.records import InflightRecord, inflight_from_record
from mombroker.model.message import Message, message_from_body
from mombroker.model.unit import HEAD_SIZE, Segment, record_head
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.properties import decode_properties
from mombroker_storage.lmdb_store import marks, tables
from mombroker_storage.lmdb_store.segments import KEY, StoredSegment, UnreadableSegment, encode
from mombroker_storage.masks import offsets
from tests.reliability.fuzzing.choices import Choices
from tests.reliability.fuzzing.defects import says_why

SEGMENT_KEY = KEY.pack(7, 11)
STATE_KEY = b"\x01abc"
LONG_KEY = tables.encode_key(1, b"k" * 600)


def run(data: bytes) -> None:
    """One stored value, read by the reader that the first byte chooses."""
    choices = Choices(data)
    reader = choices.pick(READERS)
    mends = choices.flag()
    reader(bytearray(choices.rest()), mends)


def _segment(value: bytearray, mends: bool) -> None:
    """A segment is unreadable as a whole, or gives sound records and None for the others."""
    if mends and len(value) >= 18:
        count = struct.unpack_from("<I", value, 2)[0] % 64
        struct.pack_into("<BBI", value, 0, 1, value[1], count)
        columns = bytes(value[18 : 18 + 8 * count])
        struct.pack_into("<I", value, 14, crc32(columns, crc32(bytes(value[:14]), crc32(SEGMENT_KEY))))
    for form in (bytes(value), memoryview(bytes(value))):
        try:
            stored = StoredSegment(SEGMENT_KEY, form)
        except UnreadableSegment as error:
            says_why(error)
            continue
        for offset in offsets(stored.present, 0):
            record = stored.record(offset)
            # Under right checksums a foreign segment may be shorter than it says.
            assert record is None or HEAD_SIZE <= len(record) <= stored.length(offset)
            assert record is None or mends or len(record) == stored.length(offset)
            assert len(stored.raw(offset)) <= stored.length(offset)


def _state(value: bytearray, mends: bool) -> None:
    """A state record is what was put, or None."""
    for key in (STATE_KEY, LONG_KEY):
        stored = bytes(value)
        if mends and len(value) >= 8:
            stored = struct.pack("<I", crc32(stored[4:], crc32(key))) + stored[4:]
        pair = tables.decode(key, stored)
        assert pair is None or mends or tables.encode_value(key, *pair) == stored


def _marks(value: bytearray, mends: bool) -> None:
    """Marks are a mask, or None."""
    stored = bytes(value)
    if mends and len(value) >= 4:
        stored = struct.pack("<I", crc32(stored[4:], crc32(SEGMENT_KEY))) + stored[4:]
    done = marks.decode(SEGMENT_KEY, stored)
    assert (done is None or done >= 0) and (not mends or len(value) < 4 or done is not None)
    if done is not None:
        assert marks.decode(SEGMENT_KEY, marks.encode(SEGMENT_KEY, done)) == done
        assert sum(1 << offset for offset in offsets(done, 0)) == done


def _body(value: bytearray, mends: bool) -> None:
    """A message, or one of the two errors that its documentation names."""
    try:
        message = message_from_body(bytes(value))
    except (struct.error, UnicodeDecodeError):
        return
    assert message.size() <= len(value)
    assert message_from_body(message.body()).payload == message.payload


def _inflight(value: bytearray, mends: bool) -> None:
    """Identifiers and leases, or a struct.error before much memory is taken for them."""
    try:
        record = inflight_from_record(bytes(value))
    except struct.error:
        return
    again = inflight_from_record(record.encode())
    assert (again.inbound, again.released, again.leases) == (record.inbound, record.released, record.leases)


def _properties(value: bytearray, mends: bool) -> None:
    """A block of properties, or a ProtocolError."""
    for packet in (3, 16):
        try:
            _, end = decode_properties(bytes(value), 0, packet)
        except ProtocolError:
            continue
        assert end <= len(value)


READERS = (_segment, _state, _marks, _body, _inflight, _properties)


def seeds() -> list[bytes]:
    """Sound values of each kind."""
    message = Message("a/b", b"payload", 1, True, b"\x26\x00\x01k\x00\x01v", 1.0, 2.0, "me")
    segment = Segment(9)
    record = record_head(1, b"\x0b\x01") + message.body()
    segment.records = [record, b"", record]
    segment.held = 2
    stored = encode(7, segment, False)
    assert stored is not None
    inflight = InflightRecord([1, 2], [3], [(4, True, 5, 6)]).encode()
    values = (
        stored.value,
        tables.encode_value(STATE_KEY, b"abc", b"value"),
        tables.encode_value(LONG_KEY, b"k" * 600, b"value"),
        marks.encode(SEGMENT_KEY, 5),
        message.body(),
        inflight,
        bytes((len(message.properties),)) + message.properties,
    )
    readers = (0, 1, 1, 2, 3, 4, 5)
    return [bytes((reader, mends)) + value for reader, value in zip(readers, values, strict=True) for mends in (0, 1)]
