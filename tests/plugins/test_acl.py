"""The plugin acl: the first rule that fits, own topics, and subscriptions."""

import pytest

from mombroker.model import ConfigurationError, Identity
from mombroker_plugins import acl
from mombroker_plugins.acl import Acl

ADA = Identity("pump-7", "ada", frozenset({"admin"}))
BOB = Identity("pump-8", "bob")
NOBODY = Identity("pump-9", None)


def rule(topic, access="readwrite", **whom):
    return {"topic": topic, "access": access, **(whom or {"anyone": True})}


@pytest.fixture
def may(make):
    def may(identity, action, resource, *rules, **options):
        return make(Acl, rules=rules, **options).mombroker_authorize(identity, action, resource)

    return may


@pytest.mark.parametrize("action", ["publish", "subscribe", "receive"])
def test_without_a_rule_the_default_decides(may, action):
    assert may(ADA, action, "a") is False
    assert may(ADA, action, "a", default="allow") is True


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        ("read", {"subscribe", "receive"}),
        ("write", {"publish"}),
        ("readwrite", {"subscribe", "receive", "publish"}),
        ("deny", set()),
    ],
)
def test_each_access_allows_what_its_name_says(may, access, allowed):
    actions = ("publish", "subscribe", "receive")
    assert {action for action in actions if may(ADA, action, "a", rule("a", access))} == allowed


def test_an_action_nobody_has_heard_of_is_denied(may):
    assert may(ADA, "fly", "a", rule("#"), default="allow") is False


def test_a_rule_is_for_those_it_names(may):
    for whom, allowed in (
        ({"user": "ada"}, [ADA]),
        ({"role": "admin"}, [ADA]),
        ({"client": "pump-8"}, [BOB]),
        ({"user": "ada", "client": "pump-8"}, []),
        ({"anyone": True}, [ADA, BOB, NOBODY]),
    ):
        assert [who for who in (ADA, BOB, NOBODY) if may(who, "publish", "a", rule("a", **whom))] == allowed


def test_the_first_rule_that_fits_decides(may):
    assert may(ADA, "publish", "a/b", rule("a/b", "deny"), rule("a/#")) is False
    assert may(ADA, "publish", "a/b", rule("a/#"), rule("a/b", "deny")) is True
    assert may(ADA, "publish", "a/b", rule("a/b", "read"), rule("a/#", "write")) is True


@pytest.mark.parametrize(
    ("pattern", "filter", "allowed"),
    [
        ("a/#", "a/#", True),
        ("a/#", "a", True),
        ("a/#", "a/+/c", True),
        ("a/#", "#", False),
        ("a/#", "+/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/+", "a", False),
        ("+/b", "a/b", True),
        ("a/b", "a/+", False),
        ("#", "+/#", True),
        ("+/#", "#", True),
        ("#", "$SYS/#", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/broker/+", True),
        ("a/b", "$share/g/a/b", True),
        ("a/b", "$share/g/a/+", False),
        ("#", "$share/g/a", True),
        ("$share/g/a", "$share/g/a", False),
        ("#", "$share/g", False),
        ("#", "$share//a", False),
        ("#", "$share/g/", False),
        ("#", "$share/g/$SYS/x", False),
    ],
)
def test_a_subscription_must_be_taken_in_as_a_whole(may, pattern, filter, allowed):
    assert may(ADA, "subscribe", filter, rule(pattern)) is allowed


def test_a_subscription_across_denied_topics_is_filtered_message_by_message(may):
    rules = [rule("secret/#", "deny"), rule("#", "read")]
    assert may(ADA, "subscribe", "#", *rules) is True
    assert may(ADA, "subscribe", "secret/+", *rules) is False
    assert may(ADA, "receive", "open/x", *rules) is True
    assert may(ADA, "receive", "secret/x", *rules) is False


def test_wildcards_do_not_open_the_brokers_own_topics(may):
    assert may(ADA, "receive", "$SYS/broker/uptime", rule("#")) is False
    assert may(ADA, "receive", "$SYS/broker/uptime", rule("$SYS/#")) is True


def test_own_names_are_filled_in(may):
    assert may(BOB, "publish", "d/pump-8/up", rule("d/%c/+")) is True
    assert may(BOB, "publish", "d/pump-7/up", rule("d/%c/+")) is False
    assert may(BOB, "publish", "u-bob/x", rule("u-%u/x")) is True
    assert may(BOB, "publish", "bob/pump-8", rule("%u/%c")) is True


@pytest.mark.parametrize("name", ["+", "#", "a/b", "a+", "x#", "/", ""])
@pytest.mark.parametrize("template", ["d/%c/up", "d/%u/up", "d/x-%c/up", "%u/#", "d/%c"])
def test_a_name_never_widens_a_rule(may, template, name):
    tricky = Identity(name, name)
    for topic in ("d/other/up", "d/+/up", "d/a/b/up", "a/b", "d/x-a/b/up", "other/up", "d/"):
        assert may(tricky, "publish", topic, rule(template)) is False
        assert may(tricky, "subscribe", topic, rule(template)) is False


def test_a_name_is_not_taken_for_a_variable(may):
    tricky = Identity("victim", "%c")
    assert may(tricky, "publish", "u/victim", rule("u/%u")) is False
    assert may(tricky, "publish", "u/%c", rule("u/%u")) is True


def test_a_name_does_not_open_the_brokers_own_topics(may):
    assert may(Identity("$SYS", "$SYS"), "subscribe", "$SYS/#", rule("%u/#"), rule("%c/#")) is False


@pytest.mark.parametrize("who", [Identity("c", "a/b"), Identity("c", None), Identity("c", "#")])
def test_a_name_does_not_escape_a_rule_that_denies(may, who):
    rules = [rule("private/%u/#", "deny"), rule("#")]
    assert may(who, "publish", "private/a/b/x", *rules) is False
    assert may(who, "publish", "public", *rules) is True


def test_the_rules_of_a_client_are_kept_within_bounds(make, monkeypatch):
    monkeypatch.setattr(acl, "REMEMBERED", 3)
    plugin = make(Acl, rules=[rule("d/%c")])
    for _ in range(2):
        for number in range(10):
            assert plugin.mombroker_authorize(Identity(str(number)), "publish", f"d/{number}") is True
            assert plugin.mombroker_authorize(Identity(str(number)), "publish", "d/x") is False
    assert len(plugin._own) == 3


def test_other_roles_of_the_same_user_are_another_matter(make):
    plugin = make(Acl, rules=[rule("a", role="admin")])
    assert plugin.mombroker_authorize(ADA, "publish", "a") is True
    assert plugin.mombroker_authorize(Identity("pump-7", "ada"), "publish", "a") is False


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"topic": "a", "access": "read"}, "say whom the rule is for"),
        (rule("a", user="ada", anyone=True), "say whom the rule is for"),
        (rule("a#"), "no topic filter"),
        (rule("a/#/b"), "no topic filter"),
        (rule("a/b+"), "no topic filter"),
        (rule("a\0b"), "null character"),
        (rule("a", "wirte"), 'write one of "all", "configure", "deny", "read"'),
        (rule("a", user=""), r"rules\[1\].user"),
        ({**rule("a"), "tpic": ""}, r"rules\[1\].tpic is not a setting of this plugin; did you mean topic"),
    ],
)
def test_a_wrong_rule_is_named_with_its_number(make, wrong, text):
    with pytest.raises(ConfigurationError, match=rf"rules\[1\].*{text}" if "rules" not in text else text):
        make(Acl, rules=[rule("a"), wrong])
