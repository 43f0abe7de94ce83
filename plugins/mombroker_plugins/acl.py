"""Who may publish and subscribe where, and use which queues and services: a list of rules, the first that fits decides.

What no rule says of a queue, a service or the broker is left to others, and in the end to their owners and grants. A
subscription is allowed if a rule takes in everything its filter could match. One that reaches into denied topics as
well is allowed if a later rule takes in all of it; the denied messages are withheld one by one.
"""

from typing import Any

from mombroker.hooks import PluginContext, hookimpl
from mombroker.model.identity import Identity
from mombroker_plugins.acl_commands import add_acl_commands
from mombroker_plugins.acl_rules import OwnRules
from mombroker_plugins.acl_settings import AclSettings

REMEMBERED = 10_000
"""Clients whose own rules are kept at hand."""


class Acl:
    """The plugin ``acl``. On topics it has the last word: no authorisation plugin behind it is asked."""

    Settings = AclSettings

    def __init__(self, settings: AclSettings, context: PluginContext) -> None:
        self._rules = settings.rules
        self._default = settings.default == "allow"
        self._own: dict[tuple[str, str | None, frozenset[str]], OwnRules] = {}

    @hookimpl
    def mombroker_authorize(self, identity: Identity, action: str, resource: str) -> bool | None:
        """What the first fitting rule says, or else the default; of what is no topic, None."""
        return self._rules_of(identity).decision(action, resource, self._default)

    @staticmethod
    @hookimpl
    def mombroker_cli(cli: Any) -> None:
        """Add ``mombroker acl``."""
        add_acl_commands(cli)

    def _rules_of(self, identity: Identity) -> OwnRules:
        key = (identity.client_id, identity.username, identity.roles)
        own = self._own.get(key)
        if own is None:
            if len(self._own) >= REMEMBERED:
                del self._own[next(iter(self._own))]
            own = self._own[key] = OwnRules(identity, self._rules)
        return own
