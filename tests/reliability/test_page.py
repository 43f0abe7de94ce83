"""docs/reliability.md says what the ledger says."""

from pathlib import Path

import pytest

from tests.reliability import ledger, page
from tests.reliability.ledger import Stopwatch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with one checker that nothing was published of."""
    (tmp_path / "about.md").write_text("# Evidence\n\nWhy.\n")
    (tmp_path / "torture").mkdir()
    (tmp_path / "torture" / "about.md").write_text(
        "# Real processes\n\nHow.\n\n```\n# a comment\n```\n\n## Fault model\n"
    )
    monkeypatch.setattr(page, "HERE", tmp_path)
    monkeypatch.setattr(ledger, "RUNS", tmp_path / "runs")
    return tmp_path


def test_the_page_is_up_to_date():
    written = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert written == page.page(), "docs/reliability.md is out of date: run `make reliability`"


def test_every_checker_is_told_about():
    for checker in page.GOALS:
        assert (ROOT / "tests" / "reliability" / checker / "about.md").exists()


def test_a_goal_that_is_not_reached_is_called_so(folder):
    assert (
        "| [Real processes](#real-processes) | `make torture` | 0 | 500 kills | 0 kills (**not yet**) |" in page.page()
    )
    assert "None yet." in page.page()


def test_runs_add_up(folder):
    watch = Stopwatch("torture", ["--seed", "1"])
    watch.publish({"kills": 499, "acked": 1_000}, ["one was lost"])
    assert "499 kills (**not yet**)" in page.page()
    watch.publish({"kills": 1}, figures={"slope": 0.5})
    written = page.page()
    assert "| 500 kills | 500 kills |" in written
    assert "| acked | 1,000 |" in written and "| slope | 0.5 |" in written
    assert written.count("| `--seed 1` |") == 2
    assert "- one was lost" in written


def test_a_section_is_one_level_down_but_for_its_code(folder):
    written = page.page()
    assert "## Real processes" in written and "### Fault model" in written
    assert "\n# a comment\n" in written
