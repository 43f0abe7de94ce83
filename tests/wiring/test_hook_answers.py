"""What a plugin may answer about a queue, and what the broker says to all the rest."""

import math

import pytest

from mombroker.model import Overflow, QueuePolicy, QueueSpec
from mombroker.wiring.hook_answers import overflow_answer, policy_answer
from mombroker.wiring.hook_calls import UnfitAnswer

NAMED = QueueSpec("jobs", "named", True, "ada")
SERVICE = QueueSpec("svc:thumbs", "service", False, "ada")
SESSION = QueueSpec("client:c", "session", True)
SHARED = QueueSpec("$share/g/a", "shared", True)
DEATH = QueuePolicy(overflow=Overflow.DEAD_LETTER)


@pytest.mark.parametrize(
    "policy",
    [
        QueuePolicy(),
        QueuePolicy(0, 0, 0, Overflow.DROP_NEWEST),
        QueuePolicy(expires=0.5, lease=0.01, max_leased=1, max_deliveries=3, retry_delay=1, dedup_window=60.0),
        QueuePolicy(dead_letter="dead", single_active=True, overflow=Overflow.DEAD_LETTER),
    ],
)
def test_a_policy_that_can_be_kept_is_taken_as_it_is(policy):
    assert policy_answer(policy, (NAMED,)) is policy


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"max_messages": -1}, "whole numbers from 0"),
        ({"max_messages": True}, "whole numbers from 0"),
        ({"max_bytes": 1.0}, "whole numbers from 0"),
        ({"message_ttl": -0.5}, "message_ttl below 0"),
        ({"overflow": "reject"}, "no Overflow"),
        ({"expires": -1.0}, "not a number from 0"),
        ({"expires": "1"}, "not a number from 0"),
        ({"retry_delay": math.nan}, "not a number from 0"),
        ({"dedup_window": math.inf}, "not a number from 0"),
        ({"lease": 0.0}, "lease that is no time"),
        ({"lease": None}, "lease that is no time"),
        ({"max_leased": 0}, "max_leased below 1"),
        ({"max_leased": 2.5}, "max_leased below 1"),
        ({"max_deliveries": -1}, "max_deliveries below 0"),
        ({"max_deliveries": "5"}, "max_deliveries below 0"),
        ({"single_active": 1}, "neither True nor False"),
        ({"dead_letter": None}, "dead_letter that is no name"),
        ({"dead_letter": "a/b"}, "no queue can be called"),
        ({"dead_letter": "x" * 129}, "no queue can be called"),
        ({"dead_letter": "svc:thumbs"}, "queue of a service"),
        ({"dead_letter": "jobs"}, "itself for its dead letters"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_and_says_why(wrong, text):
    with pytest.raises(UnfitAnswer, match=text):
        policy_answer(QueuePolicy(**wrong), (NAMED,))


@pytest.mark.parametrize("queue", [NAMED, SERVICE])
def test_named_queues_and_services_may_overflow_into_dead_letters(queue):
    assert policy_answer(DEATH, (queue,)) is DEATH
    assert overflow_answer(Overflow.DEAD_LETTER, (queue, None)) is Overflow.DEAD_LETTER


@pytest.mark.parametrize("queue", [SESSION, SHARED])
def test_other_queues_have_no_dead_letters_to_overflow_into(queue):
    with pytest.raises(UnfitAnswer, match="without dead letters"):
        policy_answer(DEATH, (queue,))
    with pytest.raises(UnfitAnswer, match="without dead letters"):
        overflow_answer(Overflow.DEAD_LETTER, (queue, None))
    assert overflow_answer(Overflow.DROP_OLDEST, (queue, None)) is Overflow.DROP_OLDEST
