"""Who may publish and subscribe where: a list of rules, the first that fits decides.

A subscription is allowed if a rule takes in everything its filter could match. One that reaches into denied topics as
well is allowed if a later rule takes in all of it; the denied messages are withheld one by one.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.hooks import PluginContext, hookimpl
from mombroker.model.identity import Identity
from mombroker_plugins.acl_rules import OwnRule, Rule, decision, rules_for

REMEMBERED = 10_000
"""Clients whose own rules are kept at hand."""


class AclSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.acl]``"""

    rules: Annotated[tuple[Rule, ...], Meta(description="The rules, the first that fits decides.")] = ()
    default: Annotated[
        Literal["deny", "allow"], Meta(description="What is decided where no rule has anything to say.")
    ] = "deny"


class Acl:
    """The plugin ``acl``. It has the last word: no authorisation plugin behind it is asked."""

    Settings = AclSettings

    def __init__(self, settings: AclSettings, context: PluginContext) -> None:
        self._rules = settings.rules
        self._default = settings.default == "allow"
        self._own: dict[tuple[str, str | None, frozenset[str]], list[OwnRule]] = {}

    @hookimpl
    def mombroker_authorize(self, identity: Identity, action: str, resource: str) -> bool:
        """What the first fitting rule says, or else the default."""
        said = decision(self._rules_of(identity), action, resource)
        return self._default if said is None else said

    def _rules_of(self, identity: Identity) -> list[OwnRule]:
        key = (identity.client_id, identity.username, identity.roles)
        own = self._own.get(key)
        if own is None:
            if len(self._own) >= REMEMBERED:
                del self._own[next(iter(self._own))]
            own = self._own[key] = rules_for(identity, self._rules)
        return own
