"""The plugin acl on queues, services and the broker: what rules say, and what is left to owners."""

import pytest

from mombroker.model import ConfigurationError, Identity
from mombroker_plugins.acl import Acl

ADA = Identity("pump-7", "ada", frozenset({"ops"}))
BOB = Identity("pump-8", "bob")
NOBODY = Identity("pump-9", None)
RIGHTS = ("configure", "write", "read")


def rule(**parts):
    whom = {"user", "role", "client", "anyone"} & parts.keys()
    return {**({} if whom else {"anyone": True}), **parts}


@pytest.fixture
def may(make):
    def may(identity, action, resource, *rules, **options):
        return make(Acl, rules=rules, **options).mombroker_authorize(identity, action, resource)

    return may


@pytest.mark.parametrize("default", ["deny", "allow"])
@pytest.mark.parametrize(
    ("action", "resource"),
    [*((right, f"{kind}:jobs") for right in RIGHTS for kind in ("queue", "service")), ("admin", "broker")],
)
def test_what_no_rule_is_about_is_left_to_owners_whatever_the_default(may, action, resource, default):
    topics = [rule(topic="#", access="deny"), rule(topic="queue:jobs", access="readwrite")]
    assert may(ADA, action, resource, *topics, default=default) is None


@pytest.mark.parametrize("kind", ["queue", "service"])
@pytest.mark.parametrize(
    ("access", "said"),
    [
        ("read", {"read": True}),
        ("write", {"write": True}),
        ("readwrite", {"read": True, "write": True}),
        ("configure", {"configure": True}),
        ("all", {"read": True, "write": True, "configure": True}),
        ("deny", {"read": False, "write": False, "configure": False}),
    ],
)
def test_each_access_says_what_its_name_says_and_no_more(may, kind, access, said):
    rules = [rule(**{kind: "jobs", "access": access})]
    assert {right: may(ADA, right, f"{kind}:jobs", *rules) for right in RIGHTS} == dict.fromkeys(RIGHTS) | said


def test_rules_for_queues_services_and_topics_have_nothing_to_do_with_each_other(may):
    rules = [rule(queue="*", access="all")]
    assert may(ADA, "read", "service:jobs", *rules) is None
    assert may(ADA, "read", "queue:jobs", rule(service="*", access="all")) is None
    assert may(ADA, "publish", "jobs", *rules) is False
    assert may(ADA, "admin", "broker", *rules) is None


def test_the_first_rule_that_fits_decides(may):
    narrow, wide = rule(queue="jobs.secret", access="deny"), rule(queue="jobs.*", access="all")
    assert may(ADA, "read", "queue:jobs.secret", narrow, wide) is False
    assert may(ADA, "read", "queue:jobs.secret", wide, narrow) is True
    assert may(ADA, "read", "queue:jobs.x", narrow, wide) is True


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("jobs", "jobs", True),
        ("jobs", "jobs.x", False),
        ("job?", "jobs", True),
        ("job?", "job", False),
        ("*", "anything:at-all", True),
        ("a*c", "abbc", True),
        ("a*c", "abbd", False),
        ("a.c", "abc", False),
    ],
)
def test_a_pattern_fits_whole_names(may, pattern, name, fits):
    assert may(ADA, "read", f"queue:{name}", rule(queue=pattern, access="read")) is (True if fits else None)


def test_a_rule_is_for_those_it_names(may):
    for whom, allowed in (
        ({"user": "ada"}, [ADA]),
        ({"role": "ops"}, [ADA]),
        ({"client": "pump-8"}, [BOB]),
        ({"anyone": True}, [ADA, BOB, NOBODY]),
    ):
        rules = [rule(queue="jobs", access="write", **whom)]
        assert [who for who in (ADA, BOB, NOBODY) if may(who, "write", "queue:jobs", *rules)] == allowed


def test_own_names_are_filled_in(may):
    rules = [rule(queue="%u.*", access="all"), rule(service="thumbs-%c", access="read")]
    assert may(BOB, "configure", "queue:bob.jobs", *rules) is True
    assert may(BOB, "configure", "queue:ada.jobs", *rules) is None
    assert may(BOB, "read", "service:thumbs-pump-8", *rules) is True
    assert may(BOB, "read", "service:thumbs-pump-7", *rules) is None


@pytest.mark.parametrize("name", ["*", "?", "a*", "", "ö", "a/b", "%u", "a b"])
@pytest.mark.parametrize("template", ["%u.*", "x.%u", "*.%u", "%u.%c", "a:%c:*"])
def test_a_name_never_widens_a_rule(may, template, name):
    tricky = Identity(name, name)
    for queue in ("other.jobs", "x.other", "other.other", "a:b:c", "ab.x", "x.ab", "x..y", "a"):
        assert may(tricky, "read", f"queue:{queue}", rule(queue=template, access="all")) is None


@pytest.mark.parametrize(
    ("template", "name", "queue"),
    [
        ("%u.*", "ada.b", "ada.b.jobs"),
        ("*.%u", "b.ada", "jobs.b.ada"),
        ("%u.%c", "ada.b", "ada.b.c"),
        ("x.%u.?", "a.b", "x.a.b.c"),
    ],
)
def test_a_name_that_holds_the_separator_gets_no_part_in_anothers_names(may, template, name, queue):
    assert may(Identity("c", name), "read", f"queue:{queue}", rule(queue=template, access="all")) is None


@pytest.mark.parametrize("template", ["jobs.%u", "jobs.%u.done", "%u:*"])
def test_a_separator_in_a_name_does_no_harm_where_nothing_is_open_beyond_it(may, template):
    queue = template.replace("%u", "ada.b").replace("*", "x")
    assert may(Identity("c", "ada.b"), "read", f"queue:{queue}", rule(queue=template, access="all")) is True


@pytest.mark.parametrize("who", [Identity("c", "*"), Identity("c", None), Identity("c", "a.b")])
def test_a_name_does_not_escape_a_rule_that_denies(may, who):
    rules = [rule(queue="private.%u.*", access="deny"), rule(queue="*", access="all")]
    assert may(who, "read", "queue:private.a.b.x", *rules) is False
    assert may(who, "read", "queue:public", *rules) is True


def test_the_broker_is_run_by_those_a_rule_says_so_of(may):
    rules = [rule(role="ops", admin=True), rule(user="bob", admin=False)]
    assert may(ADA, "admin", "broker", *rules) is True
    assert may(BOB, "admin", "broker", *rules) is False
    assert may(NOBODY, "admin", "broker", *rules) is None
    assert may(ADA, "read", "queue:jobs", *rules) is None
    assert may(ADA, "publish", "a", *rules) is False


def test_of_rules_for_the_broker_the_first_one_counts(may):
    assert may(ADA, "admin", "broker", rule(role="ops", admin=False), rule(admin=True)) is False
    assert may(BOB, "admin", "broker", rule(role="ops", admin=False), rule(admin=True)) is True


@pytest.mark.parametrize("topic", ["$queue/jobs", "$service/thumbs/request/+", "$mom/reply/c/1"])
@pytest.mark.parametrize("action", ["publish", "subscribe", "receive"])
def test_topics_that_stand_for_queues_and_operations_are_not_for_topic_rules(may, topic, action):
    assert may(ADA, action, topic, rule(topic="+/#", access="deny")) is None


def test_such_a_topic_behind_a_share_is_a_topic_like_any_other(may):
    assert may(ADA, "subscribe", "$share/g/$queue/jobs", rule(topic="#", access="read")) is False


@pytest.mark.parametrize(
    ("action", "resource"), [("read", "stream:x"), ("read", "jobs"), ("admin", "queue:jobs"), ("fly", "queue:jobs")]
)
def test_what_nobody_has_heard_of_is_denied(may, action, resource):
    assert may(ADA, action, resource, rule(queue="*", access="all"), default="allow") is False


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (rule(access="read"), "what the rule is about"),
        (rule(topic="a", queue="a", access="read"), "what the rule is about"),
        (rule(queue="a", admin=True, access="read"), "what the rule is about"),
        (rule(queue="a"), "say what is allowed"),
        (rule(topic="a"), "say what is allowed"),
        (rule(admin=True, access="all"), "say what is allowed"),
        (rule(topic="a", access="all"), "is for queues and services"),
        (rule(topic="a", access="configure"), "is for queues and services"),
        (rule(topic="$queue/a", access="read"), "write a rule with queue"),
        (rule(queue="a/b", access="read"), "no pattern of names"),
        (rule(service="", access="read"), "service"),
        (rule(queue="%u*", access="read"), "between a variable and what is beside it"),
        (rule(queue="?%c", access="read"), "between a variable and what is beside it"),
        (rule(queue="%u%c", access="read"), "between a variable and what is beside it"),
        (rule(queue="%x.a", access="read"), "no pattern of names"),
        (rule(queue="a", access="own"), 'write one of "all", "configure", "deny"'),
    ],
)
def test_a_wrong_rule_is_named_with_its_number(make, wrong, text):
    with pytest.raises(ConfigurationError, match=rf"rules\[1\].*{text}"):
        make(Acl, rules=[rule(queue="a", access="read"), wrong])
