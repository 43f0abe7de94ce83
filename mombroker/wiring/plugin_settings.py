"""A plugin's own section ``[plugins.NAME]``, checked against the ``Settings`` class that the plugin declares."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from mombroker.model.errors import ConfigurationError, PluginError
from mombroker.wiring.settings_values import nearest, toml

T = TypeVar("T")
ENABLED: Final = "enabled"
"""The key of every plugin's section that is the broker's, not the plugin's."""
_STEP: Final = re.compile(r"\.[^.\[]+|\[[^\]]*\]")
_AT: Final = re.compile(r" - at `\$(?P<path>.*)`$")


def plugin_settings(name: str, kind: type[T], options: Mapping[str, object]) -> T:
    """The section as the plugin's own class. Raises ConfigurationError, which names the key."""
    if not (dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))):
        raise PluginError(f"the plugin {name} declares Settings that are neither a msgspec.Struct nor a dataclass")
    for path, key, known in _unknown_keys(inspect.type_info(kind), options, ""):
        hint = nearest(key, known, otherwise="" if known else "it has no keys")
        raise ConfigurationError(f"[plugins.{name}] {path}{key} is not a setting of this plugin; {hint}")
    try:
        return msgspec.convert(options, kind, strict=True)
    except msgspec.ValidationError as error:
        text = str(error)
        place = _AT.search(text)
        path = place["path"] if place else ""
        what = _AT.sub("", text) + _choices(_type_at(inspect.type_info(kind), path))
        raise ConfigurationError(f"[plugins.{name}] {path.lstrip('.') + ': ' if path else ''}{what}") from None


def _choices(kind: inspect.Type) -> str:
    """The end of a message about a value: what may be written instead, if that can be listed."""
    values: tuple[object, ...] = ()
    if isinstance(kind, inspect.LiteralType):
        values = kind.values
    elif isinstance(kind, inspect.EnumType):
        values = tuple(member.value for member in kind.cls)
    return f"; write one of {', '.join(toml(value) for value in values)}" if values else ""


def _type_at(kind: inspect.Type, path: str) -> inspect.Type:
    """The type of what stands at a place such as ``.rules[0].access``."""
    for step in _STEP.findall(path):
        match _bare(kind):
            case inspect.StructType(fields=fields) | inspect.DataclassType(fields=fields):
                kind = next((field.type for field in fields if f".{field.encode_name}" == step), kind)
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                kind = item
            case inspect.DictType(value_type=item):
                kind = item
    return _bare(kind)


def _bare(kind: inspect.Type) -> inspect.Type:
    """A type without its annotations, and without "or nothing"."""
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _bare(others[0]) if len(others) == 1 else kind
    return kind


def _unknown_keys(kind: inspect.Type, value: object, path: str) -> Iterator[tuple[str, str, list[str]]]:
    """(path, key, known keys) of every key that nothing is known of, in tables within lists and tables as well."""
    match _bare(kind):
        case inspect.StructType(fields=fields) | inspect.DataclassType(fields=fields) if isinstance(value, Mapping):
            yield from _unknown_in_table(fields, value, path)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item) if isinstance(value, list):
            for index, one in enumerate(value):
                yield from _unknown_keys(item, one, f"{path.rstrip('.')}[{index}].")
        case inspect.DictType(value_type=item) if isinstance(value, Mapping):
            for key, one in value.items():
                yield from _unknown_keys(item, one, f"{path}{key}.")
        case _:
            return  # of several kinds of table only msgspec can tell which one is meant


def _unknown_in_table(
    fields: tuple[inspect.Field, ...], table: Mapping[str, Any], path: str
) -> Iterator[tuple[str, str, list[str]]]:
    known = {field.encode_name: field.type for field in fields}
    for key, value in table.items():
        if key in known:
            yield from _unknown_keys(known[key], value, f"{path}{key}.")
        else:
            yield path, key, sorted(known)
