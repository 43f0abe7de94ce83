"""docs/grpc.md and the code say the same."""

from pathlib import Path

import pytest

from mombroker.operations.problems import KINDS

PAGE = (Path(__file__).parents[3] / "docs" / "grpc.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", KINDS)
def test_the_page_lists_every_problem(code):
    kind = KINDS[code]
    assert f"| `{code}` | `{kind.grpc}` | {kind.title} |" in PAGE
