"""The limit of open files is raised as far as it may be, and a limit too low is told."""

import subprocess
import sys

PROGRAM = """
import resource, structlog
from mombroker.wiring.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
with structlog.testing.capture_logs() as logs:
    allow_open_files({connections}, structlog.get_logger())
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], [line["open_files"] for line in logs])
"""


def outcome(soft: int, hard: int, connections: int) -> str:
    """The soft limit afterwards, and the limits that were warned about, in a process of its own."""
    program = PROGRAM.format(soft=soft, hard=hard, connections=connections)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_the_limit_is_raised_to_what_the_connections_take() -> None:
    assert outcome(100, 1000, 500) == "564 []"


def test_a_hard_limit_too_low_is_told() -> None:
    assert outcome(100, 300, 500) == "300 [300]"


def test_a_limit_that_is_enough_is_left_alone() -> None:
    assert outcome(800, 1000, 500) == "800 []"
