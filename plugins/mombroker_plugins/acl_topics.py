"""Topic patterns of access rules: does a pattern take in a topic, and does it take in everything a filter would?

Both questions are answered level by level. A pattern is an MQTT topic filter; like any filter, one that begins with a
wildcard takes in no topic that begins with ``$`` (MQTT-4.7.2-1).
"""

from mombroker.model.errors import ConfigurationError

SHARED = "$share/"


def levels_of(pattern: str) -> tuple[str, ...]:
    """The levels of a pattern. Raises ConfigurationError if it is no topic filter."""
    levels = tuple(pattern.split("/"))
    for index, level in enumerate(levels):
        wild = "+" in level or "#" in level
        if (wild and level not in ("+", "#")) or (level == "#" and index != len(levels) - 1):
            raise ConfigurationError(
                f"the topic {pattern!r} of an access rule is no topic filter: + and # stand alone between slashes, and "
                f"# only at the end"
            )
    if not pattern or "\0" in pattern:
        raise ConfigurationError("the topic of an access rule is empty or holds a null character: write a topic filter")
    return plain(levels)


def plain(levels: tuple[str, ...]) -> tuple[str, ...]:
    """The same filter in its simplest form: ``+/#`` is ``#``, since no topic has no level."""
    return ("#",) if levels == ("+", "#") else levels


def matches(pattern: tuple[str, ...], topic: tuple[str, ...]) -> bool:
    """Whether a pattern takes in a topic name."""
    if topic[0].startswith("$") and pattern[0] in ("+", "#"):
        return False
    return covers(pattern, topic)


def covers(pattern: tuple[str, ...], filter: tuple[str, ...]) -> bool:
    """Whether a pattern takes in every topic that a filter matches; both in their :func:`plain` form."""
    if filter[0].startswith("$") and pattern[0] in ("+", "#"):
        return False
    for index, level in enumerate(pattern):
        if level == "#":
            return True  # and the level above: "a/#" takes in "a"
        if index == len(filter):
            return False
        wanted = filter[index]
        if wanted == "#" or (wanted == "+" and level != "+") or (level != "+" and level != wanted):
            return False
    return len(filter) == len(pattern)


def without_share(filter: str) -> str | None:
    """The filter of a shared subscription without ``$share/group/``; None if it is not well formed."""
    if not filter.startswith(SHARED):
        return filter
    group, slash, inner = filter[len(SHARED) :].partition("/")
    return inner if group and slash and inner else None
