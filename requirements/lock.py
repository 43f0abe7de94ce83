"""Writes requirements/*.txt: exact versions of everything that the ranges in pyproject.toml lead to.

Runs pip's resolver without installing anything. Meant for ``make lock``; review what has changed, then ``make test``.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
# What makes the broker faster, or lets it speak more, comes along where it is installed from the checkout.
RUN = [*PROJECT["project"]["dependencies"], *(wanted for extra in ("cli", "http", "grpc") for wanted in EXTRAS[extra])]
BUILD = PROJECT["build-system"]["requires"]
TEST = EXTRAS["test"]
BENCH = EXTRAS["bench"]
FUZZ = EXTRAS["fuzz"]
MARKERS = {
    re.split("[<>=~!;]", wanted)[0]: " ;" + wanted.partition(";")[2]
    for wanted in [*RUN, *BENCH, *FUZZ]
    if ";" in wanted
}
ABOUT = {
    "run": "# What the broker runs with, exactly. `make lock` writes this file from the ranges in pyproject.toml.",
    "build": "# What builds and compiles the package, exactly. `make lock` writes this file.",
    "test": "# What the tests and checks need on top, exactly. `make lock` writes this file.\n-r run.txt\n-r build.txt",
    "bench": "# What the benchmark needs on top, exactly. `make lock` writes this file.\n-r test.txt",
    "fuzz": "# What fuzzing needs on top, exactly. `make lock` writes this file.\n-r test.txt",
}


def resolved(requirements: list[str], versions: dict[str, str]) -> dict[str, str]:
    """Name and version of everything that pip would install into an empty environment, held to ``versions``."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("".join(f"{name}=={version}\n" for name, version in versions.items()))
        constraints.flush()
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
        command = [*pip, "--constraint", constraints.name, *requirements]
        report = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = ((item["metadata"]["name"], item["metadata"]["version"]) for item in json.loads(report)["install"])
    return dict(sorted(found, key=lambda pair: pair[0].lower()))


def without(versions: dict[str, str], *others: dict[str, str]) -> dict[str, str]:
    """What is in none of the others."""
    return {name: version for name, version in versions.items() if not any(name in other for other in others)}


def write(name: str, versions: dict[str, str]) -> None:
    """Write one requirements file."""
    lines = [ABOUT[name], *(f"{package}=={version}{MARKERS.get(package, '')}" for package, version in versions.items())]
    (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Resolve everything together, so that the files agree, and then each part of it."""
    everything = resolved([*RUN, *BUILD, *TEST, *BENCH, *FUZZ], {})
    run = resolved(RUN, everything)
    build = resolved(BUILD, everything)
    test = without(resolved([*RUN, *BUILD, *TEST], everything), run, build)
    write("run", run)
    write("build", build)
    write("test", test)
    write("bench", without(resolved([*RUN, *BUILD, *TEST, *BENCH], everything), run, build, test))
    write("fuzz", without(resolved([*RUN, *BUILD, *TEST, *FUZZ], everything), run, build, test))


if __name__ == "__main__":
    main()
