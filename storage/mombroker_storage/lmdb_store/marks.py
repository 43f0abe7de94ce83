"""Settled marks: which records of a segment are done with while others are not. One crc32, then the mask's bytes."""

import struct
from typing import Final
from zlib import crc32

_CRC: Final = struct.Struct("<I")


def encode(key: bytes, done: int) -> bytes:
    """The stored form of a mask of settled offsets."""
    mask = done.to_bytes((done.bit_length() + 7) // 8, "little")
    return _CRC.pack(crc32(mask, crc32(key))) + mask


def decode(key: bytes, stored: bytes | memoryview) -> int | None:
    """The mask of settled offsets, or None if it fails its checksum."""
    mask = stored[_CRC.size :]
    if len(stored) < _CRC.size or crc32(mask, crc32(key)) != _CRC.unpack_from(stored)[0]:
        return None
    return int.from_bytes(mask, "little")
