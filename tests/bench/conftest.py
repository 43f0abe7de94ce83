"""``bench`` is not installed; it is loaded from the checkout, without putting the checkout on the import path."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

if "bench" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "bench", ROOT / "bench" / "__init__.py", submodule_search_locations=[str(ROOT / "bench")]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = package
    spec.loader.exec_module(package)
