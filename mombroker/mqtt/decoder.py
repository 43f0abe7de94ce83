"""From bytes to packets: the only door for what a peer sends.

The chunk that came from the socket is walked in place. What follows the chunk while a packet is incomplete waits in
``_pending``, a list, and is joined to it once: when the packet is complete (or, at most five bytes later, its length
is known). So the cost of a byte does not depend on how the stream was cut, and an idle decoder holds no buffer.

Invariants: ``_buffer[_position:_size]`` precedes ``_pending``; ``_pending`` is None or not empty.
"""

from typing import Final

from mypy_extensions import i64

from mombroker.model.reasons import PACKET_TOO_LARGE, UNSUPPORTED_PROTOCOL_VERSION
from mombroker.mqtt.errors import ProtocolError, forbidden, malformed
from mombroker.mqtt.packet_types import (
    AUTH,
    CONNACK,
    CONNECT,
    DISCONNECT,
    LARGEST_PACKET,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    V5,
    V31,
    V311,
    packet_name,
)
from mombroker.mqtt.packets import Ack, Packet, PingReq, PingResp, Publish
from mombroker.mqtt.properties import read_properties
from mombroker.mqtt.readers import (
    read_ack,
    read_auth,
    read_connack,
    read_connect,
    read_disconnect,
    read_suback,
    read_subscribe,
    read_unsuback,
    read_unsubscribe,
    read_version,
)
from mombroker.mqtt.topics import check_name
from mombroker.mqtt.wire import Reader

# Chunks below this size are glued together while they wait, so that a peer that sends two bytes at a time cannot make
# the list cost more than the bytes in it.
_GLUE_BELOW: Final = 4096

_CLIENT_SENDS: Final = 1 << CONNECT | 1 << SUBSCRIBE | 1 << UNSUBSCRIBE | 1 << PINGREQ
_SERVER_SENDS: Final = 1 << CONNACK | 1 << SUBACK | 1 << UNSUBACK | 1 << PINGRESP
_HAS_FLAGS_2: Final = 1 << PUBREL | 1 << SUBSCRIBE | 1 << UNSUBSCRIBE


class Decoder:
    """The packets of one connection in one direction: feed() it chunks and call next() until it returns None.

    ``from_client`` tells which side sends. The decoder of a server starts with ``version`` 0, takes nothing but a
    CONNECT, and learns the version from it (as soon as the protocol level is read, so that even the refusal of a
    malformed CONNECT can be put in the client's version; one older than 5 that is not served is answered like 3.1.1).
    With ``check_topics`` off, the topic of a PUBLISH is neither decoded nor validated; all else always is.
    """

    __slots__ = (
        "version",
        "maximum_packet_size",
        "_from_client",
        "_check_topics",
        "_buffer",
        "_position",
        "_size",
        "_pending",
        "_pending_size",
        "_failure",
    )

    def __init__(
        self,
        from_client: bool,
        version: i64 = 0,
        maximum_packet_size: i64 = LARGEST_PACKET,
        check_topics: bool = True,
    ) -> None:
        self.version: i64 = version
        self.maximum_packet_size: i64 = maximum_packet_size
        self._from_client: bool = from_client
        self._check_topics: bool = check_topics
        self._buffer: bytes = b""
        self._position: i64 = 0
        self._size: i64 = 0
        self._pending: list[bytes] | None = None
        self._pending_size: i64 = 0
        self._failure: ProtocolError | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream, without copying them unless they complete a packet."""
        if self._failure is not None or not data:
            return
        pending = self._pending
        if pending is not None:
            last = pending[-1]
            if len(last) + len(data) <= _GLUE_BELOW:
                pending[-1] = last + data
            else:
                pending.append(data)
            self._pending_size += len(data)
        elif self._position < self._size:
            self._pending = [data]
            self._pending_size = len(data)
        else:
            self._buffer = data
            self._position = 0
            self._size = len(data)

    def buffered(self) -> int:
        """How many bytes were fed and do not belong to a packet that next() has returned."""
        return self._size - self._position + self._pending_size

    def next(self) -> Packet | None:
        """The next packet, or None when more bytes are needed. After a ProtocolError it only raises that again."""
        failure = self._failure
        if failure is not None:
            raise ProtocolError(failure.reason, failure.detail)
        try:
            return self._next()
        except ProtocolError as error:
            # A copy: the error that travels up carries a traceback, which would keep this whole stack alive.
            self._failure = ProtocolError(error.reason, error.detail)
            self._drop_all()
            raise

    def _next(self) -> Packet | None:
        while True:
            buffer = self._buffer
            start = self._position
            size = self._size
            body = start + 2
            if body > size:
                if self._wait(2):
                    continue
                return None
            length: i64 = buffer[start + 1]
            if length >= 0x80:
                length &= 0x7F
                shift: i64 = 7
                digit: i64 = 0x80
                while digit >= 0x80 and shift <= 21 and body < size:
                    digit = buffer[body]
                    length |= (digit & 0x7F) << shift
                    shift += 7
                    body += 1
                if digit >= 0x80:
                    if shift > 21:
                        raise malformed("the remaining length is longer than four bytes")
                    if self._wait(body - start + 1):
                        continue
                    return None
                if digit == 0 and self.version == V5:
                    raise malformed("the remaining length is not in its shortest form")
            first: i64 = buffer[start]
            end = body + length
            if end - start > self.maximum_packet_size:
                raise _too_large(first >> 4, end - start, self.maximum_packet_size)
            if end > size:
                self._check_header(first, length)
                if self._wait(end - start):
                    continue
                return None
            self._position = end
            if first >> 4 == PUBLISH and self.version != 0:
                return self._publish(buffer, start, body, end, first & 15)
            return self._other(buffer, body, end, first, length)

    def _wait(self, need: i64) -> bool:
        """Whether joining the pending chunks gives the unfinished packet ``need`` bytes; if so, they are joined."""
        left = self._size - self._position
        pending = self._pending
        if pending is not None and left + self._pending_size >= need:
            if left > 0:
                pending.insert(0, self._buffer[self._position :])
            self._buffer = pending[0] if len(pending) == 1 else b"".join(pending)
            self._pending = None
            self._pending_size = 0
            self._position = 0
            self._size = len(self._buffer)
            return True
        if self._position > 0:
            # Lets go of the chunk, of which only the beginning of a packet is still wanted.
            self._buffer = self._buffer[self._position :]
            self._position = 0
            self._size = left
        return False

    def _drop_all(self) -> None:
        self._buffer = b""
        self._position = 0
        self._size = 0
        self._pending = None
        self._pending_size = 0

    def _publish(self, buffer: bytes, start: i64, body: i64, end: i64, flags: i64) -> Publish:
        version = self.version
        if flags & 6 == 6 or flags & 14 == 8:
            self._check_publish_flags(flags)
        topic_start = body + 2
        if topic_start > end:
            raise malformed("PUBLISH ends inside the length of its topic")
        at = topic_start + (buffer[body] << 8 | buffer[body + 1])
        if at > end:
            raise malformed("PUBLISH ends inside its topic")
        topic = buffer[topic_start:at]
        packet_id: i64 = 0
        if flags & 6 != 0:
            if at + 2 > end:
                raise malformed("PUBLISH ends inside its packet identifier")
            packet_id = buffer[at] << 8 | buffer[at + 1]
            if packet_id == 0:
                raise forbidden("PUBLISH has the packet identifier 0")
            at += 2
        if version == V5:
            if at >= end:
                raise malformed("PUBLISH has no property length")
            if buffer[at] != 0:
                return self._publish_with_properties(buffer, start, at, end, flags, topic, packet_id)
            at += 1
            if not topic:
                raise forbidden("PUBLISH has neither a topic nor a topic alias")
        if self._check_topics:
            check_name(topic)
        return Publish(buffer, start, end, flags, topic, packet_id, at, None, b"")

    def _publish_with_properties(
        self, buffer: bytes, start: i64, at: i64, end: i64, flags: i64, topic: bytes, packet_id: i64
    ) -> Publish:
        reader = Reader(buffer, at, end)
        properties = read_properties(reader, PUBLISH)
        assert properties is not None
        if self._from_client and properties.subscription_ids:
            raise forbidden("PUBLISH of a client has a subscription identifier")
        if topic:
            if self._check_topics:
                check_name(topic)
        elif properties.topic_alias is None:
            raise forbidden("PUBLISH has neither a topic nor a topic alias")
        return Publish(buffer, start, end, flags, topic, packet_id, reader.position, properties, properties.forwarded)

    def _check_header(self, first: i64, length: i64) -> None:
        """The first byte and the length, judged before the rest is waited for."""
        packet = first >> 4
        version = self.version
        if packet == 0 or (packet == AUTH and version != V5 and version != 0):
            raise malformed(f"packet type {packet} is reserved")
        if version == 0 and packet != CONNECT:
            raise forbidden(f"the first packet is not CONNECT, but {packet_name(packet)}")
        self._check_direction(packet)
        if packet == PUBLISH:
            self._check_publish_flags(first & 15)
        else:
            self._check_flags(packet, first & 15)
        if length > 0 and (packet == PINGREQ or packet == PINGRESP):
            raise malformed(f"{packet_name(packet)} has {length} bytes after its header")

    def _check_direction(self, packet: i64) -> None:
        if self._from_client:
            if (_SERVER_SENDS >> packet) & 1 != 0:
                raise forbidden(f"a client cannot send {packet_name(packet)}")
            if packet == CONNECT and self.version != 0:
                raise forbidden("CONNECT came a second time")
        elif (_CLIENT_SENDS >> packet) & 1 != 0 or (packet == DISCONNECT and self.version != V5):
            raise forbidden(f"a server cannot send {packet_name(packet)}")

    def _check_publish_flags(self, flags: i64) -> None:
        if flags & 6 == 6:
            raise malformed("PUBLISH has QoS 3")
        if flags & 14 == 8 and self.version != V31:
            raise malformed("PUBLISH has QoS 0 and is marked as a duplicate")

    def _check_flags(self, packet: i64, flags: i64) -> None:
        wanted: i64 = 2 if (_HAS_FLAGS_2 >> packet) & 1 != 0 else 0
        if wanted == 2 and self.version == V31:
            flags &= 7  # MQTT 3.1 marks these as duplicates when it repeats them
        if flags != wanted:
            raise malformed(f"{packet_name(packet)} has the fixed header flags {flags}")

    def _other(self, buffer: bytes, body: i64, end: i64, first: i64, length: i64) -> Packet:
        packet = first >> 4
        # Acknowledgements of two bytes, with the one legal value of their flags, are nearly as frequent as PUBLISH.
        if length == 2 and self.version != 0 and (first == 0x40 or first == 0x50 or first == 0x62 or first == 0x70):
            packet_id: i64 = buffer[body] << 8 | buffer[body + 1]
            if packet_id != 0:
                return Ack(packet, packet_id)
        self._check_header(first, length)
        return self._read(Reader(buffer, body, end), packet)

    def _read(self, reader: Reader, packet: i64) -> Packet:
        version = self.version
        if packet >= PUBACK and packet <= PUBCOMP:
            return read_ack(reader, packet, version)
        if packet == PINGREQ:
            return PingReq()
        if packet == SUBSCRIBE:
            return read_subscribe(reader, version)
        if packet == UNSUBSCRIBE:
            return read_unsubscribe(reader, version)
        if packet == CONNECT:
            return self._read_connect(reader)
        if packet == DISCONNECT:
            return read_disconnect(reader, version, self._from_client)
        if packet == AUTH:
            return read_auth(reader, self._from_client)
        return self._read_from_server(reader, packet)

    def _read_connect(self, reader: Reader) -> Packet:
        header_end = reader.position
        try:
            self.version = read_version(reader)
        except ProtocolError as error:
            if error.reason == UNSUPPORTED_PROTOCOL_VERSION and reader.buffer[reader.position - 1] & 0x7F < V5:
                self.version = V311  # the form of the answer; bridges set the highest bit of the level
            raise
        # Only now is it known whether the length had to be in its shortest form. The header has at least two bytes.
        if self.version == V5 and reader.buffer[header_end - 1] == 0:
            raise malformed("the remaining length is not in its shortest form")
        return read_connect(reader, self.version)

    def _read_from_server(self, reader: Reader, packet: i64) -> Packet:
        version = self.version
        if packet == CONNACK:
            return read_connack(reader, version)
        if packet == SUBACK:
            return read_suback(reader, version)
        if packet == UNSUBACK:
            return read_unsuback(reader, version)
        return PingResp()


def _too_large(packet: i64, size: i64, limit: i64) -> ProtocolError:
    return ProtocolError(PACKET_TOO_LARGE, f"{packet_name(packet)} takes {size} bytes; the limit is {limit}")
