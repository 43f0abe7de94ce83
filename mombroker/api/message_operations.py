"""Operations on messages: in, out, settled, looked at; and publishing to topics."""

import asyncio
import contextlib
from collections.abc import Iterable

from mombroker.api.caller import Caller
from mombroker.api.contents import check_size, in_message, message_of, properties_of, stored_message
from mombroker.api.context import ApiContext
from mombroker.api.streams import ApiPull, give_back
from mombroker.core.named import intake
from mombroker.core.named.leases import Lease
from mombroker.core.named.meta import Meta
from mombroker.core.named.queue import LONGEST_REASON, NamedQueue
from mombroker.core.named.upkeep import schedule
from mombroker.core.publishing import distribute, retain, room_everywhere
from mombroker.core.queue import PAGE_BYTES, PAGE_RECORDS, Queue
from mombroker.core.rights import find_unknown_receiver
from mombroker.core.router import Route
from mombroker.model.identity import PUBLISH, READ, WRITE, Refusal
from mombroker.model.message import Message
from mombroker.model.reasons import reason_name
from mombroker.mqtt.errors import ProtocolError
from mombroker.operations import messages as ops
from mombroker.operations.problems import (
    BAD_REQUEST,
    FORBIDDEN,
    NO_SUCH_MESSAGE,
    QUEUE_FULL,
    UNKNOWN_LEASE,
    Problem,
)


class MessageOperations:
    """Put in, taken out, settled, looked at."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def enqueue(self, caller: Caller, request: ops.Enqueue) -> ops.Enqueued:
        """Put messages into a queue: all of them, or none."""
        context = self._context
        queue = await context.queue(caller, WRITE, request.queue)
        context.check_room()
        made = [message_of(queue, out, caller.identity.client_id) for out in request.messages]
        _check_refusal(queue, made)
        ids: list[str] = []
        duplicates: list[str] = []
        for message, meta in made:
            message_id = intake.enqueue(queue, message, meta)
            ids.append(message_id or meta.id)
            if not message_id:
                duplicates.append(meta.id)
        queue.pump(queue.queue)
        await context.on_disk(False)
        return ops.Enqueued(ids=tuple(ids), duplicates=tuple(duplicates))

    async def pull(self, caller: Caller, request: ops.Pull) -> ops.Messages:
        """Take messages out of a queue."""
        context = self._context
        queue = await context.queue(caller, READ, request.queue)
        engine = context.engine
        future = context.future()
        deadline = engine.now + request.wait
        key = f"pull:{caller.user}:{caller.identity.client_id}"
        pull = ApiPull(future, key, caller, request.limit, request.lease, deadline)
        queue.pulls.append(pull)
        queue.attach()
        engine.wake()
        try:
            leases: list[Lease] = await future
        except asyncio.CancelledError:
            self._abandon(queue, pull)
            raise
        return ops.Messages(
            messages=tuple(in_message(queue, lease.ref, lease.token, lease.deliveries) for lease in leases)
        )

    def _abandon(self, queue: NamedQueue, pull: ApiPull) -> None:
        """Whoever pulled has gone: what it would have got is for others."""
        pull.ended = True
        if self._context.closing:
            return
        engine = self._context.enter()
        queue.pulls = [other for other in queue.pulls if other is not pull]
        if pull.future.done() and not pull.future.cancelled() and pull.future.exception() is None:
            give_back(pull.future.result())
        engine.wake()

    async def ack(self, caller: Caller, request: ops.Ack) -> ops.Settled:
        """The messages are handled."""
        known, unknown = self._leases(caller, request.leases)
        for lease in known:
            lease.queue.end_lease(lease)
            lease.queue.ack(lease.ref)
        return await self._settled(known, unknown)

    async def nack(self, caller: Caller, request: ops.Nack) -> ops.Settled:
        """The messages could not be handled."""
        known, unknown = self._leases(caller, request.leases)
        reason = request.reason[:LONGEST_REASON]
        for lease in known:
            queue = lease.queue
            queue.end_lease(lease)
            if request.dead_letter:
                queue.reject(lease.ref, reason or "rejected")
            else:
                delay = queue.policy.retry_delay if request.delay is None else request.delay
                queue.nack(lease.ref, delay, reason)
        return await self._settled(known, unknown)

    async def extend(self, caller: Caller, request: ops.Extend) -> ops.Settled:
        """Have the messages for longer."""
        known, unknown = self._leases(caller, request.leases)
        deadline = self._context.engine.now + request.seconds
        for lease in known:
            lease.queue.leases.extend(lease, deadline)
            schedule(lease.queue)
        return ops.Settled(settled=len(known), unknown=tuple(unknown))

    def _leases(self, caller: Caller, tokens: Iterable[str]) -> tuple[list[Lease], list[str]]:
        """The leases that are the caller's, and what is none (any more)."""
        engine = self._context.enter()
        known: dict[str, Lease] = {}
        unknown: list[str] = []
        for token in tokens:
            lease = engine.named.leases.get(token)
            if lease is None or lease.username != caller.identity.username or token in known:
                unknown.append(token)
            else:
                known[token] = lease
        if not known:
            raise Problem(UNKNOWN_LEASE, f"{unknown[0]!r} is no lease of yours: it has run out, or was settled before")
        return list(known.values()), unknown

    async def _settled(self, known: list[Lease], unknown: list[str]) -> ops.Settled:
        for queue in {id(lease.queue): lease.queue for lease in known}.values():
            queue.pump(queue.queue)
        await self._context.on_disk(True)
        return ops.Settled(settled=len(known), unknown=tuple(unknown))

    # -- looking

    async def peek(self, caller: Caller, request: ops.Peek) -> ops.Messages:
        """Look at messages without taking them."""
        queue = await self._context.queue(caller, READ, request.queue)
        found: list[ops.InMessage] = []
        for lane in _in_order(queue):
            first = 0
            while len(found) < request.limit:
                page = await self._context.read(lane.id, first, request.limit - len(found), PAGE_BYTES)
                found += [stored_message(queue, lane, record) for record in page.records]
                first = page.next_position
                if page.at_end:
                    break
        return ops.Messages(messages=tuple(found[: request.limit]))

    async def find(self, caller: Caller, request: ops.FindMessage) -> ops.InMessage:
        """Look for a message by its id: at its place, or else everywhere."""
        queue = await self._context.queue(caller, READ, request.queue)
        found = await self._at_place(queue, request.id) or await self._anywhere(queue, request.id)
        if found is None:
            raise Problem(NO_SUCH_MESSAGE, f"the queue {queue.name} holds no message {request.id!r}")
        return found

    async def _at_place(self, queue: NamedQueue, message_id: str) -> ops.InMessage | None:
        lane_id, _, position = message_id.partition("-")
        for lane in queue.all_lanes():
            if f"{lane.id:x}" != lane_id:
                continue
            with contextlib.suppress(ValueError):
                page = await self._context.read(lane.id, int(position, 16), 1, 1)
                for record in page.records:
                    found = stored_message(queue, lane, record)
                    if found.id == message_id:
                        return found
        return None

    async def _anywhere(self, queue: NamedQueue, message_id: str) -> ops.InMessage | None:
        for lane in queue.all_lanes():
            first = 0
            at_end = lane.count == 0
            while not at_end:
                page = await self._context.read(lane.id, first, PAGE_RECORDS, PAGE_BYTES)
                for record in page.records:
                    found = stored_message(queue, lane, record)
                    if found.id == message_id:
                        return found
                first, at_end = page.next_position, page.at_end
        return None

    # -- topics

    async def publish(self, caller: Caller, request: ops.Publish) -> ops.Published:
        """Publish to an MQTT topic."""
        context = self._context
        engine = context.enter()
        try:
            route = engine.router.route(request.topic.encode())
        except ProtocolError as error:
            raise Problem(BAD_REQUEST, f"{request.topic[:200]!r} is no topic: {error.detail}") from error
        if route.reserved:
            raise Problem(FORBIDDEN, f"nobody may publish to {request.topic[:200]!r}: use the operations")
        await context.check(caller, PUBLISH, request.topic, True)
        message = await self._seen(caller, self._message(caller, request))
        route = await self._route(message)
        if engine.barrier.refusing and (route.durable or message.retain):
            context.check_room()
        if (route.may_reject or engine.hooks.decides_overflow) and not room_everywhere(engine, message, route):
            raise Problem(QUEUE_FULL, f"a queue that takes {message.topic!r} is full")
        if message.retain:
            retain(engine, message)
        matched = distribute(engine, message, route, None)
        if message.qos:
            await context.on_disk(False)
        else:
            engine.wake()
        return ops.Published(matched=matched)

    def _message(self, caller: Caller, request: ops.Publish) -> Message:
        engine = self._context.engine
        limits = engine.limits
        if request.retain and not limits.retain_available:
            raise Problem(BAD_REQUEST, "retained messages are switched off")
        now = engine.now
        expires_at = now + request.ttl if request.ttl else 0.0
        if limits.max_message_age:
            expires_at = min(expires_at or now + limits.max_message_age, now + limits.max_message_age)
        payload = check_size(request.content(), limits.max_packet_size)
        qos = min(request.qos, limits.maximum_qos)
        publisher = caller.identity.client_id
        return Message(request.topic, payload, qos, request.retain, properties_of(request), now, expires_at, publisher)

    async def _seen(self, caller: Caller, message: Message) -> Message:
        """The message as the hooks leave it."""
        hooks = self._context.hooks
        if not hooks.sees_publish:
            return message
        seen = await self._context.ask_hooks(lambda answer: hooks.on_publish(message, caller.identity, answer))
        if isinstance(seen, Refusal):
            raise Problem(FORBIDDEN, f"the publish was refused: {seen.message or reason_name(seen.reason)}")
        found: Message = seen
        return found

    async def _route(self, message: Message) -> Route:
        """Where a message goes, once it is known who may receive it."""
        context = self._context
        while True:
            engine = context.enter()
            route = engine.router.route(message.topic_bytes)
            if not engine.hooks.authorizes or find_unknown_receiver(engine, route) is None:
                return route
            await context.receivers_known()


def _check_refusal(queue: NamedQueue, made: list[tuple[Message, Meta]]) -> None:
    count = 0
    size = 0
    for message, meta in made:
        if not intake.is_repetition(queue, meta):
            count += 1
            size += message.size()
    code = intake.refusal_of(queue, count, size, made[0][0]) if count else ""
    if code:
        raise Problem(code, intake.refusal_detail(queue, code))


def _in_order(queue: NamedQueue) -> list[Queue]:
    """The lanes in the order in which messages are delivered, more or less; delayed ones last."""
    lanes = [lane for lane in reversed(queue.lanes) if lane is not None]
    delayed = [queue.wheel.buckets[place] for place in sorted(queue.wheel.buckets, key=lambda place: place[1])]
    wheel = queue.wheel
    return [*wheel.out.values(), *wheel.due.values(), *lanes, *delayed, *wheel.moving.values()]
