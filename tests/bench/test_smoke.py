"""The real thing, small: the harness measures the broker that is installed here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_short_run_measures_the_installed_broker_without_a_fault(tmp_path):
    pytest.importorskip("matplotlib")
    program = Path(sys.prefix) / "bin" / "mombroker"
    said = subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout
    broker = "mombroker-fsync" if "(compiled)" in said else "mombroker-fsync-interpreted"
    command = [sys.executable, "-m", "bench", "--quick", "--seconds", "0.3", "--broker", broker]
    places = ["--venv", sys.prefix, "--pure-venv", sys.prefix, "--data", str(tmp_path / "data")]
    # What speaks the native API, or has its hooks changed, is measured with the compiled broker only.
    native = ("requests", "queue-client", "grpc", "http", "hooks") if "(compiled)" in said else ()
    names = ("qos0-64", "qos1-64", "qos2-64", "offline", *native)
    chosen = [part for name in names for part in ("--scenario", name)]
    for other in ("native", "memory", "hookless", "noop") if native else ():
        command += ["--broker", f"mombroker-{other}"]
    results = ["--json", str(tmp_path / "run.json")]
    done = subprocess.run(
        [*command, *places, *chosen, *results], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "run.json").read_text())["measurements"]
    assert {item["scenario"] for item in measured} >= set(names)
    for item in measured:
        assert item["values"] and all(value > 0 for value in item["values"].values()) and not item["faults"], item
    assert (tmp_path / "run.md").exists() and not list((tmp_path / "data").iterdir())
