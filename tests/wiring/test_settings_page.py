"""The page of documentation and the settings say the same."""

from pathlib import Path

import pytest

from mombroker.wiring.settings_keys import SECTIONS
from mombroker.wiring.settings_page import section_table, with_tables

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_has_the_table_of_every_section_as_it_is_now(section):
    page = PAGE.read_text(encoding="utf-8")
    table = f"<!-- settings: {section} -->\n{section_table(section)}\n<!-- end -->"
    assert table in page, "docs/configuration.md is out of date: run `make docs`"


def test_writing_the_tables_anew_leaves_the_rest_of_the_page_alone():
    page = "# a\n<!-- settings: log -->\nold\n<!-- end -->\nb\n"
    assert with_tables(page) == f"# a\n<!-- settings: log -->\n{section_table('log')}\n<!-- end -->\nb\n"
