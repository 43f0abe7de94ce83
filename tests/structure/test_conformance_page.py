"""docs/conformance.md says what the marks in the tests say."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATOR = runpy.run_path(str(ROOT / "tests" / "conformance_page.py"))
claims, page = GENERATOR["claims"], GENERATOR["page"]

SOURCE = """
import pytest
TABLE = [pytest.param(1, marks=pytest.mark.conforms("MQTT-1.5.4-1"))]
OTHER = [pytest.param(1, marks=pytest.mark.conforms("MQTT-1.5.4-2"))]
pytestmark = pytest.mark.conforms("MQTT-1.1.1-1")

@pytest.mark.conforms("MQTT-3.10.0-1", "MQTT-3.2.0-1")
async def test_a_thing_holds(): ...

@pytest.mark.conforms("MQTT3-3.1.0-1")
class TestGroup:
    def test_another_holds(self): ...
    def helper(self): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.conforms("MQTT-3.2.0-1"))])
def test_a_third_holds(x): ...

@pytest.mark.parametrize("x", TABLE)
def test_a_table_holds(x): ...
"""


def test_the_page_is_up_to_date():
    written = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert written == page(claims(ROOT / "tests")), "docs/conformance.md is out of date: run `make conformance`"


def test_every_form_of_the_mark_is_found(tmp_path):
    (tmp_path / "test_x.py").write_text(SOURCE)
    found = {(claim.statement, claim.test) for claim in claims(tmp_path)}
    tests = ("a thing holds", "another holds", "a third holds", "a table holds")
    assert found == {("MQTT-1.1.1-1", test) for test in tests} | {
        ("MQTT-1.5.4-1", "a table holds"),
        ("MQTT-1.5.4-2", ""),
        ("MQTT-3.10.0-1", "a thing holds"),
        ("MQTT-3.2.0-1", "a thing holds"),
        ("MQTT-3.2.0-1", "a third holds"),
        ("MQTT3-3.1.0-1", "another holds"),
    }


def test_statements_come_in_the_order_of_the_specification(tmp_path):
    (tmp_path / "test_x.py").write_text(SOURCE)
    text = page(claims(tmp_path))
    places = [text.index(f"| {name} |") for name in ("MQTT-1.5.4-1", "MQTT-3.2.0-1", "MQTT-3.10.0-1", "MQTT3-3.1.0-1")]
    assert places == sorted(places)
    assert "Statements: 5. Tests: 5." in text
    assert "Statements: 1. Tests: 1." in text


@pytest.mark.parametrize("argument", ['"3.1.0-1"', '"MQTT-3.1"', "name", "1"])
def test_a_mark_that_names_no_statement_is_an_error(tmp_path, argument):
    (tmp_path / "test_x.py").write_text(f"@pytest.mark.conforms({argument})\ndef test_x(): ...\n")
    with pytest.raises(SystemExit, match=r"test_x\.py:1: conforms\(\) takes texts such as MQTT-3\.1\.0-1"):
        claims(tmp_path)
