"""What every test can rely on."""

import os

import hypothesis
import pytest

import mombroker

# A slow machine is no failure, and every run tries the same examples: a release is not to wait for a stroke of luck.
# EXPLORE=1 looks for new ones, and prints one that fails so that it can be repeated.
hypothesis.settings.register_profile(
    "mombroker",
    deadline=None,
    print_blob=True,
    derandomize=not os.environ.get("EXPLORE"),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("mombroker")


def pytest_report_header(config: pytest.Config) -> str:
    """Say which build is under test."""
    from mombroker.wiring.build import is_compiled

    build = "compiled" if is_compiled() else "interpreted"
    return f"mombroker {mombroker.__version__}, {build}, {mombroker.__path__[0]}"
