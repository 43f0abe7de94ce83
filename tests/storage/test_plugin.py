"""The plugin answers for its own schemes, and reads their addresses carefully."""

from pathlib import Path

import pytest

from mombroker.model.errors import ConfigurationError
from mombroker_storage import LmdbStore, MemoryStore
from mombroker_storage.address import MAP_SIZE, MAX_MAP_SIZE, parse_lmdb_address
from mombroker_storage.plugin import mombroker_open_store


def test_lmdb_and_memory_are_opened_and_others_left_to_others(tmp_path):
    store = mombroker_open_store(f"lmdb:{tmp_path}/data?map_size=2MiB", True)
    assert isinstance(store, LmdbStore)
    assert "map 2 MiB" in store.describe()
    store.close()
    assert isinstance(mombroker_open_store("memory:", True), MemoryStore)
    assert mombroker_open_store("raft:somewhere", True) is None
    assert mombroker_open_store("nothing", True) is None


@pytest.mark.parametrize(
    ("url", "path", "map_size", "max_map_size"),
    [
        ("lmdb:/var/lib/mombroker", "/var/lib/mombroker", MAP_SIZE, MAX_MAP_SIZE),
        ("lmdb:data", "data", MAP_SIZE, MAX_MAP_SIZE),
        ("lmdb:///var/lib", "/var/lib", MAP_SIZE, MAX_MAP_SIZE),
        ("lmdb:a%3Fb?map_size=1048576", "a?b", 1 << 20, MAX_MAP_SIZE),
        ("lmdb:d?map_size=1GiB&max_map_size=2TB", "d", 1 << 30, 2 * 10**12),
        ("lmdb:d?max_map_size=10MiB", "d", 10 << 20, 10 << 20),
        ("lmdb:d?map_size=3m", "d", 3_000_000, MAX_MAP_SIZE),
    ],
)
def test_an_address_says_where_and_how_large(url, path, map_size, max_map_size):
    address = parse_lmdb_address(url)
    assert (address.path, address.map_size, address.max_map_size) == (Path(path), map_size, max_map_size)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("lmdb:", "names no directory"),
        ("lmdb:?map_size=1GiB", "names no directory"),
        ("lmdb:d?mapsize=1GiB", "unknown option 'mapsize'"),
        ("lmdb:d?map_size=lots", "'lots' is not a size"),
        ("lmdb:d?map_size=", "'' is not a size"),
        ("lmdb:d?max_map_size=10KiB", "too small"),
        ("lmdb:d?map_size=" + "9" * 5000, "is not a size"),
        ("lmdb:a%00b", "null character"),
        ("lmdb:~%00/d", "null character"),
        ("lmdb:~nobody-of-this-name/d", "whose home directory is not known"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(url, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        parse_lmdb_address(url)
