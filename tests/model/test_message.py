"""The stored form of a message."""

import itertools

import pytest

from mombroker.model.message import Message, message_from_body

FIELDS = ("topic", "payload", "qos", "retain", "properties", "published_at", "expires_at", "publisher")


def fields_of(message):
    return {name: getattr(message, name) for name in FIELDS}


def messages():
    """Messages that differ from their neighbours in one field, in two, and in none."""
    plain = {
        "topic": "t",
        "payload": b"p",
        "qos": 0,
        "retain": False,
        "properties": b"",
        "published_at": 1.5,
        "expires_at": 0.0,
        "publisher": "a",
    }
    others = {
        "topic": "t/ü",
        "payload": b"",
        "qos": 2,
        "retain": True,
        "properties": b"\x01\x01",
        "published_at": 2.5,
        "expires_at": 9.25,
        "publisher": "é-publisher",
    }
    for one, two in itertools.product(FIELDS, FIELDS):
        yield plain
        yield plain | {one: others[one]}
        yield plain | {one: others[one], two: others[two]}
        yield plain | {one: others[one], two: others[two]}


def test_what_is_stored_of_a_message_does_not_depend_on_those_stored_before_it():
    for fields in messages():
        assert fields_of(message_from_body(Message(**fields).body())) == fields


def test_the_stored_form_is_the_one_of_every_release():
    message = Message("t/ü", b"payload", 1, True, b"\x01\x01", 1.5, 2.5, "me")
    times = bytes.fromhex("3ff8000000000000 4004000000000000")
    sizes = b"\x00\x04" + b"\x00\x02" + b"\x00\x00\x00\x02"
    assert message.body() == b"\x05" + times + sizes + "t/ü".encode() + b"me" + b"\x01\x01" + b"payload"


@pytest.mark.parametrize(("topic", "publisher"), [("t" * 65536, ""), ("t", "p" * 65536)])
def test_what_the_stored_form_has_no_room_for_is_an_error(topic, publisher):
    with pytest.raises(Exception, match="ushort|65535|out of range"):
        Message(topic, b"", publisher=publisher).body()
