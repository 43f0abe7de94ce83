"""Where settings are given: a TOML file, the environment, the command line. Each is checked by itself.

A source yields sections of checked values. What a later source says of a key takes the place of what an earlier one
said, but a mistake in any of them is an error, also where another source overrules it.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mombroker.model.errors import ConfigurationError
from mombroker.wiring.settings_keys import SECTIONS
from mombroker.wiring.settings_values import checked_value, key_types, nearest, shown

PREFIX: Final = "MOMBROKER_"
NOT_SETTINGS: Final = frozenset({"MOMBROKER_CONFIG", "MOMBROKER_COMPILE"})
"""Variables that begin like a setting and are none: where the file is, and how the package is built."""

Given = dict[str, dict[str, Any]]


def from_file(path: Path) -> Given:
    """Read and check a settings file."""
    text = _text_of(path)
    try:
        document = tomllib.loads(text)
    except ValueError as error:  # also a number with more digits than Python reads
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{path} is nested too deeply; settings are at most tables in a list") from None
    given: Given = {}
    for section, table in document.items():
        where = _place(path, text, section)
        if section not in SECTIONS and section != "plugins":
            raise ConfigurationError(
                f"{where}: there is no section [{section}]; {nearest(section, [*SECTIONS, 'plugins'])}"
            )
        if not isinstance(table, dict):
            raise ConfigurationError(f"{where}: {section} is a section; write its keys below a line [{section}]")
        given[section] = (
            _plugin_tables(path, text, table) if section == "plugins" else _keys(path, text, section, table)
        )
    return given


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read the settings file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the settings file {path} is not UTF-8 text; save it as UTF-8") from None


def _keys(path: Path, text: str, section: str, table: dict[str, Any]) -> dict[str, Any]:
    known = key_types(section)
    checked = {}
    for key, value in table.items():
        where = _place(path, text, section, key)
        if key not in known:
            raise ConfigurationError(f"{where}: there is no key {key} in [{section}]; {nearest(key, known)}")
        checked[key] = checked_value(section, key, value, where=f"{where}: {section}.{key}")
    return checked


def _plugin_tables(path: Path, text: str, tables: dict[str, Any]) -> dict[str, dict[str, object]]:
    for name, options in tables.items():
        if not isinstance(options, dict):
            where = _place(path, text, "plugins", name)
            raise ConfigurationError(f"{where}: write a section [plugins.{name}] for the plugin {name}")
        if not isinstance(options.get("enabled", True), bool):
            where = _place(path, text, f"plugins.{name}", "enabled")
            raise ConfigurationError(
                f"{where}: plugins.{name}.enabled is {shown(options['enabled'])}: write true or false"
            )
    return tables


def _place(path: Path, text: str, section: str, key: str | None = None) -> str:
    """``FILE, line N``, as well as the plain forms of TOML allow to find the line."""
    header = re.compile(rf"\s*\[\s*{re.escape(section)}\s*(\]|\.)")
    entry = re.compile(rf"\s*[\"']?{re.escape(key or section)}[\"']?\s*[=.]")
    inside = key is None
    for number, line in enumerate(text.splitlines(), 1):
        if key is None and header.match(line):
            return f"{path}, line {number}"
        if re.match(r"\s*\[", line):
            inside = key is not None and header.match(line) is not None
        elif inside and entry.match(line):
            return f"{path}, line {number}"
    return str(path)


def from_environment(environ: Mapping[str, str]) -> Given:
    """Read and check every ``MOMBROKER_SECTION_KEY`` variable."""
    known = {f"{PREFIX}{section}_{key}".upper(): (section, key) for section in SECTIONS for key in key_types(section)}
    given: Given = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if name.startswith(f"{PREFIX}PLUGINS_"):
            raise ConfigurationError(f"{name}: plugins are set in the settings file, below [plugins.NAME]")
        if name not in known:
            hint = nearest(name, known, closeness=0.8, otherwise="docs/configuration.md lists them")
            raise ConfigurationError(f"the environment variable {name} is no setting; {hint}")
        section, key = known[name]
        given.setdefault(section, {})[key] = checked_value(section, key, environ[name], written=False, where=name)
    return given


def from_overrides(overrides: Mapping[str, object]) -> Given:
    """Check what the command line or an embedding program gives, by ``section.key``; None is nothing given."""
    given: Given = {}
    for name, value in overrides.items():
        section, _, key = name.partition(".")
        if value is not None:
            where = f"the option {name}"
            given.setdefault(section, {})[key] = checked_value(section, key, value, where=where)
    return given
