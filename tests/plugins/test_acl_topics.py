"""Topic patterns: what takes in what, compared with a plain reading of the specification."""

import re

from hypothesis import assume, example, given
from hypothesis import strategies as st

from mombroker.mqtt import topics
from mombroker_plugins.acl_topics import covers, matches, plain

WORDS = st.sampled_from(["a", "b", "", "$S"])
TOPICS = st.lists(WORDS, min_size=1, max_size=4).map(tuple)
FILTERS = st.builds(
    lambda levels, end: (*levels, *end),
    st.lists(st.one_of(WORDS, st.just("+")), max_size=4),
    st.sampled_from([(), ("#",)]),
).filter(bool)


def expression(filter):
    """A filter as a regular expression (MQTT 5, section 4.7.1)."""
    text = "/".join(re.escape(level) if level not in ("+", "#") else level for level in filter)
    text = re.sub(r"/#$", "(/.*)?", text).replace("+", "[^/]*")
    not_ours = r"(?!\$)" if filter[0] in ("+", "#") else ""
    return re.compile(not_ours + (".*" if text == "#" else text), re.DOTALL)


@given(FILTERS, TOPICS)
@example(("a", "#"), ("a",))
@example(("+", "#"), ("a",))
@example(("#",), ("$S", "a"))
def test_a_pattern_matches_what_mqtt_says(pattern, topic):
    text = "/".join(topic)
    assume(text)
    expected = expression(pattern).fullmatch(text) is not None
    assert matches(plain(pattern), topic) == expected
    assert topics.matches("/".join(pattern), text) == expected


@given(FILTERS, FILTERS, TOPICS)
@example(("a", "#"), ("a",), ("a",))
@example(("+", "#"), ("#",), ("a",))
def test_what_covers_a_filter_matches_all_that_the_filter_matches(pattern, filter, topic):
    assume(covers(plain(pattern), plain(filter)))
    if matches(plain(filter), topic):
        assert matches(plain(pattern), topic)


@given(FILTERS, FILTERS)
@example(("a", "#"), ("a",))
@example(("+", "#"), ("#",))
@example(("+", "+"), ("+", "a"))
def test_a_filter_that_is_not_covered_matches_a_topic_that_the_pattern_does_not(pattern, filter):
    assume(not covers(plain(pattern), plain(filter)))
    assert any(matches(plain(filter), topic) and not matches(plain(pattern), topic) for topic in witnesses(filter))


def witnesses(filter):
    """Topics that a filter matches, with levels that no pattern here spells out."""
    base = tuple("new" if level == "+" else level for level in filter if level != "#")
    if filter[-1] != "#":
        return [base]
    longer = [(*base, *["new"] * more) for more in range(1, 7)]
    return [base, *longer] if base else longer


@given(FILTERS)
def test_every_filter_covers_itself(filter):
    assert covers(plain(filter), plain(filter))
