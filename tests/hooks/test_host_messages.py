"""Messages through the hook host, and the copies that plugins make of them."""

import pytest

from mombroker.hooks import changed, hookimpl
from mombroker.model import Message, PluginError, Refusal
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD, IMPLEMENTATION_SPECIFIC_ERROR, QUOTA_EXCEEDED
from mombroker.mqtt.packet_types import PUBLISH
from mombroker.mqtt.properties import decode_properties

NO = Refusal(QUOTA_EXCEEDED, "enough")


class Editor:
    """Answers both message hooks with what a function of the message gives."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []

    @hookimpl
    def mombroker_on_publish(self, message, identity):
        self.seen.append(message.topic)
        return self.answer(message)

    @hookimpl
    def mombroker_on_deliver(self, message, identity):
        self.seen.append(message.topic)
        return self.answer(message)


def append(text):
    return Editor(lambda message: changed(message, topic=message.topic + text))


async def test_a_message_that_nobody_touches_is_the_same_object(host, message, ada, answers):
    untouched = host(Editor(lambda message: None), Editor(lambda message: message))
    assert untouched.on_publish(message, ada, answers) is message
    assert untouched.on_deliver(message, ada) is message


async def test_each_plugin_sees_what_the_one_before_has_made(host, message, ada, answers):
    assert host(append("/1"), append("/2")).on_publish(message, ada, answers).topic == "a/b/1/2"
    assert host(append("/1"), append("/2")).on_deliver(message, ada).topic == "a/b/1/2"


async def test_a_change_does_not_get_a_message_past_a_guard(host, message, ada, answers):
    assert host(append("/1"), Editor(lambda message: NO)).on_publish(message, ada, answers) == NO
    assert host(append("/1"), Editor(lambda message: NO)).on_deliver(message, ada) is None


async def test_a_refusal_ends_the_matter(host, message, ada, answers):
    last = append("/1")
    assert host(Editor(lambda message: NO), last).on_publish(message, ada, answers) == NO
    assert last.seen == []


async def test_an_async_plugin_in_the_middle_keeps_the_order(host, message, ada, answers):
    async def later(message):
        return changed(message, topic=message.topic + "/later")

    last = append("/2")
    assert host(append("/1"), Editor(later), last).on_publish(message, ada, answers) is None
    assert (await answers.next()).topic == "a/b/1/later/2"
    assert last.seen == ["a/b/1/later"]


async def test_an_async_plugin_without_an_opinion_changes_nothing(host, message, ada, answers):
    async def later(message):
        return None

    assert host(Editor(later)).on_publish(message, ada, answers) is None
    assert await answers.next() is message


def broken(message):
    raise ValueError(message.payload)


def edited(**fields):
    def edit(message):
        copy = changed(message)
        for name, value in fields.items():
            setattr(copy, name, value)
        return copy

    return edit


@pytest.mark.parametrize(
    "answer",
    [
        broken,
        lambda message: b"payload",
        lambda message: True,
        lambda message: changed(message, topic="a/#"),
        lambda message: changed(message, topic=""),
        lambda message: changed(message, topic="a\0b"),
        lambda message: changed(message, topic="x" * 70_000),
        lambda message: changed(message, payload="text"),
        edited(qos=3),
        edited(properties=b"\x26\x00"),
        edited(properties=b"\x23\x00\x01"),
        edited(properties=b"\x02\x00\x00\x00\x01"),
        edited(properties=None),
    ],
)
async def test_a_fault_refuses_the_message_and_withholds_it(host, message, ada, answers, log, answer):
    guarded = host(Editor(answer))
    assert guarded.on_publish(message, ada, answers).reason == IMPLEMENTATION_SPECIFIC_ERROR
    assert guarded.on_deliver(message, ada) is None
    assert guarded.faults == {"mombroker_on_publish": 1, "mombroker_on_deliver": 1}
    assert "payload'" not in log


async def test_a_reason_that_a_puback_cannot_carry_becomes_one_that_it_can(host, message, ada, answers):
    refusing = host(Editor(lambda message: Refusal(BAD_USER_NAME_OR_PASSWORD)))
    assert refusing.on_publish(message, ada, answers).reason == IMPLEMENTATION_SPECIFIC_ERROR


async def test_a_plugin_that_takes_too_long_refuses_the_message(host, message, ada, answers, never):
    assert host(Editor(lambda message: never)).on_publish(message, ada, answers) is None
    assert (await answers.next()).reason == IMPLEMENTATION_SPECIFIC_ERROR


async def test_a_delivery_cannot_wait(host, message, ada, never):
    assert host(Editor(lambda message: never)).on_deliver(message, ada) is None


def test_a_changed_copy_keeps_what_was_not_changed():
    original = Message("a", b"p", 2, True, b"\x01\x01", 1.0, 2.0, "me")
    copy = changed(original, payload=b"q")
    assert (copy.topic, copy.payload, copy.qos, copy.retain, copy.properties) == ("a", b"q", 2, True, b"\x01\x01")
    assert (copy.published_at, copy.expires_at, copy.publisher) == (1.0, 2.0, "me")
    assert original.payload == b"p"


def test_added_user_properties_come_last():
    copy = changed(Message("a", b"", properties=b"\x26\x00\x01a\x00\x01b"), add_user_properties=[("ö", "1"), ("ö", "")])
    block = bytes([len(copy.properties)]) + copy.properties
    assert decode_properties(block, 0, PUBLISH)[0].user == [("a", "b"), ("ö", "1"), ("ö", "")]


@pytest.mark.parametrize("text", ["x" * 65_536, "\0", "\ud800"])
def test_a_user_property_that_mqtt_cannot_carry_is_an_error(text):
    with pytest.raises(PluginError, match="clean the text"):
        changed(Message("a", b""), add_user_properties=[("name", text)])
