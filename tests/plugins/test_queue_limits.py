"""The plugin queue_limits: the first rule that fits, and what it leaves open."""

import pytest

from mombroker.model import ConfigurationError, Overflow, QueuePolicy, QueueSpec
from mombroker_plugins.queue_limits import QueueLimits

MINE = QueueSpec("client:pump-7", "session", True)
SHARED = QueueSpec("$share/g/a/+", "shared", True)


def test_without_settings_a_client_drops_its_oldest_and_others_reject(make):
    plugin = make(QueueLimits)
    assert plugin.mombroker_queue_policy(MINE) == QueuePolicy(1_000_000, 1 << 30, 0.0, Overflow.DROP_OLDEST)
    assert plugin.mombroker_queue_policy(SHARED) == QueuePolicy(1_000_000, 1 << 30, 0.0, Overflow.REJECT)


def test_the_first_rule_that_fits_decides_and_the_rest_is_as_usual(make):
    rules = [{"queue": "client:pump-*", "max_messages": 5}, {"max_messages": 6, "message_ttl": 1}]
    plugin = make(QueueLimits, rules=rules, max_bytes=100)
    assert plugin.mombroker_queue_policy(MINE) == QueuePolicy(5, 100, 0.0, Overflow.DROP_OLDEST)
    assert plugin.mombroker_queue_policy(SHARED) == QueuePolicy(6, 100, 1.0, Overflow.REJECT)


def test_a_rule_can_be_for_one_kind_of_queue(make):
    plugin = make(QueueLimits, rules=[{"kind": "shared", "max_messages": 5}])
    assert plugin.mombroker_queue_policy(MINE).max_messages == 1_000_000
    assert plugin.mombroker_queue_policy(SHARED).max_messages == 5


def test_a_pattern_fits_whole_names_and_knows_shared_queues(make):
    plugin = make(
        QueueLimits, rules=[{"queue": "$share/g/*", "max_messages": 5}, {"queue": "client:pump", "max_messages": 6}]
    )
    assert plugin.mombroker_queue_policy(SHARED).max_messages == 5
    assert plugin.mombroker_queue_policy(MINE).max_messages == 1_000_000


@pytest.mark.parametrize("overflow", ["reject", "drop-oldest", "drop-newest"])
def test_a_rule_says_what_a_full_queue_does(make, overflow):
    policy = make(QueueLimits, rules=[{"overflow": overflow}]).mombroker_queue_policy(MINE)
    assert policy.overflow is Overflow(overflow)


@pytest.mark.parametrize("rule", [{"max_messages": -1}, {"kind": "other"}, {"overflow": "explode"}, {"que": "*"}])
def test_a_wrong_rule_is_named(make, rule):
    with pytest.raises(ConfigurationError, match=r"rules\[0\]"):
        make(QueueLimits, rules=[rule])
