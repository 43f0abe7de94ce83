"""Access rules: for whom, on which topics, what.

``%c`` and ``%u`` in a rule's topic stand for the client identifier and the username. A client chooses these itself,
so one that holds ``/``, ``+`` or ``#`` must not turn a narrow rule into a wide one: for such a client a rule that
allows does not apply, and a rule that denies applies to all topics below the place of the variable.
"""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import PUBLISH, RECEIVE, SUBSCRIBE, Identity
from mombroker_plugins.acl_topics import covers, levels_of, matches, plain, without_share

Levels = tuple[str, ...]

_VARIABLE = re.compile("%[cu]")
_NEEDS = {PUBLISH: ("write", "readwrite"), SUBSCRIBE: ("read", "readwrite"), RECEIVE: ("read", "readwrite")}


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[plugins.acl.rules]]``. A rule that names a user, a role and a client applies if all of them fit."""

    user: Annotated[str, Meta(min_length=1, description="Applies to this user.")] | None = None
    role: Annotated[str, Meta(min_length=1, description="Applies to users who have this role.")] | None = None
    client: Annotated[str, Meta(min_length=1, description="Applies to the client with this identifier.")] | None = None
    anyone: Annotated[bool, Meta(description="Applies to everybody, also to clients without a user.")] = False
    topic: Annotated[
        str,
        Meta(
            min_length=1,
            description="A topic filter: `+` stands for one level, `#` for all further ones, `%c` for the client "
            "identifier, `%u` for the username.",
        ),
    ]
    access: Annotated[
        Literal["read", "write", "readwrite", "deny"],
        Meta(description="What is allowed: to subscribe and receive, to publish, both, or neither."),
    ]

    def __post_init__(self) -> None:
        named = [self.user, self.role, self.client]
        if self.anyone == any(name is not None for name in named):
            raise ValueError("say whom the rule is for: user, role or client, or else anyone = true")
        try:
            levels_of(self.topic)
        except ConfigurationError as error:
            # msgspec adds the place of a ValueError.
            raise ValueError(str(error)) from None

    def applies_to(self, identity: Identity) -> bool:
        """Whether the rule is about this client."""
        return (
            (self.user is None or self.user == identity.username)
            and (self.role is None or self.role in identity.roles)
            and (self.client is None or self.client == identity.client_id)
        )


class OwnRule:
    """A rule as it reads for one client."""

    __slots__ = ("access", "pattern")

    def __init__(self, access: str, pattern: Levels) -> None:
        self.access = access
        self.pattern = pattern

    def decides(self, action: str, asked: Levels) -> bool | None:
        """What the rule says about an action on a topic (to subscribe: on a filter); None if nothing."""
        if self.access != "deny" and self.access not in _NEEDS[action]:
            return None
        takes_in = covers if action == SUBSCRIBE else matches
        return self.access != "deny" if takes_in(self.pattern, asked) else None


def rules_for(identity: Identity, rules: tuple[Rule, ...]) -> list[OwnRule]:
    """The rules about a client, with its own names filled in."""
    own: list[OwnRule] = []
    for rule in rules:
        if rule.applies_to(identity):
            pattern = _own_pattern(rule, identity)
            if pattern is not None:
                own.append(OwnRule(rule.access, pattern))
    return own


def decision(own: list[OwnRule], action: str, resource: str) -> bool | None:
    """What the first rule that has something to say says; None if none has. Nobody may do what is no known action."""
    if action not in _NEEDS:
        return False
    asked = without_share(resource) if action == SUBSCRIBE else resource
    if not asked:
        return False
    levels = plain(tuple(asked.split("/")))
    for rule in own:
        said = rule.decides(action, levels)
        if said is not None:
            return said
    return None


def _own_pattern(rule: Rule, identity: Identity) -> Levels | None:
    """The rule's pattern for this client; None if a rule that allows cannot be written for it."""
    values = {"%c": identity.client_id, "%u": identity.username or ""}
    template = levels_of(rule.topic)
    pattern: list[str] = []
    for level in template:
        used = [values[name] for name in _VARIABLE.findall(level)]
        if not all(_is_one_level(value) for value in used):
            return plain((*pattern, "#")) if rule.access == "deny" else None
        # In one pass: a client called %u is not to become somebody else.
        filled = _VARIABLE.sub(lambda found: values[found[0]], level)
        if used and not pattern and filled.startswith("$") and rule.access != "deny":
            return None  # the broker's own topics are not opened by a client's choice of a name
        pattern.append(filled)
    return tuple(pattern)


def _is_one_level(value: str) -> bool:
    return bool(value) and not any(mark in value for mark in "/+#\0")
