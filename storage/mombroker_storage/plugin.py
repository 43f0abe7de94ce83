"""The persistence plugin: answers for the store addresses ``lmdb:PATH`` and ``memory:``."""

from mombroker.hooks import hookimpl
from mombroker.model.store import Store
from mombroker_storage.address import parse_lmdb_address
from mombroker_storage.lmdb_store import LmdbStore
from mombroker_storage.memory import MemoryStore


@hookimpl
def mombroker_open_store(url: str, exclusive: bool) -> Store | None:
    """Open ``lmdb:PATH?map_size=...&max_map_size=...`` or ``memory:``; None for any other scheme.

    Raises ConfigurationError for an address that cannot be read, and what :class:`LmdbStore` raises.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        return MemoryStore()
    if scheme == "lmdb":
        address = parse_lmdb_address(url)
        return LmdbStore(address.path, exclusive, address.map_size, address.max_map_size)
    return None
