"""What every test can rely on."""

import hypothesis
import pytest

import mombroker

# A slow machine is no failure; an example that fails is printed so that it can be repeated.
hypothesis.settings.register_profile("mombroker", deadline=None, print_blob=True)
hypothesis.settings.load_profile("mombroker")


def pytest_report_header(config: pytest.Config) -> str:
    """Say which build is under test."""
    from mombroker.wiring.build import is_compiled

    build = "compiled" if is_compiled() else "interpreted"
    return f"mombroker {mombroker.__version__}, {build}, {mombroker.__path__[0]}"
