"""The users that a plugin offers, through the hook host: found once, and safe to ask whatever the plugin does."""

import pytest

from mombroker.hooks import hookimpl
from mombroker.operations import Problem
from mombroker.operations.problems import INTERNAL, NO_SUCH_USER, SHUTTING_DOWN


class Users:
    """A directory that does what the test says, and the plugin that offers it."""

    def __init__(self, does=None, offers=True):
        self.does = does
        self.offers = offers
        self.done = []

    @hookimpl
    def mombroker_user_directory(self):
        return self if self.offers is True else self.offers

    async def list(self):
        return await self.do("list")

    async def put(self, name, password, roles):
        return await self.do("put", name, password, roles)

    async def remove(self, name):
        return await self.do("remove", name)

    async def do(self, *call):
        self.done.append(call)
        return await self.does() if callable(self.does) else self.does


async def code_of(work):
    with pytest.raises(Problem) as problem:
        await work
    return problem.value.code


async def test_without_a_plugin_that_offers_one_there_is_no_directory(host):
    assert host().user_directory() is None
    assert host(Users(offers=None)).user_directory() is None


async def test_the_first_directory_counts(host):
    first, second = Users([("ada", ())]), Users([("bob", ())])
    assert await host(Users(offers=None), first, second).user_directory().list() == [("ada", ())]
    assert second.done == []


async def test_calls_and_answers_go_through(host):
    users = Users(True)
    directory = host(users).user_directory()
    await directory.put("ada", "secret", None)
    assert await directory.remove("ada") is True
    assert users.done == [("put", "ada", "secret", None), ("remove", "ada")]


async def test_users_are_listed_in_order_of_their_names(host):
    directory = host(Users([("bob", ["dev"]), ("ada", ())])).user_directory()
    assert await directory.list() == [("ada", ()), ("bob", ("dev",))]


async def test_a_problem_is_what_the_plugin_has_to_say_and_no_fault(host, log):
    async def unknown():
        raise Problem(NO_SUCH_USER, "there is no user ada")

    hooks = host(Users(unknown))
    assert await code_of(hooks.user_directory().put("ada", None, ())) == NO_SUCH_USER
    assert hooks.faults == {}
    assert log.lines == []


async def test_a_fault_is_told_to_the_caller_without_its_text_and_logged_without_it_too(host, log):
    async def broken():
        raise RuntimeError("the password was hunter2")

    hooks = host(Users(broken))
    with pytest.raises(Problem) as problem:
        await hooks.user_directory().put("ada", "hunter2", None)
    assert problem.value.code == INTERNAL
    assert "hunter2" not in str(problem.value)
    assert "RuntimeError" in log
    assert "hunter2" not in log
    assert hooks.faults == {"mombroker_user_directory": 1}


async def test_a_directory_that_takes_too_long_is_given_up(host, never):
    async def wait():
        await never

    hooks = host(Users(wait))
    assert await code_of(hooks.user_directory().remove("ada")) == INTERNAL
    assert hooks.faults == {"mombroker_user_directory": 1}


@pytest.mark.parametrize("answer", [None, [("ada",)], ["ada"], [(1, ())], [("ada", (1,))], [("ada", None)]])
async def test_a_list_of_something_else_is_a_fault(host, answer):
    hooks = host(Users(answer))
    assert await code_of(hooks.user_directory().list()) == INTERNAL
    assert hooks.faults == {"mombroker_user_directory": 1}


async def test_what_is_no_directory_is_a_fault_and_nobody_else_is_asked(host, log):
    async def late():
        return Users()

    for wrong in (object(), late()):
        hooks = host(Users(offers=wrong), Users([]))
        assert hooks.user_directory() is None
        assert hooks.faults == {"mombroker_user_directory": 1}
    assert "which is no UserDirectory" in log


async def test_a_plugin_that_fails_to_offer_one_is_a_fault(host):
    class Broken:
        @hookimpl
        def mombroker_user_directory(self):
            raise RuntimeError

    hooks = host(Broken())
    assert hooks.user_directory() is None
    assert hooks.faults == {"mombroker_user_directory": 1}


async def test_a_broker_that_shuts_down_asks_nobody_any_more(host):
    users = Users([])
    hooks = host(users)
    directory = hooks.user_directory()
    await hooks.close()
    assert await code_of(directory.list()) == SHUTTING_DOWN
    assert users.done == []
