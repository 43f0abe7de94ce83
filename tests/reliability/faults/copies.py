"""Copies of the product that win over what is installed, one of them for each fault."""

import compileall
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.reliability.faults.fault import FOLDERS, Fault

ROOT = Path(__file__).parents[3]
"""The checkout: its product is copied, its checkers are run."""

PROBE = Path(__file__).with_name("probe.py")
PROBE_SECONDS = 300.0


class BrokenCopy(Exception):
    """A copy does not run at all, or it is not the copy that runs: no checker could tell anything about its fault."""


def copy_product(place: Path) -> Path:
    """Copy the product of the checkout to a folder, as an installation has it, interpreted."""
    for folder in FOLDERS.values():
        source = ROOT / folder
        shutil.copytree(source, place / source.name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    # By hand-me-down: the copies of the copy need to compile nothing but the file that is broken.
    compileall.compile_dir(place, quiet=2)
    return place


@contextmanager
def sound_copy() -> Iterator[Path]:
    """A copy of the product as it is."""
    with TemporaryDirectory(prefix="mombroker-sound-") as place:
        yield copy_product(Path(place))


@contextmanager
def broken_copy(sound: Path, fault: Fault) -> Iterator[Path]:
    """A copy of the sound copy with a fault in it. Raises :class:`~tests.reliability.faults.fault.Misfit`."""
    with TemporaryDirectory(prefix=f"mombroker-{fault.name}-") as temporary:
        place = Path(temporary) / "product"
        shutil.copytree(sound, place, copy_function=os.link)
        fault.apply(place)
        yield place


def environment(product: Path) -> dict[str, str]:
    """What a child process has to have in its environment to run this copy. The checkout comes behind it, for
    what the checkers import of ``tests``."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "EXPLORE")}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(product), str(ROOT)])}


def probe(products: list[Path]) -> None:
    """See to it that each of these copies is what a child process imports, that its plugins are found there, and that
    a broker starts and lets a client in. Raises :class:`BrokenCopy`."""
    with TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, str(PROBE), *map(str, products)],
            cwd=elsewhere,
            env={**environment(products[0]), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
        )
    if done.returncode:
        raise BrokenCopy(done.stderr[-2000:])
    told = json.loads(done.stdout)
    for product in products:
        if told.get(str(product)) != "runs":
            raise BrokenCopy(f"{product}: {told.get(str(product))}")
