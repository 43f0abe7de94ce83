"""What packets look like on the wire."""

import pytest

from mombroker.mqtt import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Properties,
    ProtocolError,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    encode,
)
from mombroker.mqtt.encoder import (
    ack_frame,
    ack_frame_with_reason,
    encode_delivery_properties,
    encode_subscription_id,
    publish_frame,
    varint,
)
from mombroker.mqtt.packet_types import PUBLISH
from mombroker.mqtt.properties import property_block, response_block, user_property

from .packet_cases import VALID, block, expand, four, packet, props, text, two


@pytest.mark.parametrize(("case", "version", "from_client"), expand([case for case in VALID if not case.decode_only]))
def test_a_packet_encodes_to_its_shortest_form(case, version, from_client):
    assert encode(case.packet, version) == case.wire


@pytest.mark.conforms("MQTT-1.5.5-1")
@pytest.mark.parametrize(
    ("number", "wire"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_a_variable_byte_integer_takes_as_few_bytes_as_it_can(number, wire):
    assert varint(number).hex() == wire


@pytest.mark.parametrize("number", [-1, 268_435_456])
def test_a_number_beyond_four_variable_bytes_is_refused(number):
    with pytest.raises(ProtocolError):
        varint(number)


class TestWhatOldVersionsCannotSay:
    def test_properties_are_left_out(self):
        properties = props(reason_string="why", user=[("k", "v")])
        for found in (Ack(4, 1, 0x97, properties), Ack(6, 1, 0, properties)):
            assert encode(found, 4) == ack_frame(found.type, 1)
        assert encode(ConnAck(False, 0, properties), 4) == packet(0x20, 0, 0)
        assert encode(Publish.create("a", b"x", properties=properties), 3) == packet(0x30, text("a"), b"x")
        assert encode(UnsubAck(1, [0], properties), 4) == packet(0xB0, two(1))
        assert encode(Disconnect(0x8E, properties), 4) == packet(0xE0)

    def test_a_refusal_gets_the_nearest_return_code(self):
        assert [encode(ConnAck(False, reason), 4)[3] for reason in (0x84, 0x85, 0x88, 0x86, 0x87, 0x97)] == [
            *(1, 2, 3, 4, 5, 3)
        ]

    def test_every_failed_subscription_gets_the_one_code_for_failure(self):
        assert encode(SubAck(1, [0, 2, 0x87, 0xA2]), 4) == packet(0x90, two(1), 0, 2, 0x80, 0x80)

    def test_subscription_options_shrink_to_the_qos(self):
        found = Subscribe(1, [SubscribeFilter("a", 1, True, True, 2)], props(subscription_ids=[4]))
        assert encode(found, 4) == packet(0x82, two(1), text("a"), 1)

    def test_3_1_is_not_told_of_a_session(self):
        assert encode(ConnAck(True, 0), 3) == packet(0x20, 0, 0)

    def test_an_auth_is_refused(self):
        with pytest.raises(ProtocolError):
            encode(Auth(0x18, props(auth_method="m")), 4)

    @pytest.mark.conforms("MQTT3-3.1.2-22")
    def test_a_password_without_a_user_name_is_refused(self):
        with pytest.raises(ProtocolError):
            encode(Connect("c", 4, password=b"secret"), 4)


class TestWhatCannotBeExpressed:
    @pytest.mark.conforms("MQTT-1.5.4-1")
    def test_a_surrogate_is_refused(self):
        with pytest.raises(ProtocolError):
            encode(Unsubscribe(1, ["\ud800"]), 5)

    def test_a_text_beyond_65535_bytes_is_refused(self):
        assert len(encode(Unsubscribe(1, ["ä" * 32_767]), 4)) > 65_000
        with pytest.raises(ProtocolError):
            encode(Unsubscribe(1, ["ä" * 32_768]), 4)

    def test_a_topic_beyond_65535_bytes_is_refused(self):
        assert publish_frame(4, 0, bytes(65_535), 0, b"", b"")
        with pytest.raises(ProtocolError):
            publish_frame(4, 0, bytes(65_536), 0, b"", b"")

    @pytest.mark.parametrize("packet_id", [-1, 65_536])
    def test_a_packet_identifier_beyond_two_bytes_is_refused(self, packet_id):
        with pytest.raises(ProtocolError):
            ack_frame(4, packet_id)
        with pytest.raises(ProtocolError):
            publish_frame(4, 2, b"a", packet_id, b"", b"")
        with pytest.raises(ProtocolError):
            encode(Unsubscribe(packet_id, ["a"]), 5)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("message_expiry", 2**32),
            ("message_expiry", -1),
            ("topic_alias", 65_536),
            ("payload_format", 256),
            ("correlation_data", bytes(65_536)),
            ("content_type", "x" * 65_536),
        ],
    )
    def test_a_property_that_does_not_fit_its_type_is_refused(self, name, value):
        with pytest.raises(ProtocolError):
            encode(Publish.create("a", b"", properties=props(**{name: value})), 5)

    def test_properties_of_other_packets_are_left_out(self):
        found = Publish.create("a", b"", properties=props(session_expiry=1, payload_format=1))
        assert encode(found, 5) == packet(0x30, text("a"), block(0x01, 1))


class TestPublishFrame:
    @pytest.mark.parametrize("size", [0, 1, 100, 121, 122, 123, 124, 125, 126, 127, 128, 200, 16_380, 16_384, 70_000])
    @pytest.mark.parametrize("version", [3, 4, 5])
    @pytest.mark.parametrize("flags", [0, 3, 12])
    def test_it_decodes_to_what_it_was_made_of(self, size, version, flags):
        properties = b"\x01\x01" if size % 2 else b""
        wire = publish_frame(version, flags, b"a/b", 7, properties, bytes(size))
        decoder = Decoder(False, version)
        decoder.feed(wire)
        found = decoder.next()
        assert (found.start, found.end) == (0, len(wire))
        assert (found.flags, found.topic, found.payload()) == (flags, b"a/b", bytes(size))
        assert found.packet_id == (7 if flags & 6 else 0)
        assert found.forwarded == (properties if version == 5 else b"")

    def test_properties_beyond_127_bytes_get_a_longer_length(self):
        properties = b"\x26" + text("k") + text("v" * 200)
        assert publish_frame(5, 0, b"a", 0, properties, b"x") == packet(
            0x30, text("a"), varint(len(properties)), properties, b"x"
        )


class TestAckFrame:
    @pytest.mark.conforms("MQTT-3.6.1-1", "MQTT3-3.6.1-1")
    @pytest.mark.parametrize(("kind", "wire"), [(4, "4002ffff"), (5, "5002ffff"), (6, "6202ffff"), (7, "7002ffff")])
    def test_it_takes_four_bytes(self, kind, wire):
        assert ack_frame(kind, 0xFFFF).hex() == wire
        assert ack_frame(kind, 1) == encode(Ack(kind, 1), 5)

    def test_it_can_give_a_reason(self):
        assert ack_frame_with_reason(4, 1, 0x97, None) == packet(0x40, two(1), 0x97)
        assert ack_frame_with_reason(6, 1, 0x92, "gone") == packet(0x62, two(1), 0x92, block(0x1F, text("gone")))


class TestDeliveryProperties:
    def test_they_are_the_forwarded_ones_when_nothing_is_added(self):
        assert encode_delivery_properties(-1, b"", 0, b"\x01\x01") == b"\x01\x01"
        assert encode_delivery_properties(-1, b"", 0, b"") == b""

    def test_they_decode_to_what_was_given(self):
        ids = encode_subscription_id(1) + encode_subscription_id(268_435_455)
        content = encode_delivery_properties(60, ids, 9, b"\x26" + text("k") + text("v"))
        decoder = Decoder(False, 5)
        decoder.feed(publish_frame(5, 0, b"a", 0, content, b""))
        assert decoder.next().properties == props(
            message_expiry=60, subscription_ids=[1, 268_435_455], topic_alias=9, user=[("k", "v")]
        )

    @pytest.mark.parametrize(
        ("arguments", "content"),
        [
            ((0, b"", 0, b""), b"\x02" + four(0)),
            ((-1, b"", 1, b""), b"\x23" + two(1)),
            ((-1, b"\x0b\x01", 0, b"\x01\x00"), b"\x0b\x01\x01\x00"),
            ((2**32 - 1, b"\x0b\x01", 65_535, b""), b"\x02" + four(2**32 - 1) + b"\x23\xff\xff\x0b\x01"),
        ],
    )
    def test_each_of_them_may_be_absent(self, arguments, content):
        assert encode_delivery_properties(*arguments) == content


def test_a_will_and_a_publish_built_by_hand_know_what_is_passed_on():
    properties = props(content_type="t", user=[("k", "v")], topic_alias=1, message_expiry=5)
    expected = b"\x03" + text("t") + b"\x26" + text("k") + text("v")
    assert Publish.create("a", b"", properties=properties).forwarded == expected


@pytest.mark.conforms("MQTT-2.2.2-1")
def test_no_properties_and_empty_ones_are_the_same_on_the_wire():
    assert encode(Publish.create("a", b"", properties=Properties()), 5) == packet(0x30, text("a"), 0)
    assert encode(Subscribe(1, [SubscribeFilter("a")], Properties()), 5) == packet(0x82, two(1), 0, text("a"), 0)


def test_the_short_ways_to_a_block_write_what_the_long_one_does():
    properties = Properties()
    properties.response_topic, properties.correlation_data = "räply/1", b"\x00\x01"
    properties.user = [("mom-deadline", "12.5")]
    short = response_block("räply/1", b"\x00\x01") + user_property("mom-deadline", "12.5")
    assert short == property_block(properties, PUBLISH)
    assert response_block(None, None) == b""
