"""What a token says of its bearer, once its signature was found to be good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import PUBLISH, RECEIVE, SUBSCRIBE
from mombroker_plugins.acl_topics import covers, levels_of, matches, plain, without_share

Pattern = tuple[str, ...]

TOPIC_RIGHTS: Final = "topic_rights"
"""The attribute of an identity under which its rights are."""


class UnfitClaim(Exception):
    """A claim is missing, or is not of the kind that it has to be; the message names it."""


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the path to it (``realm_access.roles``); None if it is not there."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A claim that is a list of texts, or one text of several words. Raises UnfitClaim."""
    value = claim(claims, name)
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise UnfitClaim(name)


def patterns(claims: Mapping[str, Any], name: str) -> tuple[Pattern, ...]:
    """A claim that is a list of topic filters. Raises UnfitClaim."""
    try:
        return tuple(levels_of(text) for text in texts(claims, name))
    except ConfigurationError:
        raise UnfitClaim(name) from None


@dataclass(frozen=True)
class TopicRights:
    """Where a bearer may publish and subscribe; None: the token says nothing of that."""

    publish: tuple[Pattern, ...] | None
    subscribe: tuple[Pattern, ...] | None

    def decide(self, action: str, resource: str) -> bool | None:
        """Whether the bearer may; None for what the token says nothing of."""
        if action == PUBLISH and self.publish is not None:
            return any(matches(pattern, tuple(resource.split("/"))) for pattern in self.publish)
        if action == RECEIVE and self.subscribe is not None:
            return any(matches(pattern, tuple(resource.split("/"))) for pattern in self.subscribe)
        if action == SUBSCRIBE and self.subscribe is not None:
            asked = without_share(resource)
            return bool(asked) and any(covers(one, plain(tuple(str(asked).split("/")))) for one in self.subscribe)
        return None
