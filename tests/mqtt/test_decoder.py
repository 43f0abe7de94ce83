"""What the decoder makes of whole packets, and of streams however they are cut."""

import sys
import tracemalloc

import pytest

from mombroker.mqtt import Ack, Connect, Decoder, Disconnect, PingReq, ProtocolError, Publish
from mombroker.mqtt.encoder import publish_frame

from .bad_packet_cases import INVALID
from .packet_cases import VALID, block, connect, expand, four, packet, text, two


def decoder_for(version, from_client, wire, **options):
    """A decoder in the state in which the packet may come: a CONNECT is the first one, anything else is not."""
    first_packet = from_client and wire[0] >> 4 == 1
    return Decoder(from_client, 0 if first_packet else version, **options)


def read_all(decoder):
    packets = []
    while (found := decoder.next()) is not None:
        packets.append(found)
    return packets


@pytest.mark.parametrize(("case", "version", "from_client"), expand(VALID))
def test_a_valid_packet_decodes_to_what_it_says(case, version, from_client):
    decoder = decoder_for(version, from_client, case.wire)
    decoder.feed(case.wire)
    found = decoder.next()
    assert found == case.packet
    assert found.type == case.packet.type == case.wire[0] >> 4
    assert decoder.next() is None
    assert decoder.buffered() == 0
    assert decoder.version == version


@pytest.mark.parametrize(("case", "version", "from_client"), expand(VALID))
def test_a_packet_comes_out_whole_when_its_bytes_come_one_by_one(case, version, from_client):
    decoder = decoder_for(version, from_client, case.wire)
    for index in range(len(case.wire) - 1):
        decoder.feed(case.wire[index : index + 1])
        assert decoder.next() is None
        assert decoder.buffered() == index + 1
    decoder.feed(case.wire[-1:])
    assert decoder.next() == case.packet


@pytest.mark.parametrize(("case", "version", "from_client"), expand(INVALID))
def test_an_invalid_packet_is_refused_with_the_reason_the_specification_names(case, version, from_client):
    decoder = decoder_for(version, from_client, case.wire)
    decoder.feed(case.wire)
    with pytest.raises(ProtocolError) as caught:
        decoder.next()
    assert caught.value.reason == case.reason, str(caught.value)
    assert caught.value.detail


@pytest.mark.parametrize(("case", "version", "from_client"), expand(INVALID))
def test_an_invalid_packet_is_refused_too_when_its_bytes_come_one_by_one(case, version, from_client):
    decoder = decoder_for(version, from_client, case.wire)
    with pytest.raises(ProtocolError) as caught:
        for index in range(len(case.wire)):
            decoder.feed(case.wire[index : index + 1])
            assert decoder.next() is None
    assert caught.value.reason == case.reason, str(caught.value)


@pytest.mark.parametrize(("case", "version", "from_client"), expand(VALID))
def test_what_follows_a_packet_in_the_chunk_never_changes_it(case, version, from_client):
    """Each too short remaining length makes an error or another packet, and never one that reads beyond its end."""
    for size in range(min(len(case.wire) - 2, 127)):
        cut = case.wire[:1] + bytes((size,)) + case.wire[2 : 2 + size]
        assert outcome(version, from_client, cut + case.wire) == outcome(version, from_client, cut)


def outcome(version, from_client, wire):
    decoder = decoder_for(version, from_client, wire)
    decoder.feed(wire)
    try:
        return decoder.next()
    except ProtocolError as error:
        return error.reason, error.detail


class TestFirstPacket:
    @pytest.mark.conforms("MQTT-3.1.0-1", "MQTT3-3.1.0-1")
    @pytest.mark.parametrize("first", [0x30, 0x40, 0x82, 0xC0, 0xE0, 0xF0])
    def test_a_client_that_does_not_begin_with_connect_is_refused_before_the_rest_arrives(self, first):
        decoder = Decoder(from_client=True)
        decoder.feed(bytes((first, 100)))
        with pytest.raises(ProtocolError) as caught:
            decoder.next()
        assert caught.value.reason == 0x82

    @pytest.mark.conforms("MQTT-3.1.0-2", "MQTT3-3.1.0-2")
    @pytest.mark.parametrize("version", [3, 4, 5])
    def test_a_second_connect_is_a_protocol_error(self, version):
        wire = connect(version, 0x02, b"\0" if version == 5 else b"", text("c"))
        decoder = Decoder(from_client=True)
        decoder.feed(wire + wire)
        assert isinstance(decoder.next(), Connect)
        with pytest.raises(ProtocolError) as caught:
            decoder.next()
        assert caught.value.reason == 0x82

    @pytest.mark.parametrize("version", [3, 4, 5])
    def test_connect_tells_the_version_of_what_follows(self, version):
        decoder = Decoder(from_client=True)
        assert decoder.version == 0
        decoder.feed(connect(version, 0x02, b"\0" if version == 5 else b"", text("c")) + b"\xc0\x00")
        assert decoder.next().version == version
        assert decoder.version == version
        assert decoder.next() == PingReq()

    def test_a_refused_connect_still_tells_the_version_to_answer_in(self):
        decoder = Decoder(from_client=True)
        decoder.feed(connect(5, 0x03, 0, text("c")))
        with pytest.raises(ProtocolError):
            decoder.next()
        assert decoder.version == 5

    def test_an_unknown_protocol_leaves_the_version_open(self):
        decoder = Decoder(from_client=True)
        decoder.feed(packet(0x10, text("MQTT"), 7, 2, two(0), text("c")))
        with pytest.raises(ProtocolError):
            decoder.next()
        assert decoder.version == 0

    @pytest.mark.parametrize(("name", "level"), [("MQTT", 3), ("MQIsdp", 2), ("MQIsdp", 4), ("MQTT", 0x84)])
    @pytest.mark.conforms("MQTT3-3.1.2-2")
    def test_an_unknown_protocol_from_before_5_is_to_be_answered_in_its_form(self, name, level):
        decoder = Decoder(from_client=True)
        decoder.feed(packet(0x10, text(name), level, 2, two(0), text("c")))
        with pytest.raises(ProtocolError) as caught:
            decoder.next()
        assert (decoder.version, caught.value.reason) == (4, 0x84)


class TestFailure:
    def test_the_error_tells_what_happened(self):
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(b"\x36\x05\x00\x01a\x00\x01")
        with pytest.raises(ProtocolError, match=r"^Malformed Packet \(0x81\): PUBLISH has QoS 3$"):
            decoder.next()

    def test_a_decoder_that_failed_stays_failed_and_keeps_nothing(self):
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(b"\x00\x00" + b"\xc0\x00")
        for _ in range(3):
            with pytest.raises(ProtocolError) as caught:
                decoder.next()
            assert caught.value.reason == 0x81
            decoder.feed(b"\xc0\x00")
            assert decoder.buffered() == 0

    def test_packets_before_the_bad_one_are_delivered(self):
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(b"\xc0\x00\xc0\x00\x00\x00")
        assert decoder.next() == PingReq()
        assert decoder.next() == PingReq()
        with pytest.raises(ProtocolError):
            decoder.next()


class TestSizeLimit:
    def test_a_packet_may_be_as_large_as_the_limit_and_no_larger(self):
        wire = publish_frame(4, 0, b"t", 0, b"", bytes(95))
        assert len(wire) == 100
        exact = Decoder(from_client=True, version=4, maximum_packet_size=100)
        exact.feed(wire)
        assert exact.next().payload() == bytes(95)
        smaller = Decoder(from_client=True, version=4, maximum_packet_size=99)
        smaller.feed(wire)
        with pytest.raises(ProtocolError) as caught:
            smaller.next()
        assert caught.value.reason == 0x95

    def test_a_packet_beyond_the_limit_is_refused_on_its_header(self):
        decoder = Decoder(from_client=True, version=5, maximum_packet_size=1000)
        decoder.feed(b"\x30\xff\xff\xff")
        assert decoder.next() is None
        decoder.feed(b"\x7f")
        with pytest.raises(ProtocolError) as caught:
            decoder.next()
        assert caught.value.reason == 0x95

    def test_the_largest_packet_of_the_protocol_is_waited_for(self):
        decoder = Decoder(from_client=True, version=5)
        decoder.feed(b"\x30\xff\xff\xff\x7f\x00\x01a\x00")
        assert decoder.next() is None

    @pytest.mark.parametrize("header", [b"\x36", b"\x38", b"\x61", b"\x83", b"\xd0", b"\xc1", b"\x00"])
    def test_a_header_that_cannot_be_right_is_refused_before_the_rest_arrives(self, header):
        decoder = Decoder(from_client=True, version=5)
        decoder.feed(header + b"\xff\x7f")
        with pytest.raises(ProtocolError):
            decoder.next()


class TestPublish:
    def test_it_is_a_window_on_the_chunk_that_was_fed(self):
        wire = publish_frame(4, 2, b"a/b", 9, b"", b"hello")
        chunk = b"\xc0\x00" + wire + b"\xc0\x00"
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(chunk)
        decoder.next()
        found = decoder.next()
        assert found.buffer is chunk
        assert chunk[found.start : found.end] == wire
        assert chunk[found.payload_start : found.end] == b"hello"
        assert (found.flags, found.qos, found.retain, found.dup) == (2, 1, False, False)

    def test_its_topic_is_left_alone_when_the_receiver_checks_it(self):
        decoder = Decoder(from_client=True, version=5, check_topics=False)
        for topic in (b"a/+", b"\xff", b"a\0"):
            decoder.feed(packet(0x30, text(topic), 0))
            assert decoder.next().topic == topic
        decoder.feed(packet(0x30, text(""), 0))
        with pytest.raises(ProtocolError) as caught:
            decoder.next()
        assert caught.value.reason == 0x82

    @pytest.mark.conforms("MQTT-1.5.4-3")
    def test_a_byte_order_mark_in_the_topic_stays(self):
        decoder = Decoder(from_client=True, version=5)
        decoder.feed(packet(0x30, text("\ufeffa"), 0))
        assert decoder.next().topic == b"\xef\xbb\xbfa"

    @pytest.mark.conforms(
        "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20"
    )
    def test_the_properties_to_pass_on_are_kept_byte_for_byte_in_their_order(self):
        user = b"\x26" + text("k") + text("1") + b"\x26" + text("k") + text("0")
        rest = b"\x09" + text(b"\0\xff") + b"\x03" + text("json") + b"\x08" + text("r") + b"\x01\x01"
        late = b"\x26" + text("a") + text("b")
        wire = packet(0x30, text("a"), block(0x23, two(1), user, 0x02, four(60), rest, late), b"x")
        decoder = Decoder(from_client=True, version=5)
        decoder.feed(wire)
        found = decoder.next()
        assert found.forwarded == user + rest + late
        assert found.properties.user == [("k", "1"), ("k", "0"), ("a", "b")]
        assert found.properties.message_expiry == 60

    @pytest.mark.parametrize(
        ("content", "forwarded"),
        [
            (b"", b""),
            (b"\x23\x00\x01", b""),
            (b"\x01\x01", b"\x01\x01"),
            (b"\x01\x01\x23\x00\x01", b"\x01\x01"),
            (b"\x23\x00\x01\x01\x01", b"\x01\x01"),
            (b"\x01\x01\x23\x00\x01\x09\x00\x00", b"\x01\x01\x09\x00\x00"),
        ],
    )
    def test_what_concerns_one_connection_only_is_not_passed_on(self, content, forwarded):
        decoder = Decoder(from_client=True, version=5)
        decoder.feed(packet(0x30, text("a"), block(content)))
        assert decoder.next().forwarded == forwarded

    def test_subscription_identifiers_are_not_passed_on(self):
        decoder = Decoder(from_client=False, version=5)
        decoder.feed(packet(0x30, text("a"), block(0x0B, 5, 0x01, 1, 0x0B, 6)))
        found = decoder.next()
        assert found.forwarded == b"\x01\x01"
        assert found.properties.subscription_ids == [5, 6]

    @pytest.mark.conforms("MQTT-3.1.3-10")
    def test_the_properties_of_a_will_are_kept_for_passing_on_too(self):
        user = b"\x26" + text("b") + text("1") + b"\x26" + text("a") + text("2")
        decoder = Decoder(from_client=True)
        decoder.feed(connect(5, 0x06, 0, text("c"), block(0x18, four(3), user, 0x01, 0), text("w"), text("")))
        assert decoder.next().will.forwarded == user + b"\x01\x00"

    def test_its_repr_does_not_show_the_payload(self):
        assert "hunter2" not in repr(Publish.create("a", b"hunter2"))
        decoder = Decoder(from_client=True)
        decoder.feed(connect(4, 0xC6, text("c"), text("w"), text("hunter2"), text("u"), text("hunter2")))
        assert "hunter2" not in repr(decoder.next())


class TestThreeVersions:
    def test_a_padded_length_is_tolerated_below_5(self):
        """3.1 and 3.1.1 do not ask for the shortest form, and there are devices that pad."""
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(b"\x30\x84\x80\x00\x00\x01ab")
        assert decoder.next() == Publish.create("a", b"b")

    def test_an_acknowledgement_of_success_below_5_has_no_reason(self):
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(b"\x40\x02\x00\x07")
        assert decoder.next() == Ack(4, 7, 0)


def references(chunks):
    return [sys.getrefcount(chunks[index]) for index in range(len(chunks))]


class TestBuffering:
    def test_a_chunk_is_released_when_its_packets_are_read(self):
        chunk = b"\xc0\x00" * 1000
        before = sys.getrefcount(chunk)
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(chunk)
        assert sys.getrefcount(chunk) > before
        read_all(decoder)
        assert sys.getrefcount(chunk) == before

    def test_a_chunk_is_released_when_only_the_beginning_of_a_packet_is_left_of_it(self):
        chunk = b"\xc0\x00" * 1000 + b"\x30\x7f\x00"
        before = sys.getrefcount(chunk)
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(chunk)
        assert len(read_all(decoder)) == 1000
        assert sys.getrefcount(chunk) == before
        assert decoder.buffered() == 3

    def test_the_chunks_of_a_large_packet_are_not_copied_before_it_is_complete(self):
        payload = bytes(range(256)) * (5 * 4096)
        wire = publish_frame(4, 0, b"t", 0, b"", payload)
        step = 65_536
        chunks = [wire[at : at + step] for at in range(0, len(wire), step)]
        free = references(chunks)
        decoder = Decoder(from_client=True, version=4)
        for index in range(len(chunks) - 1):
            decoder.feed(chunks[index])
            assert decoder.next() is None
            fed = index + 1
            held = [count + 1 for count in free[:fed]]
            assert references(chunks) == held + free[fed:], "a chunk was copied and let go"
        decoder.feed(chunks[-1])
        found = decoder.next()
        assert found.payload() == payload
        assert decoder.next() is None
        assert references(chunks) == free
        assert decoder.buffered() == 0

    def test_chunks_fed_ahead_of_reading_are_all_read(self):
        wire = b"".join(publish_frame(4, 0, b"t", 0, b"", bytes(size)) for size in range(200))
        decoder = Decoder(from_client=True, version=4)
        for at in range(0, len(wire), 333):
            decoder.feed(wire[at : at + 333])
        assert decoder.buffered() == len(wire)
        assert [len(found.payload()) for found in read_all(decoder)] == list(range(200))
        assert decoder.buffered() == 0

    def test_a_large_packet_in_tiny_chunks_costs_little_more_memory_than_its_bytes(self):
        wire = publish_frame(4, 0, b"t", 0, b"", bytes(200_000))
        decoder = Decoder(from_client=True, version=4)
        tracemalloc.start()
        try:
            for at in range(0, len(wire) - 2, 2):
                decoder.feed(wire[at : at + 2])
                assert decoder.next() is None
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 2 * len(wire)
        decoder.feed(wire[at + 2 :])
        assert decoder.next().payload() == bytes(200_000)

    def test_an_empty_chunk_changes_nothing(self):
        decoder = Decoder(from_client=True, version=4)
        decoder.feed(b"")
        assert decoder.next() is None
        decoder.feed(b"\xc0")
        decoder.feed(b"")
        assert decoder.buffered() == 1
        decoder.feed(b"\x00")
        assert decoder.next() == PingReq()

    def test_a_disconnect_at_the_end_of_a_chunk_is_read(self):
        decoder = Decoder(from_client=True, version=5)
        decoder.feed(b"\xc0\x00\xe0\x00")
        assert read_all(decoder) == [PingReq(), Disconnect()]
