"""One value of one setting: is it of the right type and in range, and if not, what would be?"""

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from mombroker.model.errors import ConfigurationError
from mombroker.wiring.settings_address import GRPC, HTTP, MQTT, optional_addresses, parse_address, parse_network
from mombroker.wiring.settings_keys import SECTIONS


def key_types(section: str) -> dict[str, Any]:
    """The keys of a section and their annotated types."""
    return {key.encode_name: key.type for key in msgspec.structs.fields(SECTIONS[section])}


def checked_value(section: str, key: str, value: object, *, written: bool = True, where: str) -> object:
    """``value`` as the setting's own type; ``written`` is false for text that still has to be read (environment).

    ``where`` begins the message of the ConfigurationError that a bad value raises.
    """
    kind = key_types(section)[key]
    if isinstance(value, str) and not written and isinstance(_details(kind), inspect.VarTupleType):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        result = msgspec.convert(value, kind, strict=written)
    except (msgspec.ValidationError, UnicodeEncodeError):  # an environment may hold bytes that are no text
        raise ConfigurationError(f"{where} is {shown(value)}: write {expected(kind)}") from None
    if key == "listen":
        _check_addresses(result, _SPOKEN[section], where)
    elif key == "proxies":
        _check_networks(result, where)
    return result


_SPOKEN = {"mqtt": MQTT, "http": HTTP, "grpc": GRPC}


def _check_addresses(addresses: str | Iterable[str], schemes: Sequence[str], where: str) -> None:
    try:
        if isinstance(addresses, str):
            optional_addresses(addresses, schemes)
        else:
            for address in addresses:
                parse_address(address, schemes)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _check_networks(networks: Iterable[str], where: str) -> None:
    try:
        for network in networks:
            parse_network(network)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def shown(value: object) -> str:
    """A value for a message: as in the file, and never long."""
    text = toml(value)
    return text if len(text) <= 80 else text[:77] + "..."


def toml(value: object) -> str:
    """A value the way it is written in a TOML file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return str(value)


def expected(kind: Any) -> str:
    """What may be written for a setting of this type: ``a whole number from 1 to 65535``."""
    details = _details(kind)
    match details:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:g}"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f'"{value}"' for value in values)
        case inspect.VarTupleType(item_type=inspect.LiteralType(values=values)):
            return "a list of one or more of " + ", ".join(f'"{value}"' for value in values)
        case inspect.VarTupleType(min_length=1):
            return 'a list of one or more texts, such as ["127.0.0.1:1883"]'
        case inspect.VarTupleType():
            return "a list of texts"
        case inspect.StrType(min_length=1):
            return "a text that is not empty"
        case _:
            return "a text"


def _details(kind: Any) -> inspect.Type:
    details = inspect.type_info(kind)
    return details.type if isinstance(details, inspect.Metadata) else details


def nearest(name: str, names: Iterable[str], closeness: float = 0.6, otherwise: str = "") -> str:
    """The end of a message about an unknown name: the nearest one there is, or all of them, or ``otherwise``."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=closeness)
    if close:
        return f"did you mean {close[0]}?"
    return otherwise or "there are " + ", ".join(known)
