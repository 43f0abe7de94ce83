"""Any sequence of operations leaves a store with what a few dictionaries would hold."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from store_driver import HEAD, Place, message, pages, stored

from mombroker.model.unit import TABLES
from mombroker_storage import LmdbStore, MemoryStore

QUEUES = st.integers(1, 4)
KEYS = st.binary(max_size=3) | st.builds(lambda end: b"k" * 405 + end, st.binary(max_size=2))


class StoreMachine(RuleBasedStateMachine):
    """Builds units step by step, commits them, and compares all that can be read with the model."""

    factory = LmdbStore

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="mombroker-model-"))
        self.place = Place(type(self).factory, self.directory)
        self.queues: dict[int, dict[int, tuple[bytes, int]]] = {queue: {} for queue in range(1, 5)}
        self.states: dict[tuple[int, bytes], bytes] = {}
        self.ids = {queue: queue for queue in range(1, 5)}
        self.next_position = 0
        self.next_body = 0
        self.next_queue = 10

    @initialize()
    def begin(self):
        self.unit = self.place.unit()

    def teardown(self):
        self.place.close()
        shutil.rmtree(self.directory)

    @rule(queue=QUEUES, count=st.integers(1, 40), gap=st.sampled_from([0, 0, 0, 1, 70, 3000]), size=st.integers(0, 300))
    def append(self, queue, count, gap, size):
        self.next_position += gap
        for _ in range(count):
            body = b"%d" % self.next_position + b"." * size
            self.unit.append(self.ids[queue], self.next_position, HEAD, message(body))
            self.queues[queue][self.next_position] = (body, 0)
            self.next_position += 1

    @rule(queues=st.sets(QUEUES, min_size=1), size=st.integers(0, 300))
    def append_shared(self, queues, size):
        self.next_body += 1
        shared = message(b"shared %d" % self.next_body + b"." * size, self.next_body)
        for queue in queues:
            self.unit.append(self.ids[queue], self.next_position, HEAD, shared)
            self.queues[queue][self.next_position] = (shared.payload, shared.body_id)
        self.next_position += 1

    @rule(queue=QUEUES, count=st.integers(1, 60), step=st.integers(1, 3), data=st.data())
    def settle(self, queue, count, step, data):
        live = list(self.queues[queue])
        if not live:
            return
        start = data.draw(st.integers(0, len(live) - 1))
        for position in live[start : start + count : step]:
            _, body_id = self.queues[queue].pop(position)
            self.unit.settle(self.ids[queue], position, body_id)

    @rule(queue=QUEUES)
    def drop(self, queue):
        self.unit.drop_queue(self.ids[queue])
        self.queues[queue] = {}
        self.next_queue += 1
        self.ids[queue] = self.next_queue

    @rule(table=st.sampled_from(TABLES), key=KEYS, value=st.none() | st.binary(max_size=10))
    def put(self, table, key, value):
        if value is None:
            self.unit.delete(table, key)
            self.states.pop((table, key), None)
        else:
            self.unit.put(table, key, value)
            self.states[(table, key)] = value

    @rule(reopen=st.booleans())
    def commit(self, reopen):
        self.place.commit(self.unit)
        self.unit = self.place.unit()
        if reopen:
            self.place.reopen()
        self.compare()

    def compare(self):
        for queue, expected in self.queues.items():
            records, damaged = pages(self.place, self.ids[queue], max_records=17)
            assert damaged == []
            assert [(record.position, record.body, record.body_id) for record in records] == [
                (position, stored(body), body_id) for position, (body, body_id) in sorted(expected.items())
            ]
        for table in TABLES:
            expected = sorted((key, value) for (own, key), value in self.states.items() if own == table)
            assert list(self.place.store.items(table)) == expected

    @invariant()
    def nothing_is_damaged(self):
        assert self.place.reported == []


@pytest.mark.parametrize("factory", [LmdbStore, lambda directory: MemoryStore()], ids=["lmdb", "memory"])
def test_a_store_holds_what_a_few_dictionaries_would(factory):
    machine = type("Machine", (StoreMachine,), {"factory": staticmethod(factory)})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=100, stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )
