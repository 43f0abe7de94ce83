"""What must hold for every packet, every way to cut a stream, and every sequence of bytes."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mombroker.mqtt import Decoder, Properties, ProtocolError, decode_properties, encode, encode_properties
from mombroker.mqtt.packet_types import WILL

from . import strategies


def decode_all(chunks, version, from_client):
    decoder = Decoder(from_client, 0 if from_client else version)
    found = []
    for chunk in chunks:
        decoder.feed(chunk)
        while (packet := decoder.next()) is not None:
            found.append(packet)
    assert decoder.buffered() == 0
    return found


@settings(max_examples=300)
@given(strategies.conversations())
def test_every_packet_survives_the_wire(conversation):
    version, from_client, packets = conversation
    wire = b"".join(encode(packet, version) for packet in packets)
    assert decode_all([wire], version, from_client) == packets


@settings(max_examples=200)
@given(strategies.conversations(), st.data())
def test_a_stream_says_the_same_however_it_is_cut(conversation, data):
    version, from_client, packets = conversation
    wire = b"".join(encode(packet, version) for packet in packets)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=8), label="cuts"))
    chunks = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert decode_all(chunks, version, from_client) == packets


@settings(max_examples=50)
@given(strategies.conversations(max_size=3))
def test_a_stream_says_the_same_one_byte_at_a_time(conversation):
    version, from_client, packets = conversation
    wire = b"".join(encode(packet, version) for packet in packets)
    chunks = [wire[index : index + 1] for index in range(len(wire))]
    assert decode_all(chunks, version, from_client) == packets


def judge(wire, version, from_client):
    """Decode hostile bytes: only ProtocolError may come out, and what decodes must be sayable again."""
    decoder = Decoder(from_client, version, maximum_packet_size=100_000)
    decoder.feed(wire)
    while True:
        try:
            packet = decoder.next()
        except ProtocolError as caught:
            error = caught
            break
        if packet is None:
            return
        assert say_again(packet, decoder.version, from_client) == packet
    assert re.fullmatch(r"[A-Z][A-Za-z ]+ \(0x(8[1-4]|90|94|95)\): .+", str(error), re.DOTALL)
    assert decoder.buffered() == 0


def say_again(packet, version, from_client):
    decoder = Decoder(from_client, 0 if packet.type == 1 else version)
    decoder.feed(encode(packet, version))
    again = decoder.next()
    assert decoder.buffered() == 0
    assert repr(again) == repr(packet)
    return again


SEEMING_PACKETS = st.builds(
    lambda first, body: bytes((first, len(body))) + body, st.integers(0, 255), st.binary(max_size=60)
)


@settings(max_examples=400)
@given(
    st.binary(max_size=60) | st.lists(SEEMING_PACKETS, max_size=4).map(b"".join),
    st.sampled_from([0, 3, 4, 5]),
    st.booleans(),
)
def test_random_bytes_cause_protocol_errors_only(wire, version, from_client):
    judge(wire, version, from_client)


@st.composite
def mutations(draw):
    """Valid packets with a few bytes changed, removed or inserted."""
    version, from_client, packets = draw(strategies.conversations(max_size=2))
    wire = bytearray(b"".join(encode(packet, version) for packet in packets) or b"\0")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(wire) - 1, 0)))
        change = draw(st.integers(0, 3))
        if change == 0:
            wire[at : at + 1] = b""
        elif change == 1:
            wire[at:at] = draw(st.binary(min_size=1, max_size=3))
        else:
            wire[at : at + 1] = bytes((draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)),))
    return bytes(wire), 0 if from_client else version, from_client


@settings(max_examples=600)
@given(mutations())
def test_damaged_packets_cause_protocol_errors_only(mutation):
    judge(*mutation)


@given(st.integers(1, WILL).filter(lambda packet: strategies.ROWS[packet]), st.data())
def test_every_property_survives_the_wire(packet, data):
    properties = data.draw(strategies.properties(packet))
    if properties is not None and packet == 8:
        del properties.subscription_ids[1:]
    wire = encode_properties(properties, packet)
    found, end = decode_properties(b"xx" + wire + b"yy", 2, packet)
    assert found == (properties or Properties())
    assert end == 2 + len(wire)
    assert repr(found)


@given(strategies.conversations(max_size=2), st.sampled_from([3, 4, 5]))
def test_every_packet_can_be_said_at_every_level_or_is_refused(conversation, version):
    for packet in conversation[2]:
        try:
            wire = encode(packet, version)
        except ProtocolError:
            # AUTH, and a password alone, exist in 5.0 only.
            assert version < 5
            assert packet.type in (1, 15)
        else:
            assert wire[0] >> 4 == packet.type
