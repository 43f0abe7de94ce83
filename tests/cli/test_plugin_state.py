"""A plugin's state, for commands that run beside a broker or without one."""

import asyncio
import importlib.metadata
import subprocess
import sys

import pytest

from mombroker.cli.context import CliContext
from mombroker.model.errors import ConfigurationError, PluginError
from mombroker.wiring.settings import load_settings

pytestmark = pytest.mark.skipif(
    not importlib.metadata.entry_points(group="mombroker", name="storage"), reason="mombroker is not installed here"
)


@pytest.fixture
def context(monkeypatch, tmp_path):
    """A context whose data directory is in a temporary place."""
    monkeypatch.setattr("os.environ", {})
    context = CliContext()
    context.give("storage.data", str(tmp_path / "data"))
    return context


def test_what_one_command_writes_the_next_one_reads(context):
    with context.plugin_state("users") as state:
        asyncio.run(state.put(b"ada", b"1"))
    with context.plugin_state("users") as state:
        assert asyncio.run(state.get(b"ada")) == b"1"
    with context.plugin_state("others") as state:
        assert asyncio.run(state.items()) == []


OWNER = """
import sys
from mombroker_storage.plugin import mombroker_open_store
store = mombroker_open_store(sys.argv[1], True)
print("open", flush=True)
sys.stdin.read()
store.close()
"""


def test_a_command_reads_and_writes_while_another_process_owns_the_store(context, tmp_path):
    command = [sys.executable, "-c", OWNER, f"lmdb:{tmp_path}/data"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "open\n"
        with context.plugin_state("users") as state:
            asyncio.run(state.put(b"ada", b"1"))
            assert asyncio.run(state.get(b"ada")) == b"1"
        owner.stdin.close()
    assert owner.returncode == 0


def test_without_a_store_that_lasts_there_is_no_state(context):
    context.give("storage.durability", "memory")
    with pytest.raises(ConfigurationError, match="nothing is kept"), context.plugin_state("users"):
        pass


def test_a_store_that_no_plugin_opens_is_told(context):
    context.give("storage.url", "nonsuch:1")
    with pytest.raises(ConfigurationError, match="no plugin opens the store nonsuch:1"), context.plugin_state("users"):
        pass


async def test_a_plugin_that_uses_its_state_too_early_is_told():
    from mombroker.cli.plugin_checks import closed_state

    state = closed_state("eager")
    for call in (state.get(b""), state.put(b"", b""), state.delete(b""), state.items()):
        with pytest.raises(PluginError, match="the plugin eager uses its state while it is loaded"):
            await call


def test_settings_are_read_once_unless_asked_for_again(context):
    assert context.settings is context.settings
    assert context.read_again() == load_settings(None, {}, {"storage.data": context.settings.storage.data})
