"""Writes docs/conformance.md: which tests cover which normative statements of the MQTT specifications.

The source of truth are the marks ``@pytest.mark.conforms("MQTT-3.1.0-1", ...)`` in the tests: ``MQTT-…`` is a statement
of MQTT 5.0, ``MQTT3-…`` one that only MQTT 3.1.1 makes. They are read from the source; no test is run.

    python tests/conformance_page.py docs/conformance.md
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
STATEMENT = re.compile(r"MQTT3?-\d+(\.\d+)*-\d+")
VERSIONS = {"MQTT": "MQTT 5.0", "MQTT3": "MQTT 3.1.1 only"}


@dataclass(frozen=True, order=True)
class Claim:
    """A test says that it covers a statement. ``test`` is its sentence, empty for a mark that no one test has."""

    statement: str
    file: str
    test: str


def claims(folder: Path) -> list[Claim]:
    """Every claim in the test files below ``folder``."""
    found: set[Claim] = set()
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        name = path.relative_to(folder.parent).as_posix()
        found.update(Claim(statement, name, test) for statement, test in _in_module(tree, name))
    return sorted(found)


def _in_module(tree: ast.Module, file: str) -> Iterator[tuple[str, str]]:
    """(statement, test) in one file.

    A mark on a class, or in ``pytestmark``, holds for each test in it; one in a table, for the tests that are
    parametrized with the table.
    """
    tables: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                tables.setdefault(ast.unparse(target), set()).update(_marked([node], file))
    unused = {name for name, statements in tables.items() if statements}
    for statements, names, test in _tests(tree, [], tables.pop("pytestmark", set()), file):
        unused -= names | {"pytestmark"}
        used = [tables[name] for name in sorted(names & tables.keys())]
        yield from ((statement, test) for statement in statements.union(*used))
    yield from ((statement, "") for name in unused for statement in tables.get(name, ()))


def _tests(
    scope: ast.Module | ast.ClassDef, above: list[ast.expr], inherited: set[str], file: str
) -> Iterator[tuple[set[str], set[str], str]]:
    """(statements, names in the decorators, sentence) of every test."""
    for node in scope.body:
        if isinstance(node, ast.ClassDef):
            yield from _tests(node, [*above, *node.decorator_list], inherited, file)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            decorators = [*above, *node.decorator_list]
            names = {name.id for decorator in decorators for name in ast.walk(decorator) if isinstance(name, ast.Name)}
            yield inherited | set(_marked(decorators, file)), names, node.name.removeprefix("test_").replace("_", " ")


def _marked(nodes: Sequence[ast.AST], file: str) -> Iterator[str]:
    """The statements named in any ``….conforms(...)`` below these nodes."""
    for node in nodes:
        for call in ast.walk(node):
            if not (isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "conforms"):
                continue
            for argument in call.args:
                value = getattr(argument, "value", None)
                if not (isinstance(value, str) and STATEMENT.fullmatch(value)):
                    raise SystemExit(f"{file}:{call.lineno}: conforms() takes texts such as MQTT-3.1.0-1")
                yield value


def page(found: list[Claim]) -> str:
    """The whole page."""
    by_statement: dict[str, list[Claim]] = defaultdict(list)
    for claim in found:
        by_statement[claim.statement].append(claim)
    lines = [
        "# Conformance",
        "",
        "Which tests cover which normative statements of the MQTT specifications, by the identifiers that the",
        "specifications give them. A statement that is not listed has no test that claims it. `make conformance`",
        "writes this page from the marks in the tests.",
    ]
    for family, title in VERSIONS.items():
        statements = sorted((s for s in by_statement if s.partition("-")[0] == family), key=_order)
        tests = {(claim.file, claim.test) for statement in statements for claim in by_statement[statement]}
        lines += ["", f"## {title}", "", f"Statements: {len(statements)}. Tests: {len(tests)}."]
        if statements:
            lines += ["", "| statement | tests |", "|---|---|"]
        lines += [f"| {name} | {'<br>'.join(_cell(claim) for claim in by_statement[name])} |" for name in statements]
    return "\n".join(lines) + "\n"


def _order(statement: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", statement.partition("-")[2])]


def _cell(claim: Claim) -> str:
    return f"{claim.test or 'its tables'} ([{claim.file.removeprefix('tests/')}](../{claim.file}))"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(claims(TESTS)), encoding="utf-8")
