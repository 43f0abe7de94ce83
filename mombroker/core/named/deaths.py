"""Dead letters: messages that expired, did not fit, or that nobody could handle, and their way back."""

from typing import TYPE_CHECKING

from mombroker.core.named import intake
from mombroker.core.named.meta import DEATHS_KEPT, Meta
from mombroker.core.named.moving import BURIAL, REDRIVE, Move, move, put_off
from mombroker.core.queue import Ref
from mombroker.hooks.events import MessageDeadLettered
from mombroker.model.message import Message

if TYPE_CHECKING:
    from mombroker.core.named.queue import NamedQueue


def expire(queue: "NamedQueue", ref: Ref) -> None:
    """A message has waited too long. It is held by nobody."""
    queue.numbers.expired += 1
    if queue.service is not None:
        queue.service.expired(ref)
    elif queue.policy.dead_letter:
        bury(queue, ref, "expired")
    else:
        queue.engine.drop_ref(ref, "expired")


def bury(queue: "NamedQueue", ref: Ref, reason: str) -> None:
    """A message becomes a dead letter: it moves to the queue for those, in one unit of work, or is dropped and counted
    if there is none. A full queue of dead letters loses its oldest ones: a dead letter is refused to nobody."""
    if queue.service is not None:
        queue.service.in_vain(ref, reason)
        return
    engine = queue.engine
    target = engine.named.queues.get(queue.policy.dead_letter)
    message = ref.message
    if target is None or target is queue:
        queue.numbers.dropped += 1
        engine.drop_ref(ref, reason if reason in ("expired", "overflow") else "dead-letter")
        return
    why = Move(BURIAL, reason)
    if engine.barrier.refusing:
        put_off(queue, ref, why)
        return
    queue.numbers.dead_lettered += 1
    meta = _epitaph(queue, ref, reason)
    intake.enter(target)
    move(queue, ref, target, _buried(message), meta, why)
    intake.drop_oldest(target)
    engine.event(MessageDeadLettered(engine.now, queue.name, target.name, message.topic, meta.id, reason))
    target.pump(target.queue)


def _epitaph(queue: "NamedQueue", ref: Ref, reason: str) -> Meta:
    old = queue.meta(ref)
    meta = Meta()
    meta.id = queue.id_of(ref)
    meta.priority = old.priority
    meta.key = old.key
    meta.since = queue.engine.now
    death = (queue.name, reason, queue.engine.now, queue.deliveries(ref))
    meta.deaths = [*old.deaths, death][-DEATHS_KEPT:]
    return meta


def _buried(message: Message) -> Message:
    """The message, without the expiry that may have killed it."""
    if message.expires_at == 0.0:
        return message
    return Message(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        message.properties,
        message.published_at,
        0.0,
        message.publisher,
        message.topic_bytes,
    )


def redrive(queue: "NamedQueue", ref: Ref) -> bool:
    """Move a dead letter, taken out of what waits, back to the queue it came from. False: that queue is gone or full,
    or the message is no dead letter; it stays."""
    engine = queue.engine
    old = queue.meta(ref)
    if not old.deaths:
        return False
    target = engine.named.queues.get(old.deaths[-1][0])
    if target is None or target is queue:
        return False
    meta = Meta()
    meta.id = old.id
    meta.priority = old.priority
    meta.key = old.key
    meta.since = engine.now
    meta.deaths = old.deaths
    if engine.barrier.refusing or intake.refusal_of(target, 1, ref.message.size(), ref.message):
        return False
    intake.enter(target)
    move(queue, ref, target, ref.message, meta, Move(REDRIVE))
    target.pump(target.queue)
    return True
