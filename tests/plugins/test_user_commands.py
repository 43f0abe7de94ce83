"""The commands `mombroker user ...`, on a state in memory."""

import asyncio
import contextlib

import click
import pytest
from click.testing import CliRunner

from mombroker_plugins import user_commands
from mombroker_plugins.user_passwords import Passwords
from mombroker_plugins.user_records import UserError, UserRecords
from mombroker_plugins.users import Users


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch):
    monkeypatch.setattr(user_commands, "Passwords", lambda: Passwords(1, 8, 1))


@pytest.fixture
def run(state):
    """Runs a command line and returns what it printed; raises what it raised."""

    class Context:
        opened = 0

        @contextlib.contextmanager
        def plugin_state(self, name):
            assert name == "users"
            self.opened += 1
            yield state
            self.opened -= 1

    context = Context()

    def run(*arguments, stdin=""):
        group = click.Group()
        Users.mombroker_cli(cli=group)
        result = CliRunner().invoke(group, ["user", *arguments], input=stdin, obj=context, standalone_mode=False)
        assert context.opened == 0 or result.exception
        if result.exception:
            raise result.exception
        return result.output

    return run


def user(state, name):
    return asyncio.run(UserRecords(state).get(name))


def is_password(state, name, password):
    async def check():
        passwords = Passwords(1, 8, 1)
        try:
            return await passwords.matches(user_hash, password)
        finally:
            passwords.close()

    user_hash = user(state, name).hash
    return asyncio.run(check())


def test_a_user_is_added_with_a_password_from_standard_input(run, state):
    assert run("add", "ada", "--role", "admin", "--role", "ops", "--password-stdin", stdin="secret\n") == (
        "added the user ada\n"
    )
    assert user(state, "ada").roles == ("admin", "ops")
    assert is_password(state, "ada", b"secret")


@pytest.mark.parametrize(("given", "password"), [(" a b \r\n", b" a b "), ("ö", "ö".encode()), ("x\n\n", b"x\n")])
def test_only_the_end_of_the_line_is_taken_off(run, state, given, password):
    run("add", "ada", "--password-stdin", stdin=given)
    assert is_password(state, "ada", password)


def test_a_password_is_asked_for_twice_and_not_shown(run, state):
    output = run("add", "ada", stdin="secret\nsecret\n")
    assert "secret" not in output
    assert is_password(state, "ada", b"secret")


def test_a_password_cannot_be_given_on_the_command_line(run):
    for arguments in (("add", "ada", "secret"), ("add", "ada", "--password", "secret")):
        with pytest.raises(click.UsageError):
            run(*arguments)


@pytest.mark.parametrize("given", ["", "\n"])
def test_an_empty_password_is_refused(run, state, given):
    with pytest.raises(UserError, match="the password is empty"):
        run("add", "ada", "--password-stdin", stdin=given)
    assert state == {}


def test_a_user_is_not_added_twice(run, state):
    run("add", "ada", "--password-stdin", stdin="one")
    with pytest.raises(UserError, match="mombroker user password ada"):
        run("add", "ada", "--password-stdin", stdin="two")
    assert is_password(state, "ada", b"one")


def test_a_password_is_changed_and_the_rest_stays(run, state):
    run("add", "ada", "--role", "admin", "--password-stdin", stdin="one")
    assert run("password", "ada", "--password-stdin", stdin="two") == "changed the password of ada\n"
    assert is_password(state, "ada", b"two")
    assert user(state, "ada").roles == ("admin",)


def test_roles_are_replaced(run, state):
    run("add", "ada", "--role", "admin", "--password-stdin", stdin="one")
    assert run("roles", "ada", "--role", "ops") == "ada has the roles ops\n"
    assert user(state, "ada").roles == ("ops",)
    assert run("roles", "ada") == "ada has no roles\n"


def test_a_user_is_removed(run, state):
    run("add", "ada", "--password-stdin", stdin="one")
    assert run("remove", "ada") == "removed the user ada\n"
    assert state == {}


def test_a_user_with_a_damaged_record_is_listed_and_can_be_removed(run, state):
    state[b"ada"] = b"nonsense"
    assert "ada\t(damaged" in run("list")
    run("remove", "ada")
    assert state == {}


@pytest.mark.parametrize("arguments", [("password", "ada"), ("remove", "ada"), ("roles", "ada", "--role", "x")])
def test_a_user_that_is_not_there_is_named(run, arguments):
    with pytest.raises(UserError, match="there is no user ada"):
        run(*arguments)


def test_the_list_shows_no_hashes(run, state):
    assert run("list") == ""
    run("add", "bob", "--password-stdin", stdin="one")
    run("add", "ada", "--role", "admin", "--password-stdin", stdin="one")
    lines = run("list").splitlines()
    assert [line.split("\t")[:2] for line in lines] == [["ada", "admin"], ["bob", "-"]]
    assert "argon2" not in "".join(lines)
