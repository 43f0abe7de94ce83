"""Copies of the product that win over what is installed, one of them for each fault."""

import compileall
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.reliability.faults.fault import FOLDERS, Fault

ROOT = Path(__file__).parents[3]
"""The checkout: its product is copied, its checkers are run."""

PROBE = Path(__file__).with_name("probe.py")
PROBE_SECONDS = 300.0


class Copy(NamedTuple):
    """A copy of the product, and a Python in whose environment it is what is installed."""

    product: Path
    python: Path


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


def home_of(product: Path, place: Path) -> Copy:
    """Make an environment in which a copy is what is installed. Import paths in variables would not do: tests that
    start processes take those away, so that a broker is the one that is installed."""
    venv.EnvBuilder(symlinks=True).create(place)
    packages = next(place.glob("lib/python*/site-packages"))
    installed = {sysconfig.get_path("purelib"): None, sysconfig.get_path("platlib"): None}
    (packages / "copy.pth").write_text("\n".join([str(product), *installed, str(ROOT)]) + "\n")
    return Copy(product, place / "bin" / "python")


@contextmanager
def sound_copy() -> Iterator[Copy]:
    """A copy of the product as it is."""
    with TemporaryDirectory(prefix="mombroker-sound-") as temporary:
        place = Path(temporary)
        yield home_of(copy_product(place / "product"), place / "env")


@contextmanager
def broken_copy(sound: Copy, fault: Fault) -> Iterator[Copy]:
    """A copy of the sound copy with a fault in it. Raises :class:`~tests.reliability.faults.fault.Misfit`."""
    with TemporaryDirectory(prefix=f"mombroker-{fault.name}-") as temporary:
        place = Path(temporary)
        product = place / "product"
        shutil.copytree(sound.product, product, copy_function=os.link)
        fault.apply(product)
        yield home_of(product, place / "env")


def environment() -> dict[str, str]:
    """What a child process finds in its environment: nothing that changes where it imports from."""
    left_out = ("PYTHONPATH", "PYTHONSAFEPATH", "EXPLORE")
    return {name: value for name, value in os.environ.items() if name not in left_out}


def check_home(copy: Copy) -> None:
    """See to it that the copy is what its Python imports, whatever its environment. Raises :class:`BrokenCopy`."""
    with TemporaryDirectory() as elsewhere:
        command = [str(copy.python), "-c", "import mombroker; print(mombroker.__file__)"]
        done = subprocess.run(command, cwd=elsewhere, env={}, capture_output=True, text=True, timeout=PROBE_SECONDS)
    if not done.stdout.startswith(str(copy.product)):
        raise BrokenCopy(f"{copy.python} imports {done.stdout or done.stderr}")


def probe(products: list[Path]) -> None:
    """See to it that each of these copies is what a child process imports, that its plugins are found there, and that
    a broker starts and lets a client in. Raises :class:`BrokenCopy`."""
    with TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, str(PROBE), *map(str, products)],
            cwd=elsewhere,
            env=environment(),
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
