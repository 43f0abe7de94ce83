"""Building the package: compiled, interpreted, and never half of each.

The builds are of a toy with the project's own setup.py and pyproject.toml, so that they take seconds.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("mypyc", reason="compiling needs mypy")

CHECKOUT = Path(__file__).parents[2]
HOT = ["core/queue.py", "mqtt/wire.py", "model/message.py", "model/unit.py"]
SOURCE = "from mombroker.model.message import twice\ndef four(x: int) -> int:\n    return twice(twice(x))\n"
can_compile = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture
def toy(tmp_path):
    """A small package that has the names of the real one."""
    root = tmp_path / "toy"
    root.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, root)
    files = {f"mombroker/{name}": SOURCE for name in HOT}
    files["mombroker/model/message.py"] = "def twice(x: int) -> int:\n    return x * 2\n"
    for package in ("mombroker", "plugins/mombroker_plugins", "storage/mombroker_storage"):
        files[f"{package}/__init__.py"] = '__version__ = "1"\n'
        files[f"{package}/py.typed"] = ""
    for package in ("core", "mqtt", "model"):
        files[f"mombroker/{package}/__init__.py"] = ""
    files["mombroker/cold.py"] = ""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def build(root, **environ):
    """Build a wheel; the finished process and the names in the wheel, or none."""
    clean = {name: value for name, value in os.environ.items() if name not in ("MOMBROKER_COMPILE", "CC")}
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-v",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        "out",
        ".",
    ]
    done = subprocess.run(
        pip, cwd=root, env={**clean, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wheels = list(root.glob("out/*.whl"))
    return done, sorted(zipfile.ZipFile(wheels[0]).namelist()) if wheels else []


def modules(names):
    """The Python files of a wheel."""
    return {name for name in names if name.endswith(".py")}


def extensions(names):
    """The extension modules of a wheel, without their platform suffix."""
    return {name.partition(".")[0] for name in names if name.endswith((".so", ".pyd"))}


ALL_EXTENSIONS = {"mombroker__mypyc", *(f"mombroker/{name.removesuffix('.py')}" for name in HOT)}


@can_compile
def test_with_a_compiler_every_hot_module_is_compiled_and_its_source_comes_along(toy):
    done, names = build(toy, MOMBROKER_COMPILE="1")
    assert done.returncode == 0, done.stdout
    assert extensions(names) == ALL_EXTENSIONS
    assert {f"mombroker/{name}" for name in HOT} <= modules(names)


def test_without_a_working_compiler_the_same_files_are_installed_interpreted(toy):
    done, names = build(toy, CC="false")
    assert done.returncode == 0, done.stdout
    assert extensions(names) == set()
    assert modules(names) == modules(build(toy, MOMBROKER_COMPILE="0")[1])
    assert "installing the same modules interpreted" in done.stdout


@can_compile
@pytest.mark.parametrize("victim", ["__native_mombroker", "mqtt/wire"])
def test_where_one_extension_fails_none_is_installed(toy, tmp_path, victim):
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *{victim}*) exit 1;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    done, names = build(toy, CC=str(compiler))
    assert done.returncode == 0, done.stdout
    assert extensions(names) == set()


def test_compiling_that_is_required_and_fails_fails_the_build(toy):
    done, names = build(toy, MOMBROKER_COMPILE="1", CC="false")
    assert done.returncode != 0
    assert "MOMBROKER_COMPILE=1 requires compiled modules" in done.stdout
    assert names == []


def test_a_type_error_fails_a_build_that_must_compile_and_is_told_in_one_that_may(toy):
    (toy / "mombroker/core/queue.py").write_text("x: int = 'text'\n")
    must, _ = build(toy, MOMBROKER_COMPILE="1")
    assert must.returncode != 0
    assert "Incompatible types in assignment" in must.stdout
    may, names = build(toy)
    assert may.returncode == 0
    assert extensions(names) == set()
    assert "mypyc did not run" in may.stdout


def test_compiling_can_be_turned_off(toy):
    done, names = build(toy, MOMBROKER_COMPILE="0")
    assert done.returncode == 0
    assert extensions(names) == set()
    assert "py3-none-any" in next(toy.glob("out/*.whl")).name


def test_an_unknown_wish_is_refused(toy):
    done, _ = build(toy, MOMBROKER_COMPILE="yes")
    assert done.returncode != 0
    assert "MOMBROKER_COMPILE=yes: write 0" in done.stdout


def test_a_wheel_has_the_three_packages_and_nothing_else(toy):
    (toy / "tests").mkdir()
    (toy / "tests/__init__.py").touch()
    (toy / "bench").mkdir()
    (toy / "bench/__init__.py").touch()
    _, names = build(toy, MOMBROKER_COMPILE="0")
    top = {name.partition("/")[0] for name in names}
    assert top == {"mombroker", "mombroker_plugins", "mombroker_storage", "mombroker-1.dist-info"}
    assert {f"{package}/py.typed" for package in ("mombroker", "mombroker_plugins", "mombroker_storage")} <= set(names)
    assert "mombroker/cold.py" in names
