"""The floors of the building: a module imports from its own floor and from those below, never from above."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = {
    "mombroker.model": 1,
    "mombroker.hooks": 1,
    "mombroker.operations": 1,
    "mombroker.mqtt": 2,
    "mombroker.core": 3,
    "mombroker.wiring": 4,
    "mombroker.listeners": 5,
    "mombroker.api": 5,
    "mombroker.client": 2,
    "mombroker.cli": 6,
    "mombroker.testing": 6,
    "mombroker.broker": 6,
    "mombroker.__main__": 6,
    "mombroker": 6,
}
SIDE_ROOMS = {"mombroker_plugins": "plugins", "mombroker_storage": "storage"}
NEVER_IMPORTED = {"bench", "tests", "plugins", "storage"}
SHELLS = {"mombroker.client"}
"""Side rooms that stand on a lower floor for what they import, but live in the world: sockets and tasks are theirs."""
PURE = {"mombroker.client.protocol"}
"""Parts of such rooms that know no world either."""
TOP_FLOOR = 6
WORLD = {"asyncio", "socket", "select", "selectors", "ssl", "threading", "multiprocessing", "subprocess", "time", "os"}
"""What floors 1 to 3 must not know: sockets, tasks, threads, clocks and files."""


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module that is installed."""
    for folder in (ROOT, ROOT / "plugins", ROOT / "storage"):
        for package in ("mombroker", *SIDE_ROOMS):
            for path in sorted((folder / package).rglob("*.py")):
                parts = path.relative_to(folder).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a module imports, wherever in the file."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # `from mombroker import core` imports mombroker.core as much as `import mombroker.core` does.
            for alias in node.names:
                if (base, alias.name) == ("mombroker", "__version__"):
                    continue  # a bare fact, and everybody's
                yield node.lineno, f"{base}.{alias.name}" if base == "mombroker" and is_module(alias.name) else base


def is_module(name: str) -> bool:
    """Whether ``mombroker`` has a module of this name."""
    return (ROOT / "mombroker" / name).is_dir() or (ROOT / "mombroker" / f"{name}.py").is_file()


def floor(name: str) -> int | None:
    """The floor of a module of ours, None for anybody else's."""
    if name.partition(".")[0] in SIDE_ROOMS:
        return 1
    while name and name not in FLOORS:
        name = name.rpartition(".")[0]
    return FLOORS.get(name)


def is_below(name: str, packages: set[str]) -> bool:
    """Whether a module is one of these packages or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def knows_no_world(name: str) -> bool:
    """Whether a module must do without sockets, tasks and clocks."""
    return (
        name.startswith("mombroker.")
        and (floor(name) or 9) <= 3
        and (not is_below(name, SHELLS) or is_below(name, PURE))
    )


MODULES = list(modules())


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 10


@pytest.mark.parametrize(("name", "path"), MODULES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_from_its_own_floor_and_below(name, path):
    own = floor(name)
    room = name.partition(".")[0]
    assert own is not None, f"{name} stands on no floor; give it one in {Path(__file__).name}"
    for line, imported in imports(name, path):
        root = imported.partition(".")[0]
        where = f"{path.relative_to(ROOT)}:{line}"
        assert root not in NEVER_IMPORTED, f"{where}: nothing imports {root}"
        if root in SIDE_ROOMS:
            assert root == room, f"{where}: {imported} is reached through its hooks, not by importing it"
        elif (theirs := floor(imported)) is not None:
            assert theirs <= own, f"{where}: {name} (floor {own}) imports {imported} (floor {theirs})"
            if is_below(imported, SHELLS) and not is_below(name, SHELLS):
                assert own == TOP_FLOOR, f"{where}: {name} imports {imported}, which is for users and for the top floor"


@pytest.mark.parametrize(
    ("name", "path"),
    [pair for pair in MODULES if knows_no_world(pair[0])],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_lower_floors_do_no_io_and_read_no_clock(name, path):
    for line, imported in imports(name, path):
        assert imported.partition(".")[0] not in WORLD, f"{path.relative_to(ROOT)}:{line}: {name} imports {imported}"


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for _, path in modules()}
    missing = [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").is_file()]
    assert not missing, f"without an __init__.py these folders are not installed: {', '.join(missing)}"


@pytest.mark.parametrize(
    ("importer", "statement", "found"),
    [
        ("mombroker.core.x", "import mombroker.wiring.logs", "mombroker.wiring.logs"),
        ("mombroker.core.x", "from mombroker import wiring", "mombroker.wiring"),
        ("mombroker.core.x", "from ..wiring import logs", "mombroker.wiring"),
        ("mombroker.core.x", "def f():\n    import time", "time"),
        ("mombroker.core.x", "from mombroker import connect", "mombroker"),
    ],
)
def test_no_form_of_import_escapes_the_check(tmp_path, importer, statement, found):
    path = tmp_path / "x.py"
    path.write_text(statement)
    assert [imported for _, imported in imports(importer, path)] == [found]
