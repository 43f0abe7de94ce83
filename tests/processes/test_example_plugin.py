"""The example of a third-party plugin: its package is installed beside the broker, named in the settings, and works."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mombroker.mqtt import V311

from ..broker.client import Client
from .server import TIMEOUT, environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "mombroker-plugin-quiet-hours"
CONFIG = """
[plugins.quiet_hours]
topics = ["house/doorbell", "siren/"]
begin = 00:00:00
end = 23:59:59.999999
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory that the package is installed in."""
    pytest.importorskip("setuptools")
    # From a copy: a build leaves its files beside the sources.
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "example")
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT, env=environment())
    assert done.returncode == 0, done.stderr
    return str(target)


async def test_an_installed_plugin_is_asked_by_a_broker_that_names_it(new_server, installed):
    server = new_server(config=CONFIG, env={"PYTHONPATH": installed}).start()
    assert "quiet_hours" in server.wait_for("mombroker is ready")["plugins"]
    async with (
        await Client.connected(server.port) as listener,
        await Client.connected(server.port, "bell") as bell,
        await Client.connected(server.port, "bell3", V311) as bell3,
    ):
        await listener.subscribe("#")
        for qos in (1, 2):
            assert await bell.publish("house/doorbell", b"ring", qos) == 0x87
        assert await bell.publish("siren/north", b"test", 1) == 0x87
        for client in (bell, bell3):
            assert await client.publish("house/lamp", b"on", 1) == 0
            assert (await listener.message()).topic == b"house/lamp"
    server.wait_for("publish refused in quiet hours", client_id="bell", topic="house/doorbell", plugin="quiet_hours")
    assert server.stop() == 0


async def test_the_same_settings_without_the_package_are_refused(new_server):
    server = new_server(config=CONFIG)
    server.launch()
    assert server.wait() == 2
    assert "quiet_hours" in server.text
