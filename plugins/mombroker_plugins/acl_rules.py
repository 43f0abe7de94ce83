"""Access rules: for whom, on which topics, queues or services, what.

``%c`` and ``%u`` in a rule stand for the client identifier and the username. A client chooses these itself, so one
that holds ``/``, ``+`` or ``#`` must not turn a narrow rule into a wide one: for such a client a rule that allows does
not apply, and a rule that denies applies to all topics below the place of the variable. Names of queues and services
have marks of their own (:mod:`mombroker_plugins.acl_names`).
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import ADMIN, CONFIGURE, PUBLISH, READ, RECEIVE, SUBSCRIBE, WRITE, Identity
from mombroker.model.queues import QUEUE_PREFIX, SERVICE_PREFIX
from mombroker.operations.names import matches as matches_name
from mombroker_plugins.acl_names import VARIABLE, check_names, own_names
from mombroker_plugins.acl_topics import covers, levels_of, matches, plain, without_share

Levels = tuple[str, ...]

DENY = "deny"
OWN_SPACES = (QUEUE_PREFIX, SERVICE_PREFIX, "$mom/")
"""Topics that stand for queues, services and operations: rules for topics say nothing about them."""
BROKER = "broker"

_TOPIC_NEEDS = {PUBLISH: ("write", "readwrite"), SUBSCRIBE: ("read", "readwrite"), RECEIVE: ("read", "readwrite")}
_NAME_NEEDS = {
    READ: ("read", "readwrite", "all"),
    WRITE: ("write", "readwrite", "all"),
    CONFIGURE: ("configure", "all"),
}
_NAMES_ONLY = ("configure", "all")


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[plugins.acl.rules]]``. A rule that names a user, a role and a client applies if all of them fit. It is about
    one thing: topics, queues, services, or the broker as such."""

    user: Annotated[str, Meta(min_length=1, description="Applies to this user.")] | None = None
    role: Annotated[str, Meta(min_length=1, description="Applies to users who have this role.")] | None = None
    client: Annotated[str, Meta(min_length=1, description="Applies to the client with this identifier.")] | None = None
    anyone: Annotated[bool, Meta(description="Applies to everybody, also to clients without a user.")] = False
    topic: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A topic filter: `+` stands for one level, `#` for all further ones, `%c` for the client "
                "identifier, `%u` for the username.",
            ),
        ]
        | None
    ) = None
    queue: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="Names of queues: `*` stands for any characters, `?` for one, `%c` for the client "
                "identifier, `%u` for the username.",
            ),
        ]
        | None
    ) = None
    service: (
        Annotated[str, Meta(min_length=1, description="Names of services, written like those of queues.")] | None
    ) = None
    admin: (
        Annotated[bool, Meta(description="Whether they may run the broker: clients, retained messages, users.")] | None
    ) = None
    access: (
        Annotated[
            Literal["read", "write", "readwrite", "configure", "all", "deny"],
            Meta(
                description="What is allowed. A topic: to subscribe and receive (read), to publish (write). A queue: "
                "to consume, to put in, to make and change (configure). A service: to work for it, to ask it, to make "
                "it. Several of these (readwrite, all), or nothing (deny)."
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        # msgspec adds the place of a ValueError.
        named = [self.user, self.role, self.client]
        if self.anyone == any(name is not None for name in named):
            raise ValueError("say whom the rule is for: user, role or client, or else anyone = true")
        if [self.topic, self.queue, self.service, self.admin].count(None) != 3:
            raise ValueError("say what the rule is about: one of topic, queue, service and admin")
        if (self.access is None) != (self.admin is not None):
            raise ValueError("say what is allowed with access; only a rule with admin has none")
        if self.topic is not None:
            _check_topic(self.topic, self.access)
        for names in (self.queue, self.service):
            if names is not None:
                check_names(names)

    def applies_to(self, identity: Identity) -> bool:
        """Whether the rule is about this client."""
        return (
            (self.user is None or self.user == identity.username)
            and (self.role is None or self.role in identity.roles)
            and (self.client is None or self.client == identity.client_id)
        )


class TopicRule:
    """A rule for topics as it reads for one client; ``number`` is its place in the settings, from 1."""

    __slots__ = ("access", "number", "pattern")

    def __init__(self, access: str, pattern: Levels, number: int) -> None:
        self.access = access
        self.pattern = pattern
        self.number = number

    def decides(self, action: str, asked: Levels) -> bool | None:
        """What the rule says about an action on a topic (to subscribe: on a filter); None if nothing."""
        if self.access != DENY and self.access not in _TOPIC_NEEDS[action]:
            return None
        takes_in = covers if action == SUBSCRIBE else matches
        return self.access != DENY if takes_in(self.pattern, asked) else None


class NameRule:
    """A rule for queues or services as it reads for one client; ``number`` is its place in the settings, from 1."""

    __slots__ = ("access", "number", "pattern")

    def __init__(self, access: str, pattern: str, number: int) -> None:
        self.access = access
        self.pattern = pattern
        self.number = number

    def decides(self, action: str, name: str) -> bool | None:
        """What the rule says about an action on a queue or service; None if nothing."""
        if self.access != DENY and self.access not in _NAME_NEEDS[action]:
            return None
        return self.access != DENY if matches_name(self.pattern, name) else None


class OwnRules:
    """The rules about one client, with its own names filled in, in their order."""

    __slots__ = ("admin", "admin_number", "names", "topics")

    def __init__(self, identity: Identity, rules: tuple[Rule, ...]) -> None:
        self.topics: list[TopicRule] = []
        self.names: dict[str, list[NameRule]] = {"queue": [], "service": []}
        self.admin: bool | None = None
        self.admin_number = 0
        values = {"%c": identity.client_id, "%u": identity.username or ""}
        for number, rule in enumerate(rules, 1):
            if rule.applies_to(identity):
                self._add(rule, number, values)

    def _add(self, rule: Rule, number: int, values: dict[str, str]) -> None:
        access = rule.access or DENY
        allows = access != DENY
        if rule.admin is not None and self.admin is None:
            self.admin, self.admin_number = rule.admin, number
        if rule.topic is not None:
            levels = _own_levels(rule.topic, values, allows)
            if levels is not None:
                self.topics.append(TopicRule(access, levels, number))
        for kind, names in (("queue", rule.queue), ("service", rule.service)):
            pattern = None if names is None else own_names(names, values, allows)
            if pattern is not None:
                self.names[kind].append(NameRule(access, pattern, number))

    def decision(self, action: str, resource: str, default: bool) -> bool | None:
        """What the first rule that has something to say says. Where none has: of a topic the default, of anything else
        None. Nobody may do what is no known action."""
        return self.reason(action, resource, default)[0]

    def reason(self, action: str, resource: str, default: bool) -> tuple[bool | None, int]:
        """The decision, and the number of the rule behind it; 0 if there is none."""
        if action in _TOPIC_NEEDS:
            return self._of_topic(action, resource, default)
        kind, colon, name = resource.partition(":")
        if action in _NAME_NEEDS and colon and kind in self.names:
            for rule in self.names[kind]:
                said = rule.decides(action, name)
                if said is not None:
                    return said, rule.number
            return None, 0
        return (self.admin, self.admin_number) if (action, resource) == (ADMIN, BROKER) else (False, 0)

    def _of_topic(self, action: str, resource: str, default: bool) -> tuple[bool | None, int]:
        if resource.startswith(OWN_SPACES):
            return None, 0
        asked = without_share(resource) if action == SUBSCRIBE else resource
        if not asked:
            return False, 0
        levels = plain(tuple(asked.split("/")))
        for rule in self.topics:
            said = rule.decides(action, levels)
            if said is not None:
                return said, rule.number
        return default, 0


def _check_topic(topic: str, access: str | None) -> None:
    """Raise ValueError if a rule for topics cannot mean what it says."""
    try:
        levels_of(topic)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    if topic.startswith(OWN_SPACES):
        raise ValueError(f"no rule for topics is asked about {topic!r}: write a rule with queue, service or admin")
    if access in _NAMES_ONLY:
        raise ValueError(f"the access {access!r} is for queues and services; for topics write read, write or readwrite")


def _own_levels(topic: str, values: dict[str, str], allows: bool) -> Levels | None:
    """A topic rule's pattern for this client; None if a rule that allows cannot be written for it."""
    pattern: list[str] = []
    for level in levels_of(topic):
        used = [values[name] for name in VARIABLE.findall(level)]
        if not all(_is_one_level(value) for value in used):
            return None if allows else plain((*pattern, "#"))
        # In one pass: a client called %u is not to become somebody else.
        filled = VARIABLE.sub(lambda found: values[found[0]], level)
        if used and not pattern and filled.startswith("$") and allows:
            return None  # the broker's own topics are not opened by a client's choice of a name
        pattern.append(filled)
    return tuple(pattern)


def _is_one_level(value: str) -> bool:
    return bool(value) and not any(mark in value for mark in "/+#\0")
