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
MOSQUITTO = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")


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


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in this language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def tools(server: Server) -> str:
    """Shell functions that send the commands of an example to this broker."""
    port, http = server.port, server.http_port
    return "\n".join(
        (
            f'curl() {{ command curl -sS "${{@//localhost:8080/localhost:{http}}}"; }}',
            *(f'{tool}() {{ command {tool} -p {port} "$@"; }}' for tool in MOSQUITTO),
            f'mombroker() {{ "{sys.executable}" -m mombroker "$@"; }}',
        )
    )


def run_script(script: str, server: Server, place: Path) -> "subprocess.CompletedProcess[str]":
    """Run a shell script that talks to a broker."""
    return subprocess.run(
        ["bash", "-c", f"{tools(server)}\n{script}"],
        cwd=place,
        env={**os.environ, "no_proxy": "*", "MOMBROKER_URL": f"mqtt://127.0.0.1:{server.port}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def run_examples(page: str, server: Server, place: Path) -> int:
    """Run all examples of a page against a broker, in a directory that is made for them; how many there were."""
    script, marks = ["set -u"], []
    for number, (command, _) in enumerate(examples(page)):
        marks.append(f"=== {number} ===")
        script += [f"echo '{marks[-1]}'", command, "echo"]
    place.mkdir()
    done = run_script("\n".join([*script, "wait"]), server, place)
    printed = re.split(r"=== \d+ ===\n", done.stdout)[1:]
    assert len(printed) == len(marks), done.stdout + done.stderr
    for (command, expected), output in zip(examples(page), printed, strict=True):
        assert re.fullmatch(pattern(expected.strip()), output.strip(), re.DOTALL), (
            f"$ {command}\n{output}\n{done.stderr}"
        )
    return len(marks)
