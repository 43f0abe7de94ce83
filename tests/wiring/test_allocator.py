"""What becomes of memory that is free again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from mombroker.wiring.allocator import keep_free_memory
if sys.argv[1] == "keep":
    assert keep_free_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        block = bytes(300_000).replace(b"\\0", b"x")
        copy = block + b"y"
        del block, copy
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_large_blocks_are_not_fetched_from_the_kernel_again_and_again():
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "give back")
    )
    assert kept < given_back / 10


LEFT_BEHIND = """
import sys
from mombroker.wiring.allocator import KEPT_BYTES, free_memory, give_back_free_memory, keep_free_memory
assert keep_free_memory()
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))
burst = [bytes(1000) + b"x" for _ in range(300_000)]
# Some live on, all over the place.
kept = burst[::200]
del burst
before = resident()
assert free_memory() > 4 * KEPT_BYTES
give_back_free_memory()
print(before, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc tells, and is told")
@pytest.mark.skipif(sys.platform != "linux", reason="what is resident is read from /proc")
def test_what_a_burst_of_small_blocks_has_left_behind_is_given_back():
    done = subprocess.run([sys.executable, "-c", LEFT_BEHIND], check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split())
    assert before > 280 << 20
    assert after < 100 << 20
