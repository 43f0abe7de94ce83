"""The simulated disk: what MemoryStore does, with what a transaction of LMDB promises when the power goes.

A unit is applied as a whole or not at all. What was handed over and not applied is lost in a crash. A test may plant a
lie: a unit that is reported as written and is not.
"""

from collections.abc import Iterator

from mombroker.model.store import Page
from mombroker.model.unit import Unit
from mombroker_storage.memory import MemoryStore


class Disk:
    """What survives a crash. ``lies``: numbers of commits that are reported as written and are not."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.commits = 0
        self.lies: set[int] = set()

    def write(self, unit: Unit) -> None:
        """Apply a unit."""
        self.commits += 1
        if self.commits not in self.lies:
            self.store.commit(unit)

    def page(self, queue_id: int, first: int, max_records: int, max_bytes: int) -> Page:
        """Read a page of a queue as it is now."""
        return self.store.read(queue_id, first, max_records, max_bytes).result()

    def leftovers(self) -> Iterator[str]:
        """What should not be there when every queue is empty: records that nobody settled, bodies nobody refers to."""
        for queue_id, queue in self.store._queues.items():
            if queue.stretches:
                yield f"queue {queue_id} has records left"
        if self.store._bodies:
            yield f"{len(self.store._bodies)} shared bodies are left"
