"""The tables about the native API say what the code says."""

import pytest

from .native_tables import DOCS, TABLES, with_table


@pytest.mark.parametrize(("page", "name"), TABLES)
def test_a_table_is_up_to_date(page, name):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert with_table(text, name, TABLES[page, name]()) == text, "write it anew: make docs"
