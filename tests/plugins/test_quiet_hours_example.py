"""The example of a plugin in a package of its own: installed with pip, loaded by its entry point, asked by the host."""

import asyncio
import datetime
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mombroker.model import ConfigurationError, Identity, Message, Refusal
from mombroker.wiring.hook_host import HookHost
from mombroker.wiring.plugin_installed import installed_plugins
from mombroker.wiring.plugin_loading import load_plugins

EXAMPLE = Path(__file__).parents[2] / "examples" / "mombroker-plugin-quiet-hours"
OFF = {name: {"enabled": False} for name in ("storage", "queue_limits", "anonymous")}
ALL_DAY = {"begin": datetime.time(0), "end": datetime.time(23, 59, 59, 999_999)}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A folder with the example installed in it."""
    pytest.importorskip("setuptools")
    # Built from a copy: setuptools leaves its working files beside the sources.
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "example")
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def load(target, monkeypatch):
    monkeypatch.syspath_prepend(str(target))
    yield lambda **options: load_plugins({**OFF, "quiet_hours": options}, lambda name: None)
    sys.modules.pop("mombroker_quiet_hours", None)


def test_it_is_found_by_its_entry_point(load):
    (entry,) = installed_plugins()["quiet_hours"]
    assert entry.dist.name == "mombroker-plugin-quiet-hours"
    assert load(topics=["a"]).get_plugin("quiet_hours") is not None


async def test_a_message_is_refused_in_quiet_hours_and_only_then(load, log):
    loop = asyncio.get_running_loop()
    message = Message("house/doorbell", b"")
    topics = ["house/doorbell"]
    quiet = HookHost(load(topics=topics, **ALL_DAY), loop, 1.0, log)
    loud = HookHost(load(topics=topics, begin=datetime.time(0), end=datetime.time(0)), loop, 1.0, log)
    assert quiet.sees_publish
    assert isinstance(quiet.on_publish(message, Identity("c"), print), Refusal)
    assert loud.on_publish(message, Identity("c"), print) is message
    assert quiet.faults == loud.faults == {}


def test_its_settings_are_checked(load):
    with pytest.raises(ConfigurationError, match=r"\[plugins.quiet_hours\] topic is not .*did you mean topics"):
        load(topic=["a"])
    with pytest.raises(ConfigurationError, match=r"\[plugins.quiet_hours\] begin"):
        load(topics=["a"], begin="soon")


def test_its_own_tests_pass(target):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), *sys.path])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE), str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=target, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
