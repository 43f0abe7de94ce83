"""A plugin's own durable key-value table, kept in the broker's store beside the sessions and queues."""

import asyncio
from typing import Final

from mombroker.model.store import Store
from mombroker.model.unit import TABLE_PLUGIN, Unit

SEPARATOR: Final = b"\0"


class StoredState:
    """The :class:`~mombroker.hooks.PluginState` of one plugin; keys of different plugins never meet."""

    def __init__(self, name: str, store: Store) -> None:
        self._prefix = name.encode() + SEPARATOR
        self._store = store

    async def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return await asyncio.wrap_future(self._store.get(TABLE_PLUGIN, self._prefix + key))

    async def put(self, key: bytes, value: bytes) -> None:
        """Set a key. Raises :class:`~mombroker.model.errors.StoreFull` when there is no room."""
        unit = Unit(0)
        unit.put(TABLE_PLUGIN, self._prefix + key, value)
        await asyncio.wrap_future(self._store.commit(unit))

    async def delete(self, key: bytes) -> None:
        """Delete a key; one that is not there is allowed."""
        unit = Unit(0)
        unit.delete(TABLE_PLUGIN, self._prefix + key)
        await asyncio.wrap_future(self._store.commit(unit))

    async def items(self) -> list[tuple[bytes, bytes]]:
        """All pairs in key order."""
        return await asyncio.to_thread(self._items)

    def _items(self) -> list[tuple[bytes, bytes]]:
        prefix = self._prefix
        return [(key[len(prefix) :], value) for key, value in self._store.items(TABLE_PLUGIN) if key.startswith(prefix)]
