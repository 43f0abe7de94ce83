"""The plugin users as a user directory: administrators edit the same records, by the same rules, as the commands do."""

import asyncio

import pytest

from mombroker.model import Identity
from mombroker.operations import Problem
from mombroker.operations.problems import BAD_REQUEST, NO_SUCH_USER, STORE_FULL
from mombroker_plugins.user_records import NoSuchUser, UserRecords
from mombroker_plugins.users import Users


@pytest.fixture
def plugin(make):
    plugin = make(Users, time_cost=1, memory_kib=8)
    yield plugin
    plugin.mombroker_shutdown()


@pytest.fixture
def directory(plugin):
    return plugin.mombroker_user_directory()


@pytest.fixture
def records(state):
    return UserRecords(state)


async def code_of(work):
    with pytest.raises(Problem) as problem:
        await work
    return problem.value.code


async def test_a_user_that_is_added_can_log_in_with_its_roles(plugin, directory, connect):
    await directory.put("ada", "correct", ("dev",))
    expected = Identity("c", "ada", frozenset({"dev"}), "127.0.0.1")
    assert await plugin.mombroker_authenticate(connect("ada", b"correct")) == expected


async def test_without_roles_a_new_user_has_none(directory):
    await directory.put("ada", "correct", None)
    assert await directory.list() == [("ada", ())]


async def test_what_is_left_out_stays(directory, records):
    await directory.put("ada", "correct", ("dev",))
    first = await records.get("ada")
    await directory.put("ada", None, ("admin",))
    second = await records.get("ada")
    assert (second.hash, second.roles, second.created) == (first.hash, ("admin",), first.created)
    await directory.put("ada", "new", None)
    third = await records.get("ada")
    assert third.hash != first.hash
    assert (third.roles, third.created) == (("admin",), first.created)


async def test_roles_can_be_taken_away(directory):
    await directory.put("ada", "correct", ("dev",))
    await directory.put("ada", None, ())
    assert await directory.list() == [("ada", ())]


async def test_a_new_user_needs_a_password(directory, state):
    assert await code_of(directory.put("ada", None, ("dev",))) == NO_SUCH_USER
    assert state == {}


@pytest.mark.parametrize(
    ("name", "password", "roles"),
    [
        ("", "x", ()),
        ("a\nb", "x", ()),
        ("x" * 201, "x", ()),
        ("ada", "", ()),
        ("ada", "\ud800", ()),
        ("ada", "x", ("",)),
    ],
)
async def test_what_the_commands_refuse_is_refused_here_too(directory, state, name, password, roles):
    assert await code_of(directory.put(name, password, roles)) == BAD_REQUEST
    assert state == {}


async def test_users_are_listed_and_removed(directory):
    for name in ("bob", "ada"):
        await directory.put(name, "x", (name,))
    assert await directory.list() == [("ada", ("ada",)), ("bob", ("bob",))]
    assert await directory.remove("ada") is True
    assert await directory.remove("ada") is False
    assert await directory.remove("\n") is False
    assert await directory.list() == [("bob", ("bob",))]


async def test_a_damaged_record_is_listed_and_can_be_removed_but_not_changed(directory, state):
    state[b"ada"] = b"{}"
    assert await directory.list() == [("ada", ())]
    assert await code_of(directory.put("ada", "x", None)) == BAD_REQUEST
    assert await directory.remove("ada") is True


async def test_a_full_disk_is_told(directory, state):
    state.full = True
    assert await code_of(directory.put("ada", "x", None)) == STORE_FULL


async def test_of_two_changes_at_a_time_none_is_lost(directory, records, state):
    await directory.put("ada", "old", ())
    before = await records.get("ada")
    get = state.get

    async def slow_get(key):
        value = await get(key)
        await asyncio.sleep(0)
        return value

    state.get = slow_get
    shared = directory._records
    await asyncio.gather(shared.set_hash("ada", "hash"), shared.set_roles("ada", ("dev",)))
    after = await shared.get("ada")
    assert (after.hash, after.roles, after.created) == ("hash", ("dev",), before.created)


async def test_a_change_of_nobody_is_an_error_of_its_own(records):
    with pytest.raises(NoSuchUser):
        await records.change("ada", None, ("dev",))
