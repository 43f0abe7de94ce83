"""Names of queues and services, and patterns of names."""

import re
from typing import Final

from mombroker.operations.problems import BAD_REQUEST, Problem

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,127}"
"""A name: 1 to 128 letters, digits, dots, underscores, colons and hyphens, a letter or digit first."""

PATTERN: Final = r"[A-Za-z0-9._:\-*?]{1,128}"
"""A pattern of names: ``*`` stands for any characters, ``?`` for one."""

_NAME: Final = re.compile(NAME)
_PATTERN: Final = re.compile(PATTERN)


def check_name(name: str) -> str:
    """The name, if it is one. Raises :class:`Problem` (bad-request)."""
    if _NAME.fullmatch(name) is None:
        raise Problem(
            BAD_REQUEST,
            f"{name[:140]!r} is no name: write 1 to 128 letters, digits or . _ : -, a letter or digit first",
        )
    return name


def is_name(name: str) -> bool:
    """Whether this is a name."""
    return _NAME.fullmatch(name) is not None


def check_pattern(pattern: str) -> str:
    """The pattern, if it is one. Raises :class:`Problem` (bad-request)."""
    if _PATTERN.fullmatch(pattern) is None:
        raise Problem(BAD_REQUEST, f"{pattern[:140]!r} is no pattern of names: write a name, with * and ? as wildcards")
    return pattern


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern, in time proportional to the product of their lengths."""
    at = 0
    star = -1
    mark = 0
    position = 0
    while position < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, mark = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[position]):
            at += 1
            position += 1
        elif star >= 0:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(character == "*" for character in pattern[at:])
