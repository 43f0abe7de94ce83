"""Authorisation, queue policies and overflow through the hook host."""

import asyncio

import pytest

from mombroker.hooks import hookimpl
from mombroker.model import Overflow, QueuePolicy, QueueSpec
from mombroker.wiring.hook_host import QueueDefaults


class Rights:
    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    @hookimpl
    def mombroker_authorize(self, resource, action):
        self.asked.append((action, resource))
        return self.answer() if callable(self.answer) else self.answer


class Policies:
    def __init__(self, answer):
        self.answer = answer

    @hookimpl
    def mombroker_queue_policy(self, queue):
        return self.answer() if callable(self.answer) else self.answer

    @hookimpl
    def mombroker_overflow(self, queue, message):
        return self.answer() if callable(self.answer) else self.answer


def broken():
    raise RuntimeError


@pytest.mark.parametrize("opinion", [True, False])
async def test_an_opinion_that_is_at_hand_is_returned_at_once(host, ada, answers, opinion):
    assert host(Rights(opinion)).authorize(ada, "publish", "a", answers) is opinion
    assert answers == []


async def test_arguments_are_passed_by_name_whatever_their_order(host, ada, answers):
    plugin = Rights(True)
    host(plugin).authorize(ada, "publish", "a/b", answers)
    assert plugin.asked == [("publish", "a/b")]


async def test_where_nobody_has_an_opinion_it_is_allowed(host, ada, answers):
    assert host(Rights(None)).authorize(ada, "publish", "a", answers) is True


async def test_the_first_opinion_counts(host, ada, answers):
    last = Rights(True)
    assert host(Rights(None), Rights(False), last).authorize(ada, "publish", "a", answers) is False
    assert last.asked == []


async def test_a_later_opinion_comes_through_the_callback_once(host, ada, answers):
    async def later():
        return False

    assert host(Rights(later), Rights(True)).authorize(ada, "publish", "a", answers) is None
    assert await answers.next() is False
    assert answers == [False]


async def test_a_later_opinion_waits_for_its_turn_even_with_an_eager_loop(host, ada, answers):
    async def later():
        return True

    if hasattr(asyncio, "eager_task_factory"):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    assert host(Rights(later)).authorize(ada, "publish", "a", answers) is None
    assert answers == []
    assert await answers.next() is True


@pytest.mark.parametrize("answer", [broken, 1, "yes", object()])
async def test_a_fault_forbids(host, ada, answers, answer):
    guarded = host(Rights(answer), Rights(True))
    assert guarded.authorize(ada, "publish", "a", answers) is False
    assert guarded.faults == {"mombroker_authorize": 1}


async def test_a_plugin_that_takes_too_long_forbids(host, ada, answers, never):
    assert host(Rights(lambda: never)).authorize(ada, "publish", "a", answers) is None
    assert await answers.next() is False


async def test_the_flags_tell_what_anybody_implements(host):
    nobody = host()
    assert not (nobody.authorizes or nobody.sees_publish or nobody.sees_deliver or nobody.sees_events)
    assert host(Rights(True)).authorizes
    assert not host(Policies(None)).authorizes


async def test_queues_that_nobody_has_an_opinion_on_get_the_default_of_their_kind(host, answers, queue):
    quiet = host(Policies(None))
    shared = QueueSpec("$share/g/a", "shared", True)
    assert quiet.queue_policy(queue, answers) == QueuePolicy(1_000_000, 1 << 30, 0.0, Overflow.DROP_OLDEST)
    assert quiet.queue_policy(shared, answers) == QueuePolicy(1_000_000, 1 << 30, 0.0, Overflow.REJECT)
    assert host(queue_defaults=QueueDefaults(session=QueuePolicy(7))).queue_policy(queue, answers) == QueuePolicy(7)


async def test_a_policy_that_takes_its_time_replaces_the_default_later(host, answers, queue):
    async def later():
        return QueuePolicy(5)

    assert host(Policies(later)).queue_policy(queue, answers).max_messages == 1_000_000
    assert await answers.next() == QueuePolicy(5)


@pytest.mark.parametrize(
    "answer",
    [
        broken,
        {"max_messages": 1},
        QueuePolicy(-1),
        QueuePolicy(1.5),
        QueuePolicy(message_ttl=float("nan")),
        QueuePolicy(message_ttl="1"),
        QueuePolicy(overflow="reject"),
    ],
)
async def test_a_faulty_policy_falls_back_to_the_default(host, answers, queue, answer):
    guarded = host(Policies(answer))
    assert guarded.queue_policy(queue, answers) == QueueDefaults().session
    assert guarded.faults == {"mombroker_queue_policy": 1}


async def test_the_first_answer_about_an_overflow_counts(host, queue, message):
    both = host(Policies(None), Policies(Overflow.DROP_NEWEST), Policies(Overflow.REJECT))
    assert both.overflow(queue, message, Overflow.DROP_OLDEST) is Overflow.DROP_NEWEST
    assert host(Policies(None)).overflow(queue, message, Overflow.REJECT) is Overflow.REJECT


@pytest.mark.parametrize("answer", [broken, "drop", True, Overflow.DEAD_LETTER])
async def test_a_faulty_overflow_falls_back_to_the_queues_policy(host, queue, message, answer):
    guarded = host(Policies(answer))
    assert guarded.overflow(queue, message, Overflow.REJECT) is Overflow.REJECT
    assert guarded.faults == {"mombroker_overflow": 1}


async def test_an_awaitable_where_the_broker_cannot_wait_is_a_fault(host, queue, message):
    async def later():
        return Overflow.REJECT

    assert host(Policies(later)).overflow(queue, message, Overflow.DROP_OLDEST) is Overflow.DROP_OLDEST
