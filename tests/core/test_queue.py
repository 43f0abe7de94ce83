"""The queue against a naive one: whatever is appended, taken, settled, spilled, read back and forgotten."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mombroker.core.barrier import Barrier
from mombroker.core.queue import Consumer, Queue, Ref
from mombroker.model.message import Message
from mombroker.model.queues import QueuePolicy, QueueSpec
from mombroker_storage.memory import MemoryStore

BIG = b"x" * 700_000
"""Three of these fill what a queue keeps in memory."""

STEPS = st.lists(
    st.sampled_from(
        ["append", "append", "append", "take", "take", "settle", "commit", "load", "arrive", "leave", "come"]
    ),
    max_size=50,
)


@settings(max_examples=80)
@given(STEPS, st.booleans())
def test_a_queue_gives_out_every_message_once_in_order(steps: list[str], durable: bool) -> None:
    store = MemoryStore()
    barrier = Barrier(False)
    queue = Queue(1, QueueSpec("q", "session", durable), QueuePolicy(), Consumer())
    queue.attached = True
    waiting: list[str] = []
    taken: list[Ref] = []
    pending = None
    number = 0

    def commit() -> None:
        unit = barrier.hand_over()
        store.commit(unit)
        barrier.completed()

    for step in [*steps, "come", "commit", "arrive", "commit"]:
        if step == "append":
            text = str(number)
            number += 1
            waiting.append(text)
            ref = queue.append(barrier, Message(text, BIG), 1, False, b"", 0)
            if ref is not None:
                queue.push(ref)
        elif step == "take":
            front = queue.front()
            if front is not None:
                assert front.message.topic == waiting.pop(0)
                queue.pop_front()
                taken.append(front)
        elif step == "settle" and taken:
            queue.settle(barrier, taken.pop(0))
        elif step == "commit":
            commit()
        elif step == "load" and pending is None and queue.may_load(barrier.committed):
            queue.loading = True
            pending = (store.read(1, queue.loaded_to, 2, 2_000_000).result(), queue.committed)
        elif step == "arrive" and pending is not None:
            queue.loading = False
            if queue.stale:
                queue.stale = False
            else:
                queue.absorb(pending[0].records, pending[0].next_position, pending[0].at_end, pending[1])
            pending = None
        elif step == "leave" and durable and queue.attached:
            queue.rewind(barrier)
            waiting = [ref.message.topic for ref in taken] + waiting
            waiting.sort(key=int)
            taken.clear()
        elif step == "come":
            queue.attached = True
        assert queue.count == len(waiting) + len(taken)
        assert len(queue.ready) - queue.ready_head + len(queue.tail or ()) <= 12
    while waiting:
        front = queue.front()
        if front is None:
            commit()
            assert queue.may_load(barrier.committed), "it never goes on"
            page = store.read(1, queue.loaded_to, 2, 2_000_000).result()
            queue.absorb(page.records, page.next_position, page.at_end, queue.committed)
            continue
        assert front.message.topic == waiting.pop(0)
        queue.pop_front()
        taken.append(front)
    for ref in taken:
        queue.settle(barrier, ref)
    commit()
    assert (queue.count, queue.bytes) == (0, 0)
    assert store.read(1, 0, 10, 1000).result().records == []
