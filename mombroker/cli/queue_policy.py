"""The options that make up a queue's policy, one for each field of the operation's Struct."""

from typing import Any, get_args

import click
import msgspec

from mombroker.cli.gathered_options import gathered
from mombroker.operations.queues import Policy


def _option(field: msgspec.structs.FieldInfo) -> click.Option:
    kind, help = _kind(field.type)
    flag = field.name.replace("_", "-")
    if kind is bool:
        return click.Option([f"--{flag}/--no-{flag}", field.name], default=None, help=help)
    return click.Option([f"--{flag}", field.name], type=kind, help=help)


def _kind(annotation: Any) -> tuple[Any, str]:
    """What click takes for a field's type, and the field's description."""
    for part in (annotation, *get_args(annotation)):
        for meta in getattr(part, "__metadata__", ()):
            if isinstance(meta, msgspec.Meta) and meta.description:
                kind = _bare(part)
                choices = get_args(kind)
                return (click.Choice(choices) if choices else kind), meta.description
    raise TypeError(f"a field of the policy has no description: {annotation}")


def _bare(annotation: Any) -> Any:
    """The type inside any number of Annotated."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    return annotation


def _given(**policy: Any) -> dict[str, Any]:
    return {name: value for name, value in policy.items() if value is not None}


policy_options = gathered("policy", [_option(field) for field in msgspec.structs.fields(Policy)], _given)
"""Adds the options; the command gets what was given together, as ``policy``."""
