"""The examples of a page of documentation: ``console`` blocks, run as they stand there, one after the other.

``...`` in an output stands for something that differs each time.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from .server import Server

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[tuple[str, str]]:
    """Commands and what they print, in the order of the page."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            end = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
            found.append(("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :])))
    return found


def pattern(expected: str) -> str:
    """A regular expression for an output in which ``...`` stands for anything."""
    return ".*?".join(re.escape(part) for part in expected.split("..."))


def run_examples(page: str, server: Server, place: Path) -> int:
    """Run all examples of a page against a broker, in a directory that is made for them; how many there were."""
    tools = {
        "curl": f'curl() {{ command curl -sS "${{@//localhost:8080/localhost:{server.http_port}}}"; }}',
        "mosquitto_pub": f'mosquitto_pub() {{ command mosquitto_pub -p {server.port} "$@"; }}',
        "mosquitto_sub": f'mosquitto_sub() {{ command mosquitto_sub -p {server.port} "$@"; }}',
        "mosquitto_rr": f'mosquitto_rr() {{ command mosquitto_rr -p {server.port} "$@"; }}',
        "mombroker": f'mombroker() {{ "{sys.executable}" -m mombroker "$@"; }}',
        "python": f'python() {{ "{sys.executable}" "$@"; }}',
    }
    script, marks = ["set -u", *tools.values()], []
    for number, (command, _) in enumerate(examples(page)):
        marks.append(f"=== {number} ===")
        script += [f"echo '{marks[-1]}'", command, "echo"]
    place.mkdir()
    done = subprocess.run(
        ["bash", "-c", "\n".join([*script, "wait"])],
        cwd=place,
        env={**os.environ, "no_proxy": "*", "MOMBROKER_URL": f"mqtt://127.0.0.1:{server.port}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed = re.split(r"=== \d+ ===\n", done.stdout)[1:]
    assert len(printed) == len(marks), done.stdout + done.stderr
    for (command, expected), output in zip(examples(page), printed, strict=True):
        assert re.fullmatch(pattern(expected.strip()), output.strip(), re.DOTALL), (
            f"$ {command}\n{output}\n{done.stderr}"
        )
    return len(marks)
