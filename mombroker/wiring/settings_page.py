"""The tables of docs/configuration.md, made from the settings themselves.

``python -m mombroker.wiring.settings_page docs/configuration.md`` writes them anew between their marks.
"""

import re
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from mombroker.wiring.settings_keys import SECTIONS
from mombroker.wiring.settings_values import expected, toml


def section_table(section: str) -> str:
    """One section as a Markdown table: key, what may be written, default, meaning."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in msgspec.structs.fields(SECTIONS[section]):
        cells = (f"`{key.encode_name}`", expected(key.type), f"`{toml(key.default)}`", _meaning(key.type))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _meaning(kind: Any) -> str:
    details = inspect.type_info(kind)
    if not isinstance(details, inspect.Metadata) or not details.extra_json_schema:
        raise TypeError(f"a setting without a description: {kind}")
    return str(details.extra_json_schema["description"])


def with_tables(page: str) -> str:
    """``page`` with what stands between ``<!-- settings: SECTION -->`` and ``<!-- end -->`` made anew."""
    pattern = re.compile(r"(<!-- settings: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}{section_table(match[2])}\n{match[3]}", page)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
