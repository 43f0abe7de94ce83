"""The store in docs/storage.md keeps the contract that it is an example of."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "storage.md").read_text(encoding="utf-8")


def test_the_store_in_the_documentation_passes_the_conformance_tests(tmp_path):
    source = re.search(r"<!-- tested: naive_store -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert source
    (tmp_path / "naive_store.py").write_text(source[1], encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "naive_store"]
        + [str(ROOT / "tests" / "storage" / "test_conformance.py")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "MOMBROKER_TEST_STORE": "naive_store:NaiveStore"},
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
