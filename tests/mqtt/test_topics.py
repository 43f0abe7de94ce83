"""Topic names, topic filters and what matches what."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mombroker.mqtt import ProtocolError
from mombroker.mqtt.topics import check_filter, check_name, is_wildcard, matches, split_shared

from . import strategies


@pytest.mark.conforms("MQTT-4.7.3-4")
@pytest.mark.parametrize("name", ["a", "/", "a//b", "$SYS/x", " ", "a b", "é/ÿ", "\ufeff", "A/a", "a" * 65_535])
def test_a_topic_name_comes_out_as_it_was_written(name):
    assert check_name(name.encode()) == name


@pytest.mark.conforms("MQTT-3.3.2-2", "MQTT-4.7.0-1", "MQTT-4.7.3-1", "MQTT-4.7.3-3", "MQTT3-3.3.2-2")
@pytest.mark.parametrize("raw", [b"", b"+", b"#", b"a/+", b"a+", b"a/#/b", b"a" * 65_536])
def test_what_is_no_topic_name_is_refused_as_invalid(raw):
    with pytest.raises(ProtocolError) as caught:
        check_name(raw)
    assert caught.value.reason == 0x90


@pytest.mark.conforms("MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-4.7.3-2")
@pytest.mark.parametrize("raw", [b"\xff", b"a\0b", b"\xed\xa0\x80", b"\xc0\x80", b"\xe2\x82"])
def test_a_topic_name_that_is_no_utf8_string_is_malformed(raw):
    with pytest.raises(ProtocolError) as caught:
        check_name(raw)
    assert caught.value.reason == 0x81


@pytest.mark.conforms("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT3-4.7.1-2", "MQTT3-4.7.1-3")
@pytest.mark.parametrize(
    ("filter", "valid"),
    [
        *(("#", True), ("+", True), ("a", True), ("/", True), ("a/#", True), ("/#", True), ("+/+", True)),
        *(("+/#", True), ("a/+/b/#", True), ("$SYS/#", True), ("/+", True), ("+//+", True), ("a b", True)),
        *(("", False), ("a#", False), ("#/a", False), ("a/#/b", False), ("a/b#", False), ("##", False)),
        *(("a+", False), ("+a", False), ("a/+b/c", False), ("++", False), ("+#", False), ("a/\0", False)),
    ],
)
def test_wildcards_stand_alone_in_their_level_and_the_hash_at_the_end(filter, valid):
    assert check_filter(filter) is valid


@pytest.mark.conforms("MQTT-4.7.3-3")
@pytest.mark.parametrize("letter", ["a", "é", "\ud800"])
def test_a_filter_may_take_65535_bytes(letter):
    size = len(letter.encode("utf-8", "surrogatepass"))
    longest = letter * (65_535 // size)
    assert check_filter(longest)
    assert not check_filter(longest + letter)


def test_a_wildcard_is_a_plus_or_a_hash():
    assert [is_wildcard(filter) for filter in ("a", "+", "a/#", "$share", "")] == [False, True, True, False, False]


@pytest.mark.conforms("MQTT-4.8.2-1")
@pytest.mark.parametrize(
    ("filter", "parts"),
    [
        ("$share/g/a", ("g", "a")),
        ("$share/g/a/+/#", ("g", "a/+/#")),
        ("$share/g//", ("g", "/")),
        ("$share/ /#", (" ", "#")),
        ("$share/$share/$share/x", ("$share", "$share/x")),
        ("$share", None),
        ("$shared/g/a", None),
        ("$SHARE/g/a", None),
        ("a/$share/g", None),
        ("", None),
    ],
)
def test_a_shared_subscription_has_a_share_name_and_a_filter(filter, parts):
    assert split_shared(filter) == parts


@pytest.mark.conforms("MQTT-4.8.2-1", "MQTT-4.8.2-2")
@pytest.mark.parametrize(
    "filter", ["$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/#/a", "$share/a#b/c", "$share/#"]
)
def test_an_ill_formed_shared_subscription_is_refused(filter):
    with pytest.raises(ProtocolError) as caught:
        split_shared(filter)
    assert caught.value.reason == 0x8F


@pytest.mark.conforms("MQTT-4.7.2-1", "MQTT3-4.7.2-1")
@pytest.mark.parametrize(
    ("filter", "topic", "matched"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "a", True),
        ("#", "/", True),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("sport/+", "sport/a/b", False),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("+", "$SYS", False),
        ("$SYS/#", "$SYS/x", True),
        ("$SYS/#", "$SYS", True),
        ("$SYS/+", "$SYS/x", True),
        ("a/+/$b", "a/x/$b", True),
        ("a/#", "a/$b", True),
        ("/#", "/$b", True),
        ("a", "a", True),
        ("a", "A", False),
        ("a", "a/", False),
        ("a/b", "a", False),
        ("a", "ab", False),
    ],
)
def test_the_examples_of_the_specification_match_as_it_says(filter, topic, matched):
    assert matches(filter, topic) is matched


def matches_by_pattern(filter, topic):
    """The same question, put to a regular expression."""
    if filter == "#":
        pattern = r"[^$](.|\n)*|"
    else:
        pattern = "/".join(r"[^/]*" if level == "+" else re.escape(level) for level in filter.split("/"))
        pattern = re.sub(r"/\\#$", r"(/(.|\\n)*)?", pattern)
        if filter[0] == "+":
            pattern = r"(?!\$)" + pattern
    return re.fullmatch(pattern, topic) is not None


@settings(max_examples=1000)
@given(strategies.filters(), strategies.TOPICS)
def test_matching_agrees_with_a_regular_expression(filter, topic):
    assert check_filter(filter)
    assert matches(filter, topic) is matches_by_pattern(filter, topic)


@given(strategies.TOPICS, st.data())
def test_a_filter_made_from_a_topic_matches_it(topic, data):
    levels = topic.split("/")
    keep = data.draw(st.lists(st.booleans(), min_size=len(levels), max_size=len(levels)), label="kept levels")
    keep[0] = keep[0] or topic.startswith("$")
    wanted = [level if kept else "+" for level, kept in zip(levels, keep, strict=True)]
    assert matches("/".join(wanted), topic)
    assert matches("/".join([*wanted, "#"]), topic)
    assert not matches("/".join([*wanted, "+"]), topic)
