"""Packets as objects: when they are equal, and what they show of themselves."""

import pytest

from mombroker.mqtt import Ack, Auth, Connect, PingReq, PingResp, Properties, Publish, Will

from .packet_cases import props


@pytest.mark.parametrize(
    "other",
    [
        Publish.create("b", b"x", 1, packet_id=1),
        Publish.create("a", b"y", 1, packet_id=1),
        Publish.create("a", b"x", 2, packet_id=1),
        Publish.create("a", b"x", 1, True, packet_id=1),
        Publish.create("a", b"x", 1, False, True, packet_id=1),
        Publish.create("a", b"x", 1, packet_id=2),
        Publish.create("a", b"x", 1, packet_id=1, properties=props(topic_alias=1)),
        Ack(4, 1),
        "a",
    ],
)
def test_publishes_differ_when_one_field_does(other):
    assert Publish.create("a", b"x", 1, packet_id=1) != other


def test_publishes_are_equal_whatever_buffer_they_look_at():
    assert Publish(b"..hello..", 0, 7, 0, b"a", 0, 2, None, b"") == Publish.create("a", b"hello")


@pytest.mark.parametrize("other", [Ack(5, 1), Ack(4, 2), Ack(4, 1, 0x10), Ack(4, 1, 0, props(reason_string="")), "a"])
def test_acknowledgements_differ_when_one_field_does(other):
    assert Ack(4, 1) == Ack(4, 1, 0, None)
    assert Ack(4, 1) != other


def test_a_ping_is_not_its_answer():
    assert PingReq() == PingReq()
    assert PingResp() == PingResp()
    assert PingReq() != PingResp()


def test_a_property_that_is_zero_or_empty_is_present_all_the_same():
    assert props(session_expiry=0) != Properties()
    assert props(content_type="") != Properties()
    assert props(auth_data=b"") != Properties()
    assert props(user=[]) == Properties()


@pytest.mark.parametrize(
    "packet",
    [
        Publish.create("a", b"hunter2", properties=props(correlation_data=b"hunter2")),
        Connect("c", 5, username="u", password=b"hunter2", will=Will("w", b"hunter2")),
        Auth(0x18, props(auth_method="m", auth_data=b"hunter2")),
    ],
)
def test_secrets_and_payloads_are_not_shown(packet):
    assert "hunter2" not in repr(packet)


def test_what_is_shown_tells_the_packets_apart():
    shown = repr(Publish.create("a/b", b"four", 1, packet_id=7, properties=props(content_type="t")))
    assert shown == (
        "Publish(topic=b'a/b', qos=1, retain=False, dup=False, packet_id=7,"
        " properties=Properties(content_type='t'), 4 bytes)"
    )
    assert repr(Ack(6, 7, 0x92)) == "Ack(PUBREL, packet_id=7, reason=0x92, properties=None)"
