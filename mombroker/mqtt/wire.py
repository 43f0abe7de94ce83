"""The data types of MQTT (MQTT 5.0, section 1.5): a cursor that reads them and functions that write them.

The cursor never reads past its end, which is the end of one packet even where the buffer holds many; every short
read is a malformed packet. PUBLISH and the acknowledgements do not come through here: see decoder.py.
"""

from typing import Final

from mypy_extensions import i64

from mombroker.model.reasons import PACKET_TOO_LARGE
from mombroker.mqtt.errors import ProtocolError, malformed

LONGEST_TEXT: Final = 65_535
LARGEST_VARINT: Final = 268_435_455


class Reader:
    """A cursor over ``buffer[position:end]``; each method reads one value and moves past it, or raises 0x81.

    ``what`` names the value in the error message.
    """

    __slots__ = ("buffer", "position", "end")

    def __init__(self, buffer: bytes, position: i64, end: i64) -> None:
        self.buffer: bytes = buffer
        self.position: i64 = position
        self.end: i64 = end

    def left(self) -> i64:
        """Bytes not read yet."""
        return self.end - self.position

    def byte(self, what: str) -> i64:
        """One byte."""
        at = self._take(1, what)
        return self.buffer[at]

    def two_bytes(self, what: str) -> i64:
        """A two byte integer."""
        at = self._take(2, what)
        return self.buffer[at] << 8 | self.buffer[at + 1]

    def four_bytes(self, what: str) -> i64:
        """A four byte integer."""
        buffer = self.buffer
        at = self._take(4, what)
        return buffer[at] << 24 | buffer[at + 1] << 16 | buffer[at + 2] << 8 | buffer[at + 3]

    def varint(self, what: str) -> i64:
        """A variable byte integer, in its shortest form only (MQTT-1.5.5-1)."""
        value: i64 = 0
        shift: i64 = 0
        while True:
            byte: i64 = self.byte(what)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift > 0:
                    raise malformed(f"{what} is not in its shortest form")
                return value
            shift += 7
            if shift > 21:
                raise malformed(f"{what} is longer than four bytes")

    def binary(self, what: str) -> bytes:
        """Bytes behind a two byte length."""
        length = self.two_bytes(what)
        at = self._take(length, what)
        return self.buffer[at : at + length]

    def text(self, what: str) -> str:
        """A UTF-8 string without NUL and without surrogates (MQTT-1.5.4-1, -2); a byte order mark stays."""
        return decode_text(self.binary(what), what)

    def rest(self) -> bytes:
        """All that is left."""
        at = self.position
        self.position = self.end
        return self.buffer[at : self.end]

    def finish(self, packet: str) -> None:
        """The promise that nothing follows."""
        if self.position != self.end:
            raise malformed(f"{packet} has {self.end - self.position} bytes after its last field")

    def _take(self, count: i64, what: str) -> i64:
        at = self.position
        after = at + count
        if after > self.end:
            raise malformed(f"the packet ends inside its {what}")
        self.position = after
        return at


def decode_text(raw: bytes, what: str) -> str:
    """The string that these bytes spell; 0x81 when they are not UTF-8 or hold a NUL."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed(f"the {what} is not UTF-8") from None
    if "\0" in text:
        raise malformed(f"the {what} holds a NUL character")
    return text


def encode_text(text: str, what: str) -> bytes:
    """A string behind its length; 0x81 when MQTT cannot express it."""
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError:
        raise malformed(f"the {what} holds a surrogate, which UTF-8 cannot express") from None
    return encode_binary(raw, what)


def encode_binary(raw: bytes, what: str) -> bytes:
    """Bytes behind their length; 0x81 when there are more than 65535."""
    size = len(raw)
    if size > LONGEST_TEXT:
        raise malformed(f"the {what} takes {size} bytes; MQTT allows 65535")
    return size.to_bytes(2, "big") + raw


def encode_two_bytes(value: int, what: str) -> bytes:
    """A two byte integer; 0x81 when it does not fit."""
    if value < 0 or value > 0xFFFF:
        raise malformed(f"the {what} {value} does not fit two bytes")
    return value.to_bytes(2, "big")


def encode_four_bytes(value: int, what: str) -> bytes:
    """A four byte integer; 0x81 when it does not fit."""
    if value < 0 or value > 0xFFFF_FFFF:
        raise malformed(f"the {what} {value} does not fit four bytes")
    return value.to_bytes(4, "big")


def encode_byte(value: int, what: str) -> bytes:
    """One byte; 0x81 when it does not fit."""
    if value < 0 or value > 0xFF:
        raise malformed(f"the {what} {value} does not fit one byte")
    return _ONE_BYTE[value]


def varint(n: int) -> bytes:
    """A variable byte integer in its shortest form; 0x95 when four bytes cannot hold it."""
    if 0 <= n < 0x80:
        return _ONE_BYTE[n]
    if n < 0 or n > LARGEST_VARINT:
        raise ProtocolError(PACKET_TOO_LARGE, f"{n} does not fit a variable byte integer")
    left: i64 = n
    low = left & 0x7F
    left >>= 7
    if left < 0x80:
        return _ONE_BYTE[low | 0x80] + _ONE_BYTE[left]
    digits = [low | 0x80]
    while left >= 0x80:
        digits.append(left & 0x7F | 0x80)
        left >>= 7
    digits.append(left)
    return bytes(digits)


_ONE_BYTE: Final[list[bytes]] = [bytes((value,)) for value in range(256)]
