"""Authentication through the hook host: who answers, when, and what a broken plugin leads to."""

import asyncio

import pytest

from mombroker.hooks import AuthContinue, AuthDone, hookimpl
from mombroker.model import Identity, Refusal
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, SERVER_UNAVAILABLE

WRONG = Refusal(BAD_USER_NAME_OR_PASSWORD)


class Answering:
    """Authenticates everybody with the same answer, or with what a function of the request gives."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0

    @hookimpl
    def mombroker_authenticate(self, request):
        self.asked += 1
        return self.answer(request) if callable(self.answer) else self.answer


def raising(error):
    def raise_it(*_):
        raise error

    return raise_it


async def test_a_plain_answer_is_given_at_once(host, request_of, answers):
    host(Answering(Identity("c", "ada", address="127.0.0.1"))).authenticate(request_of(), answers)
    assert answers == [Identity("c", "ada", address="127.0.0.1")]


async def test_an_async_answer_is_given_later_and_once(host, request_of, answers):
    async def later(request):
        return WRONG

    host(Answering(later)).authenticate(request_of(), answers)
    assert answers == []
    assert await answers.next() == WRONG
    assert answers == [WRONG]


async def test_the_first_plugin_with_an_answer_has_the_last_word(host, request_of, answers):
    second = Answering(Identity("c"))
    host(Answering(None), Answering(WRONG), second).authenticate(request_of(), answers)
    assert answers == [WRONG]
    assert second.asked == 0


async def test_an_async_plugin_is_awaited_before_the_next_one_is_asked(host, request_of, answers):
    async def nothing(request):
        return None

    second = Answering(lambda request: nothing(request))
    host(Answering(nothing), second, Answering(WRONG)).authenticate(request_of(), answers)
    assert second.asked == 0
    assert await answers.next() == WRONG
    assert second.asked == 1


async def test_a_client_that_nobody_knows_is_not_authorized(host, request_of, answers):
    host(Answering(None)).authenticate(request_of(), answers)
    host().authenticate(request_of(), answers)
    assert [answer.reason for answer in answers] == [NOT_AUTHORIZED, NOT_AUTHORIZED]


@pytest.mark.parametrize(
    "answer",
    [
        raising(ValueError("the password is hunter2")),
        raising(SystemExit(1)),
        raising(asyncio.CancelledError()),
        "ada",
        True,
        Refusal(0),
        Refusal(0x100),
        Refusal("no"),
        Refusal(NOT_AUTHORIZED, b"no"),
        Identity("c", username=5),
        Identity("c", roles="admin"),
        Identity("c", roles=7),
        Identity("c", expires_at=-1.0),
        Identity("c", expires_at=float("nan")),
        Identity("c", expires_at="2030-01-01"),
    ],
)
async def test_a_fault_refuses_the_client_and_asks_nobody_else(host, request_of, answers, log, answer):
    second = Answering(Identity("c"))
    broken = host(Answering(answer), second)
    broken.authenticate(request_of(), answers)
    assert [answer.reason for answer in answers] == [SERVER_UNAVAILABLE]
    assert second.asked == 0
    assert broken.faults == {"mombroker_authenticate": 1}
    assert "hunter2" not in log


@pytest.mark.parametrize("error", [ValueError("hunter2"), SystemExit(1), asyncio.CancelledError()])
async def test_a_coroutine_that_raises_is_a_fault(host, request_of, answers, log, error):
    async def broken(request):
        raise error

    host(Answering(broken)).authenticate(request_of(), answers)
    assert (await answers.next()).reason == SERVER_UNAVAILABLE
    assert "hunter2" not in log
    assert "test_host_authentication.py" in log


async def test_a_plugin_that_takes_too_long_is_cancelled_and_the_client_refused(host, request_of, answers, never):
    slow = host(Answering(never), Answering(Identity("c")))
    slow.authenticate(request_of(), answers)
    assert (await answers.next()).reason == SERVER_UNAVAILABLE
    assert slow.faults == {"mombroker_authenticate": 1}
    await asyncio.wait({never})
    assert never.cancelled()


async def test_a_plugin_that_ignores_its_cancellation_delays_no_answer(host, request_of, answers, never):
    release = asyncio.get_running_loop().create_future()

    async def stubborn(request):
        try:
            await never
        except asyncio.CancelledError:
            await release
        return Identity("c")

    host(Answering(stubborn)).authenticate(request_of(), answers)
    assert (await answers.next()).reason == SERVER_UNAVAILABLE
    release.set_result(None)
    await asyncio.sleep(0)
    assert len(answers) == 1


async def test_one_waiting_client_does_not_hold_up_another(host, request_of, answers, never):
    busy = host(Answering(lambda request: never if request.username == "slow" else Identity("c")), budget=30)
    busy.authenticate(request_of("slow"), answers)
    busy.authenticate(request_of("quick"), answers)
    assert [answer.address for answer in answers] == ["127.0.0.1"]


async def test_an_identity_is_that_of_the_connection(host, request_of, answers):
    host(Answering(Identity("somebody-else", "ada", {"admin"}))).authenticate(request_of(), answers)
    assert answers == [Identity("c", "ada", frozenset({"admin"}), "127.0.0.1")]


async def test_a_refusals_text_is_made_fit_to_send(host, request_of, answers):
    host(Answering(Refusal(NOT_AUTHORIZED, "no\0 \ud800" + "x" * 5000))).authenticate(request_of(), answers)
    assert answers[0].reason == NOT_AUTHORIZED
    assert answers[0].message.startswith("no ?xxx")
    assert len(answers[0].message) == 500


async def test_what_is_open_at_the_end_is_cancelled_and_not_answered(host, request_of, answers, never):
    closing = host(Answering(never), budget=30)
    closing.authenticate(request_of(), answers)
    await asyncio.sleep(0)
    await closing.close()
    assert never.cancelled()
    assert answers == []


async def test_closing_before_a_question_was_even_begun_leaves_nothing_behind(host, request_of, answers):
    async def unbegun(request):
        raise AssertionError

    closing = host(Answering(unbegun))
    closing.authenticate(request_of(), answers)
    await closing.close()
    assert answers == []


async def test_after_the_end_an_async_plugin_is_not_waited_for(host, request_of, answers):
    async def later(request):
        return Identity("c")

    closed = host(Answering(later))
    await closed.close()
    closed.authenticate(request_of(), answers)
    assert [answer.reason for answer in answers] == [SERVER_UNAVAILABLE]


class Enhanced:
    """Knows the method M, and answers its steps with what it was given."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.data = []

    @hookimpl
    def mombroker_enhanced_authentication(self, method):
        return self if method == "M" else None

    def step(self, data):
        self.data.append(data)
        answer = self.steps.pop(0)
        return answer() if callable(answer) else answer


async def test_an_exchange_goes_on_until_it_is_done(host, request_of, answers):
    plugin = Enhanced(AuthContinue(b"nonce"), AuthDone(Identity("other", "ada"), b"bye"))
    exchange = host(plugin).begin_exchange("M", request_of())
    exchange.step(None, answers)
    exchange.step(b"proof", answers)
    assert answers == [AuthContinue(b"nonce"), AuthDone(Identity("c", "ada", address="127.0.0.1"), b"bye")]
    assert plugin.data == [None, b"proof"]


async def test_a_method_that_no_plugin_knows_has_no_exchange(host, request_of):
    assert host(Enhanced()).begin_exchange("N", request_of()) is None


async def test_a_step_may_be_a_coroutine(host, request_of, answers):
    async def later():
        return Refusal(NOT_AUTHORIZED)

    host(Enhanced(later)).begin_exchange("M", request_of()).step(b"", answers)
    assert answers == []
    assert await answers.next() == Refusal(NOT_AUTHORIZED)


@pytest.mark.parametrize(
    "step", [raising(ValueError()), None, "done", Refusal(0), AuthContinue("text"), AuthDone(None), AuthDone(7, 8)]
)
async def test_a_faulty_step_turns_the_client_down(host, request_of, answers, step):
    broken = host(Enhanced(step))
    broken.begin_exchange("M", request_of()).step(b"", answers)
    assert [answer.reason for answer in answers] == [SERVER_UNAVAILABLE]
    assert broken.faults == {"mombroker_enhanced_authentication": 1}


async def test_a_step_that_takes_too_long_turns_the_client_down(host, request_of, answers, never):
    host(Enhanced(lambda: never)).begin_exchange("M", request_of()).step(b"", answers)
    assert (await answers.next()).reason == SERVER_UNAVAILABLE


async def test_a_cancelled_exchange_stops_the_plugin_and_answers_nobody(host, request_of, answers, never):
    exchange = host(Enhanced(lambda: never), budget=30).begin_exchange("M", request_of())
    exchange.step(b"", answers)
    await asyncio.sleep(0)
    exchange.cancel()
    await asyncio.wait({never})
    assert never.cancelled()
    assert answers == []


async def test_a_plugin_that_cannot_begin_an_exchange_turns_the_client_down(host, request_of, answers):
    class Broken:
        def __init__(self, answer):
            self.answer = answer

        @hookimpl
        def mombroker_enhanced_authentication(self, method, request):
            return self.answer() if callable(self.answer) else self.answer

    for answer in (raising(ValueError()), "no exchange"):
        host(Broken(answer)).begin_exchange("M", request_of()).step(None, answers)
    assert [answer.reason for answer in answers] == [SERVER_UNAVAILABLE, SERVER_UNAVAILABLE]
