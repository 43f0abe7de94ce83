"""Quiet hours, without a broker: a plugin is an ordinary object."""

import datetime
import logging

import pytest
from mombroker_quiet_hours import QuietHours, QuietHoursSettings

from mombroker.hooks import PluginContext
from mombroker.model import Identity, Message, Refusal


def plugin(hour, **settings):
    class Log:
        def info(self, event, **details):
            logging.getLogger(__name__).info("%s %s", event, details)

    def now(zone):
        return datetime.datetime(2024, 5, 1, hour, 0, tzinfo=zone)

    return QuietHours(QuietHoursSettings(**settings), PluginContext("quiet_hours", state=None, log=Log()), now)


def answer(plugin, topic, *roles):
    return plugin.mombroker_on_publish(Message(topic, b""), Identity("c", "ada", frozenset(roles)))


@pytest.mark.parametrize("hour", [22, 23, 0, 6])
def test_a_resting_topic_is_refused_over_midnight(hour):
    assert isinstance(answer(plugin(hour, topics=("house/doorbell",)), "house/doorbell"), Refusal)


@pytest.mark.parametrize("hour", [7, 12, 21])
def test_it_is_heard_by_day(hour):
    assert answer(plugin(hour, topics=("house/doorbell",)), "house/doorbell") is None


def test_other_topics_are_heard_at_night():
    assert answer(plugin(0, topics=("house/doorbell",)), "house/doorbell/battery") is None


def test_a_slash_at_the_end_takes_in_what_is_below():
    assert isinstance(answer(plugin(0, topics=("site/siren/",)), "site/siren/north"), Refusal)


def test_an_exempt_role_is_heard_at_night():
    assert answer(plugin(0, topics=("a",), exempt_roles=frozenset({"night-watch"})), "a", "night-watch") is None


def test_hours_within_one_day_are_possible():
    siesta = {"topics": ("a",), "begin": datetime.time(13), "end": datetime.time(15)}
    assert isinstance(answer(plugin(14, **siesta), "a"), Refusal)
    assert answer(plugin(16, **siesta), "a") is None
