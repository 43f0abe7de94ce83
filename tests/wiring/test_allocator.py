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
