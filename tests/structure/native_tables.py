"""The tables of docs/queues.md and docs/native-api.md, made from what is in mombroker/operations.

``python tests/structure/native_tables.py`` writes them anew.
"""

import re
from collections.abc import Callable
from pathlib import Path

from msgspec import inspect

from mombroker.model.queues import QueuePolicy
from mombroker.model.reasons import reason_name
from mombroker.operations import KINDS, OPERATIONS
from mombroker.operations.queues import Policy

DOCS = Path(__file__).parents[2] / "docs"


def operations() -> list[str]:
    """Every operation."""
    rows = [f"| `{name}` | {operation.summary} |" for name, operation in OPERATIONS.items()]
    return ["| operation | |", "|---|---|", *rows]


def problems() -> list[str]:
    """Every kind of problem."""
    rows = [
        f"| `{code}` | {kind.title} | {kind.status} | `{kind.grpc}` | 0x{kind.reason:02X} {reason_name(kind.reason)} |"
        for code, kind in KINDS.items()
    ]
    return ["| code | meaning | HTTP | gRPC | MQTT 5 |", "|---|---|---|---|---|", *rows]


def policy() -> list[str]:
    """Every field of a policy, with the default that holds where no plugin says anything else."""
    defaults = QueuePolicy()
    described = inspect.type_info(Policy)
    assert isinstance(described, inspect.StructType)
    rows = []
    for field in described.fields:
        default = getattr(defaults, field.name)
        shown = getattr(default, "value", default)
        text = (
            f"`{shown!r}`" if isinstance(shown, bool) else f"`{shown:g}`" if isinstance(shown, float) else f"`{shown}`"
        )
        rows.append(f"| `{field.name}` | {text if shown != '' else 'none'} | {_description(field.type)} |")
    return ["| field | default | |", "|---|---|---|", *rows]


def _description(kind: inspect.Type) -> str:
    """What is said of a field. (That it may be left out is no part of its type here.)"""
    assert isinstance(kind, inspect.Metadata) and kind.extra_json_schema is not None
    return str(kind.extra_json_schema["description"])


TABLES: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("native-api.md", "operations"): operations,
    ("native-api.md", "problems"): problems,
    ("queues.md", "policy"): policy,
}


def with_table(page: str, name: str, rows: list[str]) -> str:
    """The page with this table in its place."""
    made, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- end -->)",
        lambda found: found[1] + "".join(f"{row}\n" for row in rows) + found[2],
        page,
        flags=re.DOTALL,
    )
    assert count == 1, f"there is no place for the table {name}"
    return made


def main() -> None:
    """Write all tables."""
    for (page, name), rows in TABLES.items():
        path = DOCS / page
        path.write_text(with_table(path.read_text(encoding="utf-8"), name, rows()), encoding="utf-8")


if __name__ == "__main__":
    main()
