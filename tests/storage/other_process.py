"""A script: does argv[2] with the store at argv[1] from another process, and prints what came of it."""

import sys
from pathlib import Path

from store_driver import HEAD, TIMEOUT, message

from mombroker.model.errors import StoreError
from mombroker.model.unit import TABLE_PLUGIN, Unit
from mombroker_storage import LmdbStore


def own(directory: str) -> None:
    """Try to become the owner."""
    store = LmdbStore(directory)
    print("epoch", store.epoch)
    store.close()


def usurp(directory: str) -> None:
    """Become the owner although there is one, as on a file system whose locks do not work."""
    Path(directory, "lock").unlink()
    own(directory)


def visit(directory: str) -> None:
    """Write and read a state record beside the owner, and try to append a message."""
    store = LmdbStore(directory, exclusive=False)
    unit = Unit(1)
    unit.put(TABLE_PLUGIN, b"from the visitor", b"hello")
    store.commit(unit).result(TIMEOUT)
    print("owner wrote", store.get(TABLE_PLUGIN, b"from the owner").result(TIMEOUT))
    unit = Unit(2)
    unit.append(1, 1, HEAD, message(b"x"))
    try:
        store.commit(unit).result(TIMEOUT)
    except StoreError as error:
        print(error)
    print("epoch", store.epoch)
    store.close()


def fill(directory: str) -> None:
    """Write as a visitor until the map has grown."""
    store = LmdbStore(directory, exclusive=False, map_size=1 << 20)
    for number in range(40):
        unit = Unit(number)
        unit.put(TABLE_PLUGIN, b"%d" % number, bytes(100_000))
        store.commit(unit).result(TIMEOUT)
    print(store.describe())
    store.close()


if __name__ == "__main__":
    try:
        {"own": own, "usurp": usurp, "visit": visit, "fill": fill}[sys.argv[2]](sys.argv[1])
    except StoreError as error:
        print(type(error).__name__, error)
