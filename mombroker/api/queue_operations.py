"""Operations on named queues and grants."""

from msgspec import UNSET, structs

from mombroker.api.caller import Caller
from mombroker.api.contents import stored_message
from mombroker.api.context import ApiContext
from mombroker.core.named import deaths, upkeep
from mombroker.core.named.access import queue_resource
from mombroker.core.named.consumers import Pull
from mombroker.core.named.leases import Lease
from mombroker.core.named.queue import NamedQueue
from mombroker.model.identity import CONFIGURE, READ, WRITE
from mombroker.operations import queues as ops
from mombroker.operations.names import check_pattern, matches
from mombroker.operations.problems import NO_SUCH_QUEUE, QUEUE_IN_USE, Problem

REDRIVEN_AT_ONCE = 256


class QueueOperations:
    """Made, changed, listed, emptied, deleted."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def create(self, caller: Caller, request: ops.CreateQueue) -> ops.QueueInfo:
        """Make a queue."""
        context = self._context
        engine = context.enter()
        if request.queue in engine.named.queues:
            await context.queue(caller, CONFIGURE, request.queue)
        else:
            await context.may_make(caller, queue_resource(request.queue))
        for topic_filter in request.bindings:
            await self._may_bind(caller, topic_filter)
        await self._may_bury(caller, request.policy)
        queue = engine.named.create(request.queue, caller.user, given(request.policy), list(request.bindings))
        await context.on_disk(True)
        return await self._info(queue)

    async def _may_bind(self, caller: Caller, topic_filter: str) -> None:
        """Whoever binds a queue to topics gets their messages: that takes the right to subscribe."""
        await self._context.check(caller, "subscribe", topic_filter, True)

    async def _may_bury(self, caller: Caller, policy: ops.Policy) -> None:
        """Dead letters make room for themselves: that takes the right to write to the queue they go to."""
        target = policy.dead_letter
        if target is not UNSET and target in self._context.enter().named.queues:
            await self._context.queue(caller, WRITE, target)

    async def get(self, caller: Caller, request: ops.GetQueue) -> ops.QueueInfo:
        """Tell everything about a queue."""
        return await self._info(await self._context.queue(caller, READ, request.queue))

    async def list_queues(self, caller: Caller, request: ops.ListQueues) -> ops.QueueList:
        """List the queues that the caller may read or change."""
        engine = self._context.enter()
        check_pattern(request.pattern)
        names = sorted(
            name
            for name, queue in engine.named.queues.items()
            if name > request.after and queue.service is None and matches(request.pattern, name)
        )
        found: list[ops.QueueInfo] = []
        for name in names:
            queue = await self._visible(caller, name)
            if queue is None:
                continue
            if len(found) == request.limit:
                return ops.QueueList(queues=tuple(found), more=True)
            found.append(await self._info(queue))
        return ops.QueueList(queues=tuple(found), more=False)

    async def _visible(self, caller: Caller, name: str) -> NamedQueue | None:
        for action in (READ, CONFIGURE, WRITE):
            try:
                return await self._context.queue(caller, action, name)
            except Problem:
                continue
        return None

    async def change(self, caller: Caller, request: ops.ChangeQueue) -> ops.QueueInfo:
        """Change a queue."""
        context = self._context
        filters = None if request.bindings is UNSET else list(request.bindings)
        for topic_filter in filters or ():
            await self._may_bind(caller, topic_filter)
        await self._may_bury(caller, request.policy)
        queue = await context.queue(caller, CONFIGURE, request.queue)
        context.engine.named.change(queue, given(request.policy), filters)
        await context.on_disk(True)
        return await self._info(queue)

    async def purge(self, caller: Caller, request: ops.PurgeQueue) -> ops.Count:
        """Drop every message that no consumer has."""
        queue = await self._context.queue(caller, CONFIGURE, request.queue)
        count = upkeep.purge(queue)
        await self._context.on_disk(True)
        return ops.Count(count=count)

    async def delete(self, caller: Caller, request: ops.DeleteQueue) -> ops.Count:
        """Delete a queue."""
        context = self._context
        queue = await context.queue(caller, CONFIGURE, request.queue)
        if request.if_empty and queue.count:
            raise Problem(QUEUE_IN_USE, f"the queue {queue.name} holds {queue.count} messages")
        if request.if_unused and upkeep.is_in_use(queue):
            raise Problem(QUEUE_IN_USE, f"the queue {queue.name} has consumers")
        count = context.engine.named.delete(queue)
        await context.on_disk(True)
        return ops.Count(count=count)

    async def redrive(self, caller: Caller, request: ops.RedriveQueue) -> ops.Count:
        """Move dead letters back to where they came from."""
        context = self._context
        queue = await context.queue(caller, CONFIGURE, request.queue)
        count = 0
        stay: list[Lease] = []
        try:
            while not request.limit or count < request.limit:
                most = REDRIVEN_AT_ONCE if not request.limit else min(REDRIVEN_AT_ONCE, request.limit - count)
                leases = await self._take(queue, most)
                if not leases:
                    break
                for lease in leases:
                    queue.end_lease(lease)
                    if deaths.redrive(queue, lease.ref):
                        count += 1
                    else:
                        stay.append(lease)
                await context.on_disk(True)
                context.enter()
        finally:
            for lease in stay:
                if not queue.deleted:
                    queue.let_go(lease.ref)
                    queue.make_ready(lease.ref)
            queue.pump(queue.queue)
            context.engine.wake()
        return ops.Count(count=count)

    async def _take(self, queue: NamedQueue, limit: int) -> list[Lease]:
        """Take messages out, none if none is there."""
        pull = _Taken(self._context, queue, limit)
        queue.pulls.append(pull)
        queue.attach()
        self._context.engine.wake()
        leases: list[Lease] = await pull.future
        self._context.enter()
        return leases

    # -- grants

    async def put_grant(self, caller: Caller, request: ops.PutGrant) -> ops.Done:
        """Let another user use one's own queues."""
        engine = self._context.enter()
        engine.named.grants.put(caller.user, request.user, check_pattern(request.pattern), list(request.rights))
        await self._context.on_disk(True)
        return ops.Done()

    async def delete_grant(self, caller: Caller, request: ops.DeleteGrant) -> ops.Done:
        """Take a grant back; one that is not there is gone already."""
        engine = self._context.enter()
        engine.named.grants.delete(caller.user, request.user, request.pattern)
        await self._context.on_disk(True)
        return ops.Done()

    async def list_grants(self, caller: Caller, request: ops.ListGrants) -> ops.GrantList:
        """List the grants that the caller has given."""
        engine = self._context.enter()
        grants = tuple(
            ops.Grant(owner=caller.user, user=user, pattern=pattern, rights=_rights(rights))
            for user, pattern, rights in engine.named.grants.of(caller.user)
        )
        return ops.GrantList(grants=grants)

    # -- numbers

    async def _info(self, queue: NamedQueue) -> ops.QueueInfo:
        return ops.QueueInfo(
            queue=queue.name,
            owner=queue.owner.name,
            created_at=queue.created_at,
            policy=policy_of(queue),
            bindings=tuple(binding.filter for binding in queue.bindings[1:]),
            numbers=await self._numbers(queue),
        )

    async def _numbers(self, queue: NamedQueue) -> ops.QueueNumbers:
        numbers = queue.numbers
        oldest = await self._oldest(queue)
        now = self._context.enter().now
        delayed = queue.wheel.waiting() + len(queue.loose.later)
        return ops.QueueNumbers(
            depth=queue.count,
            ready=max(queue.count - queue.leased() - delayed, 0),
            leased=queue.leased(),
            delayed=delayed,
            bytes=queue.bytes,
            oldest_age=max(now - oldest, 0.0) if oldest else 0.0,
            consumers=len(queue.consumers),
            enqueued=numbers.enqueued,
            delivered=numbers.delivered,
            acked=numbers.acked,
            redelivered=numbers.redelivered,
            expired=numbers.expired,
            dead_lettered=numbers.dead_lettered,
            dropped=numbers.dropped,
            duplicates=numbers.duplicates,
            enqueue_rate=numbers.enqueue_rate.per_second(now),
            ack_rate=numbers.ack_rate.per_second(now),
        )

    async def _oldest(self, queue: NamedQueue) -> float:
        """When the oldest message came in; 0.0 for an empty queue."""
        times: list[float] = []
        for lane in queue.all_lanes():
            if lane.count:
                page = await self._context.read(lane.id, 0, 1, 1)
                times += [stored_message(queue, lane, record).enqueued_at for record in page.records]
        return min(times, default=0.0)


class _Taken(Pull):
    """Takes what is there for the broker itself."""

    def __init__(self, context: ApiContext, queue: NamedQueue, limit: int) -> None:
        engine = context.engine
        super().__init__(f"redrive:{engine.new_id():x}", None, limit, 0.0, engine.now)
        self.future = context.future()

    def arrived(self, leases: list[Lease]) -> None:
        """These were there."""
        if not self.future.done():
            self.future.set_result(leases)

    def queue_deleted(self) -> None:
        """Nothing is there any more."""
        if not self.future.done():
            self.future.set_exception(Problem(NO_SUCH_QUEUE, "the queue was deleted"))


def given(policy: ops.Policy) -> dict[str, object]:
    """What of a policy was asked for."""
    return {name: value for name, value in structs.asdict(policy).items() if value is not UNSET}


def policy_of(queue: NamedQueue) -> ops.Policy:
    """The policy that a queue is held to."""
    fields = {name: getattr(queue.policy, name) for name in ops.Policy.__struct_fields__}
    fields["overflow"] = fields["overflow"].value
    return ops.Policy(**fields)


def _rights(rights: list[str]) -> tuple[ops.Right, ...]:
    return tuple(right for right in ("configure", "write", "read") if right in rights)
