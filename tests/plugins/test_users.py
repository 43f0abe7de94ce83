"""The plugin users: who is let in, what is kept, and what nobody can find out."""

import asyncio
import threading

import pytest

from mombroker.model import Identity
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD
from mombroker_plugins import user_passwords
from mombroker_plugins.user_passwords import Passwords, Recognised
from mombroker_plugins.user_records import UserError, UserRecords
from mombroker_plugins.users import Users

CHEAP = {"time_cost": 1, "memory_kib": 8}


@pytest.fixture
def records(state):
    return UserRecords(state)


@pytest.fixture
async def users(make, records):
    """``users(...)`` is the plugin, with the user ada whose password is correct."""
    made = []
    passwords = Passwords(1, 8, 1)
    await records.add("ada", await passwords.hash(b"correct"), ("admin",))
    passwords.close()

    def users(**options):
        made.append(make(Users, **{**CHEAP, **options}))
        return made[-1]

    yield users
    for plugin in made:
        plugin.mombroker_shutdown()


@pytest.fixture
def counted(monkeypatch):
    """Counts how many passwords were checked the slow way."""
    checked = []
    slow = Passwords._matches

    def matches(self, hash, password):
        checked.append(hash)
        return slow(self, hash, password)

    monkeypatch.setattr(Passwords, "_matches", matches)
    return checked


async def login(plugin, connect, *credentials):
    answer = await plugin.mombroker_authenticate(connect(*credentials))
    return answer if answer is None or isinstance(answer, Identity) else answer.reason


async def test_the_right_password_lets_a_user_in_with_its_roles(users, connect):
    expected = Identity("c", "ada", frozenset({"admin"}), "127.0.0.1")
    assert await login(users(), connect, "ada", b"correct") == expected


@pytest.mark.parametrize(
    "credentials", [("ada", b"wrong"), ("ada", None), ("ada", b""), ("bob", b"correct"), ("", b""), ("x" * 9999, b"")]
)
async def test_anything_else_is_refused_in_the_same_words(users, connect, credentials):
    assert await login(users(), connect, *credentials) == BAD_USER_NAME_OR_PASSWORD


async def test_a_client_without_a_username_is_left_to_others(users, connect):
    assert await login(users(), connect, None, None) is None


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(users, connect, counted):
    plugin = users()
    await plugin.mombroker_startup()
    await login(plugin, connect, "bob", b"x")
    await login(plugin, connect, "ada", b"x")
    assert len(counted) == 2
    assert counted[0].split("$")[:4] == counted[1].split("$")[:4]


async def test_a_client_that_reconnects_is_recognised(users, connect, counted):
    plugin = users()
    for _ in range(3):
        assert isinstance(await login(plugin, connect, "ada", b"correct"), Identity)
    assert len(counted) == 1
    assert await login(plugin, connect, "ada", b"wrong") == BAD_USER_NAME_OR_PASSWORD


async def test_recognising_can_be_turned_off(users, connect, counted):
    plugin = users(remember_seconds=0)
    for _ in range(3):
        await login(plugin, connect, "ada", b"correct")
    assert len(counted) == 3


async def test_a_changed_password_and_a_removed_user_count_at_once(users, connect, records):
    plugin = users()
    await login(plugin, connect, "ada", b"correct")
    await records.set_hash("ada", await plugin._passwords.hash(b"new"))
    assert await login(plugin, connect, "ada", b"correct") == BAD_USER_NAME_OR_PASSWORD
    assert isinstance(await login(plugin, connect, "ada", b"new"), Identity)
    await records.remove("ada")
    assert await login(plugin, connect, "ada", b"new") == BAD_USER_NAME_OR_PASSWORD


async def test_a_hash_with_other_parameters_is_renewed_at_a_login(users, connect, records):
    plugin = users(time_cost=2)
    before = await records.get("ada")
    assert await login(plugin, connect, "ada", b"wrong") == BAD_USER_NAME_OR_PASSWORD
    assert await records.get("ada") == before
    assert isinstance(await login(plugin, connect, "ada", b"correct"), Identity)
    after = await records.get("ada")
    assert "t=2" in after.hash
    assert (after.roles, after.created) == (before.roles, before.created)


async def test_a_full_disk_does_not_keep_a_user_out(users, connect, state, log):
    state.full = True
    assert isinstance(await login(users(time_cost=2), connect, "ada", b"correct"), Identity)
    assert log.lines[0][0] == "password hash not renewed"


@pytest.mark.parametrize("record", [b"", b"{}", b'{"hash": 1}', b"\xff"])
async def test_a_damaged_record_keeps_its_user_out_and_is_logged(users, connect, state, log, record):
    state[b"ada"] = record
    assert await login(users(), connect, "ada", b"correct") == BAD_USER_NAME_OR_PASSWORD
    assert log.lines[0][1]["username"] == "ada"


async def test_a_hash_that_cannot_be_read_is_nobodys_password(users, connect, records):
    await records.set_hash("ada", "plain text")
    assert await login(users(), connect, "ada", b"plain text") == BAD_USER_NAME_OR_PASSWORD


async def test_no_more_passwords_are_checked_at_a_time_than_is_set(users, connect, monkeypatch):
    running = []
    most = []
    both = threading.Barrier(2, timeout=60)

    def matches(self, hash, password):
        running.append(1)
        most.append(len(running))
        both.wait()
        running.pop()
        return False

    monkeypatch.setattr(Passwords, "_matches", matches)
    plugin = users(max_concurrent=2)
    await asyncio.gather(*(login(plugin, connect, "ada", str(n).encode()) for n in range(8)))
    assert max(most) == 2


async def test_somebody_who_guesses_from_one_address_keeps_nobody_else_out(users, connect, monkeypatch):
    checked = []
    begun, go_on = threading.Event(), threading.Event()

    def matches(self, hash, password):
        begun.set()
        assert go_on.wait(60)
        checked.append(password)
        return password == b"correct"

    monkeypatch.setattr(Passwords, "_matches", matches)
    plugin = users(max_concurrent=1)
    guesses = [asyncio.create_task(login(plugin, connect, "ada", b"guess %d" % number)) for number in range(50)]
    assert await asyncio.to_thread(begun.wait, 60)
    right = asyncio.create_task(login(plugin, connect, "ada", b"correct", "192.0.2.1"))
    for _ in range(10):
        # Nothing that it asks before the check is waited for: it stands in line now.
        await asyncio.sleep(0)
    go_on.set()
    assert isinstance(await right, Identity)
    assert checked.index(b"correct") <= 2
    assert await asyncio.gather(*guesses) == [BAD_USER_NAME_OR_PASSWORD] * 50


async def test_nobody_who_waits_for_a_check_is_left_waiting_when_the_plugin_ends(users, connect, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def matches(self, hash, password):
        begun.set()
        return go_on.wait(60)

    monkeypatch.setattr(Passwords, "_matches", matches)
    plugin = users(max_concurrent=1)
    logins = [asyncio.create_task(login(plugin, connect, "ada", b"x%d" % number)) for number in range(5)]
    assert await asyncio.to_thread(begun.wait, 60)
    plugin.mombroker_shutdown()
    go_on.set()
    first, *others = await asyncio.gather(*logins, return_exceptions=True)
    assert isinstance(first, Identity)
    assert all(isinstance(other, asyncio.CancelledError) for other in others)


async def test_nothing_readable_is_kept(users, connect, state):
    plugin = users()
    await login(plugin, connect, "ada", b"correct")
    assert b"correct" not in b"".join(state.values())
    assert b"correct" not in repr(vars(plugin._recognised)).encode()
    assert state[b"ada"].startswith(b'{"hash":"$argon2id$')


def test_what_is_recognised_is_forgotten_after_a_while_and_bounded():
    time = [0.0]
    recognised = Recognised(10.0, size=2, clock=lambda: time[0])
    for password in (b"1", b"2", b"3"):
        recognised.remember("hash", password)
    assert [recognised.knows("hash", password) for password in (b"1", b"2", b"3")] == [False, True, True]
    assert not recognised.knows("other hash", b"3")
    time[0] = 10.0
    assert not recognised.knows("hash", b"3")


def test_two_processes_keep_different_digests():
    ours, theirs = Recognised(1.0), Recognised(1.0)
    assert ours._digest("hash", b"password") != theirs._digest("hash", b"password")


@pytest.mark.parametrize("name", ["", " ada", "a\nb", "a\0b", "x" * 201, "ö" * 101])
async def test_a_name_that_is_none_is_refused(records, name):
    with pytest.raises(UserError, match="cannot be the name of a user"):
        await records.add(name, "hash", ())
    with pytest.raises(UserError, match="cannot be the name of a role"):
        await records.add("ada", "hash", (name,))


async def test_the_usual_parameters_are_those_that_are_recommended():
    passwords = user_passwords.Passwords()
    hash = await passwords.hash(b"x")
    passwords.close()
    assert hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
