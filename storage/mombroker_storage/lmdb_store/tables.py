"""State records: how a (table, key, value) is stored in the one LMDB database of all tables.

LMDB keys are at most 511 bytes, but topics and client identifiers may have 65535. A longer key is cut off and told
apart by its SHA-256; the whole of it then stands before the value::

    key of up to 400 bytes   table u8 | key                          crc32 u32 | value
    longer key               table u8 | 400 bytes of key | sha256    crc32 u32 | length u32 | key | value

The crc32 covers the database key and what follows it.
"""

import hashlib
import struct
from typing import Final
from zlib import crc32

_WHOLE: Final = 400
_LONG: Final = 1 + _WHOLE + 32
_CRC: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<I")


def encode_key(table: int, key: bytes) -> bytes:
    """The database key of a state record."""
    if len(key) <= _WHOLE:
        return bytes((table,)) + key
    return bytes((table,)) + key[:_WHOLE] + hashlib.sha256(key).digest()


def encode_value(stored_key: bytes, key: bytes, value: bytes) -> bytes:
    """The database value of a state record."""
    if len(stored_key) == _LONG:
        value = _LENGTH.pack(len(key)) + key + value
    return _CRC.pack(crc32(value, crc32(stored_key))) + value


def decode(stored_key: bytes, stored: bytes) -> tuple[bytes, bytes] | None:
    """The (key, value) of a state record, or None if it fails its checksum."""
    value = stored[_CRC.size :]
    if len(stored) < _CRC.size or crc32(value, crc32(stored_key)) != _CRC.unpack_from(stored)[0]:
        return None
    if len(stored_key) == _LONG:
        end = _LENGTH.size + _LENGTH.unpack_from(value)[0]
        return value[_LENGTH.size : end], value[end:]
    return stored_key[1:], value


def same_cut(earlier: bytes, later: bytes) -> bool:
    """Whether both database keys stand for long keys that begin alike, so that their order is not that of the keys."""
    return len(earlier) == len(later) == _LONG and earlier[: 1 + _WHOLE] == later[: 1 + _WHOLE]
