"""The plugin queue_limits: the first rule that fits, and what it leaves open."""

import dataclasses

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


JOBS = QueueSpec("jobs", "named", True, "ada")
DEAD = QueueSpec("dead", "named", True, "ada")
THUMBS = QueueSpec("svc:thumbs", "service", False, "ada")

EVERYTHING = {
    "max_messages": 1,
    "max_bytes": 2,
    "message_ttl": 3.0,
    "overflow": "dead-letter",
    "expires": 4.0,
    "lease": 5.0,
    "max_leased": 6,
    "max_deliveries": 7,
    "retry_delay": 8.0,
    "dead_letter": "dead",
    "dedup_window": 9.0,
    "single_active": True,
}


def test_a_rule_can_say_everything_that_a_named_queue_has():
    assert set(EVERYTHING) == {field.name for field in dataclasses.fields(QueuePolicy)}


def test_a_named_queue_gets_everything_that_a_rule_says(make):
    policy = make(QueueLimits, rules=[EVERYTHING]).mombroker_queue_policy(JOBS)
    assert policy == QueuePolicy(**{**EVERYTHING, "overflow": Overflow.DEAD_LETTER})


@pytest.mark.parametrize(("queue", "usual"), [(MINE, Overflow.DROP_OLDEST), (SHARED, Overflow.REJECT)])
def test_a_queue_without_dead_letters_gets_of_a_rule_for_any_what_fits_it(make, queue, usual):
    policy = make(QueueLimits, rules=[EVERYTHING]).mombroker_queue_policy(queue)
    assert policy == QueuePolicy(1, 2, 3.0, usual)


def test_a_service_has_no_queue_for_dead_letters(make):
    policy = make(QueueLimits, rules=[EVERYTHING]).mombroker_queue_policy(THUMBS)
    assert policy == QueuePolicy(**{**EVERYTHING, "overflow": Overflow.DEAD_LETTER, "dead_letter": ""})


def test_a_queue_of_dead_letters_is_not_its_own_and_does_not_give_them_up(make):
    policy = make(QueueLimits, rules=[EVERYTHING]).mombroker_queue_policy(DEAD)
    assert (policy.dead_letter, policy.max_deliveries, policy.overflow) == ("", 0, Overflow.REJECT)
    assert (policy.max_messages, policy.lease) == (1, 5.0)


def test_a_queue_of_dead_letters_can_have_a_rule_of_its_own(make):
    rules = [{"queue": "dead", "max_deliveries": 100, "dead_letter": "deader"}, {"dead_letter": "dead"}]
    policy = make(QueueLimits, rules=rules).mombroker_queue_policy(DEAD)
    assert (policy.dead_letter, policy.max_deliveries) == ("deader", 100)


def test_named_queues_and_services_can_be_told_apart(make):
    rules = [{"kind": "service", "lease": 1.0}, {"kind": "named", "lease": 2.0}]
    plugin = make(QueueLimits, rules=rules)
    leases = [plugin.mombroker_queue_policy(queue).lease for queue in (THUMBS, JOBS, MINE)]
    assert leases == [1.0, 2.0, QueuePolicy().lease]


def test_without_a_rule_named_queues_and_services_have_the_usual_policy(make):
    plugin = make(QueueLimits)
    assert plugin.mombroker_queue_policy(JOBS) == plugin.mombroker_queue_policy(THUMBS) == QueuePolicy()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"kind": "session", "lease": 1.0}, "lease is for named queues"),
        ({"kind": "shared", "single_active": False}, "single_active is for named queues"),
        ({"kind": "session", "overflow": "dead-letter"}, "only named queues and services have dead letters"),
        ({"dead_letter": "a/b"}, "dead_letter: 'a/b' is no name"),
        ({"dead_letter": "svc:thumbs"}, "is the queue of a service"),
        ({"lease": 0}, "lease"),
        ({"max_leased": 0}, "max_leased"),
        ({"expires": 1e10}, "expires"),
    ],
)
def test_a_rule_for_named_queues_that_cannot_work_is_named(make, rule, text):
    with pytest.raises(ConfigurationError, match=rf"rules\[0\].*{text}"):
        make(QueueLimits, rules=[rule])
