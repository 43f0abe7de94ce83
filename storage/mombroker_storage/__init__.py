"""The stores that come with mombroker: LMDB on disk, and plain memory. Both keep the contract of ``model.store``."""

from mombroker_storage.lmdb_store import LmdbStore
from mombroker_storage.memory import MemoryStore

__all__ = ["LmdbStore", "MemoryStore"]
