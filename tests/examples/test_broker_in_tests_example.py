"""examples/broker-in-tests: a suite that gets its broker from the pytest plugin."""

import shutil
import subprocess
import sys

from ..processes.server import TIMEOUT, environment
from .example import EXAMPLES


def test_the_suite_of_the_example_passes(tmp_path):
    # A copy, so that the settings of this suite do not count for that one.
    place = shutil.copytree(EXAMPLES / "broker-in-tests", tmp_path / "suite")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
