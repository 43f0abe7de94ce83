"""The stores under test. Set MOMBROKER_TEST_STORE to ``package.module:factory`` to run the conformance suite on yours.

The factory is called with a directory and returns a Store that keeps its data there.
"""

import importlib
import os
import sys
from pathlib import Path

import pytest

# For the driver that the modules of this folder share, and the scripts that they run.
sys.path.insert(0, str(Path(__file__).parent))

from store_driver import Place

from mombroker_storage import LmdbStore, MemoryStore

FACTORIES = {"lmdb": LmdbStore, "memory": lambda directory: MemoryStore()}
if named := os.environ.get("MOMBROKER_TEST_STORE"):
    module, _, name = named.partition(":")
    FACTORIES[named] = getattr(importlib.import_module(module), name)


@pytest.fixture(params=sorted(FACTORIES))
def place(request, tmp_path):
    """A place that a store can be opened at, once for each kind of store; closed at the end."""
    place = Place(FACTORIES[request.param], tmp_path / "store")
    yield place
    place.close()


@pytest.fixture
def disk(tmp_path):
    """The same for LMDB alone."""
    place = Place(LmdbStore, tmp_path / "store")
    yield place
    place.close()
