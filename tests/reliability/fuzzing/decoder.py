"""The decoder, fed with anything: a packet or a ProtocolError, however the bytes were cut.

The first byte says who sends and at which protocol level, the second how the rest is cut.
"""

from mombroker.mqtt import Decoder, Packet, ProtocolError, encode
from tests.mqtt.bad_packet_cases import INVALID
from tests.mqtt.packet_cases import VALID
from tests.reliability.fuzzing.defects import says_why

Outcome = tuple[list[Packet], tuple[int, str] | None]


def seeds() -> list[bytes]:
    """Every packet of the tests, at each level and in each direction."""
    found = []
    for case in (*VALID, *INVALID):
        for version in case.versions:
            for from_client in case.senders:
                first_is_connect = case.wire[:1] == b"\x10"
                found.append(bytes((_way(0 if first_is_connect else version, from_client), 0)) + case.wire)
    return found


def _way(version: int, from_client: bool) -> int:
    return (0, 3, 4, 5).index(version) << 1 | from_client


def run(data: bytes) -> None:
    """One stream of bytes, decoded whole and in pieces."""
    if len(data) < 3:
        return
    from_client = data[0] & 1 == 1
    version = (0, 3, 4, 5)[data[0] >> 1 & 3]
    if not from_client and version == 0:
        version = 5
    most = 64 if data[0] & 8 else 268_435_460
    checks_topics = data[0] & 16 == 0
    stream = data[2:]
    size = data[1] % 17
    whole = decode(Decoder(from_client, version, most, checks_topics), [stream])
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)] if size else _growing(stream)
    cut = decode(Decoder(from_client, version, most, checks_topics), pieces)
    assert whole == cut, f"the cut matters: {whole} or {cut}"


def _growing(stream: bytes) -> list[bytes]:
    """Pieces of 1, 2, 3 … bytes."""
    pieces = []
    at = size = 0
    while at < len(stream):
        size += 1
        pieces.append(stream[at : at + size])
        at += size
    return pieces


def decode(decoder: Decoder, pieces: list[bytes]) -> Outcome:
    """What comes out, with every promise of the decoder checked on the way."""
    packets: list[Packet] = []
    fed = 0
    for piece in pieces:
        before = decoder.buffered()
        decoder.feed(piece)
        fed += len(piece)
        assert decoder.buffered() == before + len(piece), "it holds more than it was fed, or less"
        try:
            packet = decoder.next()
            while packet is not None:
                packets.append(packet)
                check_repeats(packet, decoder)
                packet = decoder.next()
        except ProtocolError as error:
            says_why(error)
            _check_stays_failed(decoder, error)
            return packets, (error.reason, error.detail)
    assert decoder.buffered() <= fed
    return packets, None


def _check_stays_failed(decoder: Decoder, error: ProtocolError) -> None:
    assert error.reason >= 0x80
    assert decoder.buffered() == 0, "bytes are kept after an error"
    decoder.feed(b"\xc0\x00" * 4)
    assert decoder.buffered() == 0, "bytes are kept after an error"
    try:
        decoder.next()
    except ProtocolError as again:
        repeated = (again.reason, again.detail)
    else:
        raise AssertionError("it goes on after an error")
    assert repeated == (error.reason, error.detail)


def check_repeats(packet: Packet, decoder: Decoder) -> None:
    """What was decoded can be written again, and means the same then."""
    version = decoder.version
    from_client = decoder._from_client
    wire = encode(packet, version)
    again = Decoder(from_client, 0 if packet.type == 1 else version, check_topics=decoder._check_topics)
    again.feed(wire)
    try:
        found = again.next()
    except ProtocolError as error:
        raise AssertionError(f"{packet} becomes {wire!r}, which is refused: {error}") from error
    assert found == packet, f"{packet} becomes {found}"
    assert again.next() is None and again.buffered() == 0, f"{packet} becomes more than one packet: {wire!r}"
    assert encode(found, version) == wire, f"{packet} is written in two ways"
