"""What the tests run against is the installed package, whole and of the expected build."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mombroker
from mombroker.wiring.build import is_compiled

CHECKOUT = Path(__file__).parents[2]
EXPECTED = os.environ.get("EXPECT_COMPILED")
"""Set by `make`: 1 for the compiled build, 0 for the interpreted one. Other runs may use an editable install."""

made_by_make = pytest.mark.skipif(EXPECTED is None, reason="EXPECT_COMPILED is not set: not a run of `make test`")


@made_by_make
@pytest.mark.parametrize("name", ["mombroker", "mombroker_plugins", "mombroker_storage"])
def test_the_package_under_test_is_the_installed_one(name):
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert "site-packages" in Path(spec.origin).parts


@made_by_make
def test_the_build_under_test_is_the_expected_one():
    assert is_compiled() == (EXPECTED == "1")


@made_by_make
def test_a_build_is_compiled_as_a_whole_or_not_at_all():
    root = Path(mombroker.__path__[0])
    hot = [
        *(root / "core").rglob("*.py"),
        *(root / "client/protocol").glob("*.py"),
        *(root / "mqtt").glob("*.py"),
        root / "model/message.py",
        root / "model/unit.py",
        root / "wiring/runtime.py",
        root / "listeners/tcp.py",
    ]
    extensions = {path.with_name(path.name.partition(".")[0] + ".py") for path in root.rglob("*.so")}
    expected = {path for path in hot if path.name != "__init__.py"} if is_compiled() else set()
    assert extensions == expected


def test_the_package_says_that_it_is_typed():
    assert (Path(mombroker.__path__[0]) / "py.typed").is_file()


def test_the_version_is_the_same_everywhere():
    assert importlib.metadata.version("mombroker") == mombroker.__version__


@pytest.mark.parametrize("name", ["plugins", "storage", "bench", "tests"])
def test_top_level_folders_do_not_become_modules(name, tmp_path):
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is not None)"
    assert subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize(
    "name",
    [
        "storage",
        "users",
        "acl",
        "anonymous",
        "queue_limits",
        "client_certificates",
        "password_file",
        "jwt",
        "scram",
        "webhook",
    ],
)
def test_a_built_in_plugin_is_found_through_its_entry_point(name):
    (entry,) = importlib.metadata.entry_points(group="mombroker", name=name)
    assert entry.load() is not None


def test_python_m_mombroker_is_the_command(tmp_path):
    command = [sys.executable, "-I", "-m", "mombroker", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"mombroker {mombroker.__version__}\n"
