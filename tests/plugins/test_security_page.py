"""The settings that docs/security.md shows are ones that the plugins take."""

import re
import tomllib
from pathlib import Path

import pytest

from mombroker.wiring.plugin_installed import installed_plugins, load_entry_point
from mombroker.wiring.plugin_settings import plugin_settings

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
SHOWN = [(name, table) for text in EXAMPLES for name, table in tomllib.loads(text).get("plugins", {}).items()]
WAYS = ["client_certificates", "password_file", "jwt", "scram", "webhook"]


@pytest.mark.parametrize(("name", "table"), SHOWN, ids=[name for name, _ in SHOWN])
def test_the_settings_shown_are_taken(name, table):
    plugin = load_entry_point(name, installed_plugins())
    plugin_settings(name, plugin.Settings, table)


@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_ask_who_somebody_is_has_an_example(name):
    assert name in {shown for shown, _ in SHOWN}


@pytest.mark.parametrize("name", WAYS)
def test_every_setting_is_on_the_page(name):
    section = PAGE.split(f"\n### {name}\n", 1)[1].split("\n##", 1)[0]
    for key in load_entry_point(name, installed_plugins()).Settings.__struct_fields__:
        assert f"`{key}`" in section, f"{name}: {key} is not in docs/security.md"
