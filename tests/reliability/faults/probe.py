"""Tells of each copy of the product that the command line names whether it is the one that is imported, and runs.

A program of its own, since a process can import one product only: what all of them need is imported once, and then
each copy gets a child process.
"""

import json
import os
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

for _needed in ("hypothesis", "lmdb", "msgspec", "pluggy", "structlog"):
    __import__(_needed)


def try_out(product: str) -> str:
    """Import a copy, start a broker with it, and write to its store. ``"runs"``, or what is wrong."""
    sys.path.insert(0, product)
    try:
        import mombroker
        import mombroker_plugins
        import mombroker_storage

        for module in (mombroker, mombroker_plugins, mombroker_storage):
            if not str(module.__path__[0]).startswith(product):
                return f"{module.__name__} comes from {module.__path__[0]}"
        for point in entry_points(group="mombroker"):
            loaded = point.load()
            home = sys.modules[point.module].__file__ or ""
            if point.module.startswith("mombroker") and not home.startswith(product):
                return f"the plugin {point.name}, {loaded}, comes from {home}"
        _start_a_broker()
        _start_a_store()
    except Exception:
        return traceback.format_exc()
    return "runs"


def _start_a_broker() -> None:
    from tests.core.world import World

    world = World()
    connack = world.client("somebody").connect()
    if connack is None or connack.reason != 0:
        raise AssertionError(f"a client was let in with {connack}")


def _start_a_store() -> None:
    from mombroker.model.unit import TABLE_PLUGIN, Unit
    from mombroker_storage import LmdbStore

    with TemporaryDirectory() as place:
        store = LmdbStore(place)
        unit = Unit(1)
        unit.put(TABLE_PLUGIN, b"key", b"value")
        store.commit(unit).result(60)
        store.close()


def try_out_in_a_child(product: str) -> str:
    """The same without a trace in this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as answer:
            answer.write(try_out(product))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return told


if __name__ == "__main__":
    # Python put this folder first, and its modules are for nobody else.
    sys.path[0:1] = [str(Path(__file__).parents[3])]
    print(json.dumps({product: try_out_in_a_child(product) for product in sys.argv[1:]}))
