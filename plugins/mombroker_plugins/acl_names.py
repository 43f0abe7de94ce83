"""Patterns of the names of queues and services in access rules, with ``%u`` and ``%c`` in them.

A name has no levels that would keep one user's names apart from another's. So a variable stands between separators,
and where a wildcard is beyond one, the variable's value must not hold it: ``%u.*`` is about ``ada.jobs`` for ada, and
about nothing for a user ``ada.b``, whose queues would be ada's as well.
"""

import re
from collections.abc import Iterator

from mombroker.operations import Problem
from mombroker.operations.names import check_pattern

VARIABLE = re.compile("%[cu]")
_OPEN = re.compile("[*?%]")
_RUN_ON = re.compile(r"[^._:\-]%[cu]|%[cu][^._:\-]")
_PLAIN = re.compile(r"[A-Za-z0-9._:\-]+")


def check_names(pattern: str) -> None:
    """Raise ValueError if it is no pattern of names, or one in which a variable has no end."""
    try:
        check_pattern(VARIABLE.sub("x", pattern))
    except Problem as problem:
        raise ValueError(f"{pattern!r}: {problem.detail}") from None
    if _RUN_ON.search(pattern):
        raise ValueError(f"{pattern!r}: write one of . _ : - between a variable and what is beside it, as in %u.*")


def own_names(pattern: str, values: dict[str, str], allows: bool) -> str | None:
    """The pattern for one client. A value that could be taken for more or other than it is makes a rule that allows
    void (None), and widens one that denies to all names that begin like the pattern."""
    for found in VARIABLE.finditer(pattern):
        value = values[found[0]]
        if not _PLAIN.fullmatch(value) or any(mark in value for mark in _separators(pattern, found)):
            return None if allows else VARIABLE.split(pattern, maxsplit=1)[0] + "*"
    # In one pass: a client called %u is not to become somebody else.
    return VARIABLE.sub(lambda found: values[found[0]], pattern)


def _separators(pattern: str, variable: re.Match[str]) -> Iterator[str]:
    """The marks that keep a variable apart from a part of the pattern that may be longer or shorter."""
    start, end = variable.span()
    if _OPEN.search(pattern[:start]):
        yield pattern[start - 1]
    if _OPEN.search(pattern[end:]):
        yield pattern[end]
