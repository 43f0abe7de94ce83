"""What a full queue does with one message too many."""

from typing import TYPE_CHECKING

from mombroker.core.bindings import Binding
from mombroker.model.message import Message
from mombroker.model.queues import Overflow

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


def make_room(engine: "Engine", target: Binding, message: Message) -> bool:
    """Apply a full queue's policy. Tells whether the message may be appended; every drop is counted."""
    queue = target.queue
    if engine.overflow(queue, message) is Overflow.DROP_OLDEST:
        while not queue.has_room(message.size()):
            oldest = queue.front()
            if oldest is None:
                break
            queue.pop_front()
            engine.drop_ref(oldest, "overflow")
        if queue.has_room(message.size()):
            return True
        if queue.is_spilled():
            if queue.may_load(engine.barrier.committed):
                engine.load(queue)
            return True
    engine.dropped(queue.spec.name, message.topic, "overflow", 1)
    return False
