"""docs/http.md is true: its examples are run, and say what it says they say."""

import re
import shutil

import pytest

from mombroker.operations.problems import KINDS

from .page_examples import ROOT, run_examples
from .server import mombroker

PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
USERS = "[plugins.users]\nmemory_kib = 64\ntime_cost = 1\n[plugins.anonymous]\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_example_of_the_page_does_what_it_says(new_server, tmp_path):
    server = new_server(http="127.0.0.1:0", config=USERS).start()
    for name, options in (("ann", ()), ("root", ("--role", "admin"))):
        added = ("user", "add", name, *options, "--password-stdin", "--data", str(server.data))
        assert mombroker(*added, cwd=tmp_path, given="secret\n").returncode == 0
    assert run_examples(PAGE, server, tmp_path / "examples") > 20


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_is_on_the_page_with_its_status(code):
    assert re.search(rf"^\| {KINDS[code].status} \|.*`{code}`", PAGE, re.MULTILINE)
