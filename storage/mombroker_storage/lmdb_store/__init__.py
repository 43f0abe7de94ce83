"""A store in one LMDB file. ``docs/storage.md`` has its layout and what each of its guarantees rests on."""

from mombroker_storage.lmdb_store.store import LmdbStore

__all__ = ["LmdbStore"]
