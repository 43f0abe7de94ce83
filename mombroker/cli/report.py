"""What ``mombroker check`` prints: the settings that would be used, as a settings file without its secrets."""

from collections.abc import Mapping
from typing import Final

import msgspec

from mombroker.wiring.logs import without_secrets
from mombroker.wiring.settings import Settings
from mombroker.wiring.settings_keys import SECTIONS
from mombroker.wiring.settings_values import toml

PLUGIN_BY_DEFAULT: Final = "on without a section of its own"


def settings_report(settings: Settings, by_default: Mapping[str, Mapping[str, object]]) -> str:
    """Every section and key, and the table of every plugin; that of a plugin which is on ``by_default`` as a comment,
    since to write it down would be to say so."""
    sections: dict[str, Mapping[str, object]] = {
        name: msgspec.structs.asdict(getattr(settings, name)) for name in SECTIONS
    }
    for name, options in settings.plugins.items():
        sections[f"plugins.{name}"] = without_secrets(options)
    tables = ["\n".join(_table(name, keys)) for name, keys in sections.items()]
    for name, given in by_default.items():
        lines = [f"{PLUGIN_BY_DEFAULT}:", *_table(f"plugins.{name}", given)]
        tables.append("\n".join(f"# {line}" for line in lines))
    return "\n\n".join(tables)


def _table(name: str, keys: Mapping[str, object]) -> list[str]:
    return [f"[{name}]", *(f"{key} = {toml(value)}" for key, value in keys.items())]
