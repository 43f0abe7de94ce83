"""MQTT 3.1.1 packets, encoded in bulk.

Messages of one scenario have one size, so that thousands lie in a buffer like rows in a table: a numpy structured
array is a batch of PUBLISH packets, and setting the column ``seq`` numbers them all.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
DISCONNECT = b"\xe0\x00"
SMALLEST_PAYLOAD = 24
IDENTIFIERS = 65535


def remaining_length(number: int) -> bytes:
    """A variable byte integer."""
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def text(value: bytes) -> bytes:
    """A string with its length in front."""
    return struct.pack(">H", len(value)) + value


def packet(first: int, body: bytes) -> bytes:
    """A control packet."""
    return bytes((first,)) + remaining_length(len(body)) + body


def connect_packet(client_id: bytes, clean: bool = True) -> bytes:
    """CONNECT without keep-alive: an idle client stays idle."""
    return packet(0x10, text(b"MQTT") + b"\x04" + (b"\x02" if clean else b"\x00") + b"\x00\x00" + text(client_id))


def subscribe_packet(identifier: int, filters: Iterable[bytes], qos: int) -> bytes:
    """SUBSCRIBE to some filters, all with one QoS."""
    body = b"".join(text(item) + bytes((qos,)) for item in filters)
    return packet(0x82, struct.pack(">H", identifier) + body)


@dataclass(frozen=True)
class Layout:
    """The form of all messages of a measurement: a PUBLISH to ``topic`` with a payload of ``payload`` bytes.

    ``varying`` bytes at the end of the topic differ from message to message, and so does what begins the payload: the
    run, the publisher, a sequence number, and a time. The rest of the payload is filler that never changes.
    """

    topic: bytes
    qos: int
    payload: int
    varying: int = 0
    retain: bool = False

    def __post_init__(self) -> None:
        if self.payload < SMALLEST_PAYLOAD:
            raise ValueError(f"a payload has at least {SMALLEST_PAYLOAD} bytes, for its numbers")

    @cached_property
    def head(self) -> bytes:
        """Everything up to the varying part of the topic."""
        name = text(self.topic)
        length = len(name) + (2 if self.qos else 0) + self.payload
        first = 0x30 | self.qos << 1 | self.retain
        return (bytes((first,)) + remaining_length(length) + name)[: -self.varying or None]

    @cached_property
    def row(self) -> np.dtype[Any]:
        """One message as a row of an array."""
        fields: list[tuple[Any, ...]] = [("head", "u1", (len(self.head),))]
        if self.varying:
            fields.append(("name", f"S{self.varying}"))
        if self.qos:
            fields.append(("id", ">u2"))
        fields += [("run", "<u4"), ("publisher", "<u4"), ("seq", "<u8"), ("time", "<u8")]
        return np.dtype([*fields, ("fill", "u1", (self.payload - SMALLEST_PAYLOAD,))])

    @property
    def size(self) -> int:
        """Bytes of one message on the wire."""
        return self.row.itemsize

    def filler(self) -> npt.NDArray[np.uint8]:
        """The part of the payload that is the same in all messages; no byte repeats its neighbour."""
        return (np.arange(self.payload - SMALLEST_PAYLOAD) * 7 % 251).astype(np.uint8)

    def batch(self, count: int, run: int, publisher: int = 0) -> npt.NDArray[Any]:
        """``count`` messages that still want numbering."""
        rows = np.zeros(count, self.row)
        rows["head"] = np.frombuffer(self.head, np.uint8)
        rows["run"] = run
        rows["publisher"] = publisher
        rows["fill"] = self.filler()
        return rows


class Outbox:
    """Numbers messages and hands them out as bytes. Packet identifiers go round from 1 to 65,535."""

    def __init__(self, layout: Layout, run: int, publisher: int = 0, most: int = 4096) -> None:
        self.layout = layout
        self.most = max(1, min(most, (256 << 10) // layout.size))
        self._rows = layout.batch(self.most, run, publisher)
        self._bytes = self._rows.view(np.uint8)
        self._count = np.arange(self.most, dtype=np.uint64)
        self._topic_at = 0
        self._topics: npt.NDArray[np.bytes_] | None = None

    def vary(self, topics: npt.NDArray[np.bytes_]) -> None:
        """Let the topics' ends go round through these."""
        self._topics = topics

    def messages(self, first: int, count: int, time: int = 0) -> memoryview:
        """Messages ``first`` to ``first + count - 1``, valid until the next call."""
        rows, numbers = self._rows[:count], self._count[:count] + np.uint64(first)
        rows["seq"] = numbers
        if self.layout.qos:
            rows["id"] = numbers % IDENTIFIERS + 1
        if time:
            rows["time"] = time
        if self._topics is not None:
            rows["name"] = self._topics[(numbers % len(self._topics)).astype(np.int64)]
        return self._bytes[: count * self.layout.size].data
