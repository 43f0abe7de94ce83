"""`mombroker acl test`: which rule decides."""

import asyncio
import contextlib
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from mombroker.model.errors import ConfigurationError
from mombroker_plugins.acl import Acl
from mombroker_plugins.user_records import UserRecords

RULES = [
    {"user": "anna", "topic": "secret/#", "access": "deny"},
    {"role": "reader", "topic": "#", "access": "read"},
    {"client": "pump", "topic": "pumps/%c", "access": "write"},
    {"user": "anna", "queue": "jobs.*", "access": "write"},
    {"user": "anna", "admin": True},
]


@pytest.fixture
def run(state):
    """Runs a command line; its exit code and what it printed."""

    class Context:
        settings = SimpleNamespace(plugins={"acl": {"rules": RULES, "enabled": True}, "users": {}})

        @contextlib.contextmanager
        def plugin_state(self, name):
            assert name == "users"
            yield state

    context = Context()

    def run(*arguments, plugins=None):
        if plugins is not None:
            context.settings = SimpleNamespace(plugins=plugins)
        group = click.Group()
        Acl.mombroker_cli(cli=group)
        result = CliRunner().invoke(group, ["acl", "test", *arguments], obj=context)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output.strip()

    return run


def test_the_rule_that_decides_is_shown(run):
    assert run("anna", "c", "publish", "secret/a") == (
        1,
        'denied: rule 1, user = "anna", topic = "secret/#", access = "deny"',
    )
    assert run("-", "pump", "publish", "pumps/pump") == (
        0,
        'allowed: rule 3, client = "pump", topic = "pumps/%c", access = "write"',
    )
    assert run("anna", "c", "admin", "broker") == (0, 'allowed: rule 5, user = "anna", admin = true')


def test_where_no_rule_decides_the_default_does(run):
    assert run("bert", "c", "publish", "a") == (1, "denied: no rule says anything, and the default is deny")
    plugins = {"acl": {"default": "allow"}}
    assert run("bert", "c", "publish", "a", plugins=plugins) == (
        0,
        "allowed: no rule says anything, and the default is allow",
    )


def test_queues_are_left_to_their_owners(run):
    assert run("anna", "c", "write", "queue:jobs.1")[1].startswith("allowed: rule 4")
    assert run("anna", "c", "read", "queue:jobs.1") == (
        0,
        "left open: no rule says anything; the owner and those with a grant may",
    )


def test_roles_are_those_that_are_stored_or_given(run, state):
    asyncio.run(UserRecords(state).add("carl", "hash", ("reader",)))
    assert run("carl", "c", "subscribe", "a/#")[1].startswith("roles: reader\nallowed: rule 2")
    assert run("carl", "c", "subscribe", "a/#", "--role", "writer")[0] == 1
    assert run("dora", "c", "receive", "a", "--role", "reader")[0] == 0


def test_without_the_plugin_there_is_nothing_to_test(run):
    with pytest.raises(ConfigurationError, match="not enabled"):
        run("anna", "c", "publish", "a", plugins={})
    with pytest.raises(ConfigurationError, match=r"\[plugins.acl\]"):
        run("anna", "c", "publish", "a", plugins={"acl": {"default": "perhaps"}})


def test_an_action_that_there_is_not_is_refused(run):
    assert run("anna", "c", "fly", "a")[0] == 2
