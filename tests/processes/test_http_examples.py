"""docs/http.md is true: its examples are run, and say what it says they say."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mombroker.operations.problems import KINDS

from .server import mombroker

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
USERS = "[plugins.users]\nmemory_kib = 64\ntime_cost = 1\n[plugins.anonymous]\n"


def examples() -> list[tuple[str, str]]:
    """Commands and what they print, in the order of the page."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
            found.append(("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :])))
    return found


def pattern(expected: str) -> str:
    """A regular expression for an output in which ``...`` stands for anything."""
    return ".*?".join(re.escape(part) for part in expected.split("..."))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_example_of_the_page_does_what_it_says(new_server, tmp_path):
    server = new_server(http="127.0.0.1:0", config=USERS).start()
    for name, options in (("ann", ()), ("root", ("--role", "admin"))):
        added = ("user", "add", name, *options, "--password-stdin", "--data", str(server.data))
        assert mombroker(*added, cwd=tmp_path, given="secret\n").returncode == 0
    script, marks = ["set -u"], []
    for number, (command, _) in enumerate(examples()):
        marks.append(f"=== {number} ===")
        command = command.replace("curl ", "curl -sS ").replace("localhost:8080", f"localhost:{server.http_port}")
        script += [f"echo '{marks[-1]}'", command, "echo"]
    place = tmp_path / "examples"
    place.mkdir()
    environment = {**os.environ, "no_proxy": "*"}
    done = subprocess.run(
        ["bash", "-c", "\n".join([*script, "wait"])],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed = re.split(r"=== \d+ ===\n", done.stdout)[1:]
    assert len(printed) == len(marks) > 20, done.stderr
    for (command, expected), output in zip(examples(), printed, strict=True):
        assert re.fullmatch(pattern(expected.strip()), output.strip(), re.DOTALL), f"$ {command}\n{output}"


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_is_on_the_page_with_its_status(code):
    assert re.search(rf"^\| {KINDS[code].status} \|.*`{code}`", PAGE, re.MULTILINE)
