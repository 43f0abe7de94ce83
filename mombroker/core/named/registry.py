"""All named queues and services of a broker: made, changed, deleted, found; and whose they are."""

from typing import TYPE_CHECKING, Any

from mombroker.core.bindings import Binding
from mombroker.core.named import intake, records, upkeep
from mombroker.core.named.grants import Grants
from mombroker.core.named.leases import Lease
from mombroker.core.named.owners import NOBODY, Owner
from mombroker.core.named.queue import NAMED_KIND, SERVICE_KIND, NamedQueue
from mombroker.core.named.service import QUEUE_NAME_PREFIX
from mombroker.core.named.subscriptions import drop_subscriptions
from mombroker.hooks.events import QueueCreated, QueueDeleted
from mombroker.model.queues import QUEUE_PREFIX, Overflow, QueuePolicy, QueueSpec
from mombroker.mqtt.topics import check_filter
from mombroker.operations.names import check_name, is_name
from mombroker.operations.problems import BAD_POLICY, BAD_REQUEST, QUEUE_EXISTS, QUOTA, Problem

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


class PolicyAnswer:
    """The question for a named queue's policy that a hook answers later."""

    def __init__(self, registry: "NamedQueues") -> None:
        self.registry: NamedQueues = registry
        self.queue: NamedQueue | None = None

    def answer(self, policy: QueuePolicy) -> None:
        """Hold the queue to this policy from now on, but for what its maker has asked for."""
        queue = self.queue
        if queue is not None and not queue.deleted:
            self.registry.hold_to(queue, merged(policy, queue.given))
            queue.pump(queue.queue)
            self.registry.engine.wake()


class NamedQueues:
    """``queues`` by name; services are queues too, under ``svc:NAME``, which is no name that one can ask for."""

    def __init__(self, engine: "Engine") -> None:
        self.engine: Engine = engine
        self.queues: dict[str, NamedQueue] = {}
        self.leases: dict[str, Lease] = {}
        self.owners: dict[str, Owner] = {}
        self.grants: Grants = Grants(engine)

    def owner(self, name: str) -> Owner:
        """A user, as an owner of queues."""
        found = self.owners.get(name)
        if found is None:
            found = self.owners[name] = Owner(name)
        return found

    def create(self, name: str, owner: str, given: dict[str, object], filters: list[str]) -> NamedQueue:
        """Make a queue, or return the one that is there already and the same. Raises :class:`Problem`."""
        check_name(name)
        if name.startswith(QUEUE_NAME_PREFIX):
            raise Problem(BAD_REQUEST, f"{name!r} is a name for the queue of a service: make the service")
        _check_filters(filters)
        found = self.queues.get(name)
        if found is not None:
            if found.owner.name == owner and found.given == given and _filters(found) == sorted(filters):
                return found
            raise Problem(QUEUE_EXISTS, f"there is a queue {name} already, with another owner, policy or bindings")
        _check_policy(name, given)
        who = self.owner(owner)
        most = self.engine.limits.queues_per_user
        if most and who.queues >= most:
            raise Problem(QUOTA, f"{owner or 'nobody'} has {who.queues} queues, which is all that are allowed")
        queue = self._begin(name, owner, given, filters)
        self.make_dead_letter_queue(queue)
        return queue

    def _begin(self, name: str, owner: str, given: dict[str, object], filters: list[str]) -> NamedQueue:
        queue = self.make(QueueSpec(name, NAMED_KIND, True, owner or None), given)
        intake.open_main_lane(queue)
        self.open(queue)
        for topic_filter in filters:
            self.bind(queue, topic_filter)
        records.put_definition(queue)
        return queue

    def make(self, spec: QueueSpec, given: dict[str, object]) -> NamedQueue:
        """A queue without bindings, not in the store yet; asks the hooks for its policy."""
        engine = self.engine
        asked = PolicyAnswer(self)
        policy = merged(engine.hooks.queue_policy(spec, asked.answer), given)
        queue = NamedQueue(engine, spec, self.owner(spec.username or NOBODY), policy, given)
        asked.queue = queue
        self.queues[spec.name] = queue
        queue.owner.queues += 1
        engine.event(QueueCreated(engine.now, spec.name))
        return queue

    def open(self, queue: NamedQueue) -> None:
        """Bind a queue to its own topic. Its main lane is there by now."""
        if queue.spec.kind != SERVICE_KIND:
            self.bind(queue, QUEUE_PREFIX + queue.name)

    def bind(self, queue: NamedQueue, topic_filter: str) -> None:
        """Have a queue take the messages of a topic filter."""
        binding = Binding(topic_filter, queue.queue, None, 2)
        queue.bindings.append(binding)
        self.engine.router.bind(binding)

    def make_dead_letter_queue(self, queue: NamedQueue) -> None:
        """See to it that a queue's dead letters have a place to go to. It comes with the queue, whatever the quota;
        what dies there is not followed any further, or a policy hook could have queues made without end."""
        name = queue.policy.dead_letter
        if not name or name in self.queues:
            return
        if is_name(name) and not name.startswith(QUEUE_NAME_PREFIX):
            self._begin(name, queue.owner.name, {}, [])
        else:
            self.engine.log.warning(
                "a plugin names a queue of dead letters that cannot be", queue=queue.name, name=name
            )

    def hold_to(self, queue: NamedQueue, policy: QueuePolicy) -> None:
        """Hold a queue to another policy, with what it has in it."""
        queue.policy = policy
        upkeep.look_soon(queue)
        self.engine.router.forget()
        self.make_dead_letter_queue(queue)

    def change(self, queue: NamedQueue, given: dict[str, object], filters: list[str] | None) -> None:
        """Change parts of a queue's policy, and what is bound to it. Raises :class:`Problem`."""
        _check_policy(queue.name, given)
        if filters is not None:
            _check_filters(filters)
            for binding in queue.bindings[1:]:
                self.engine.router.unbind(binding)
            del queue.bindings[1:]
            for topic_filter in filters:
                self.bind(queue, topic_filter)
        if given:
            queue.given = {**queue.given, **given}
            asked = PolicyAnswer(self)
            asked.queue = queue
            self.hold_to(queue, merged(self.engine.hooks.queue_policy(queue.spec, asked.answer), queue.given))
        queue.used_at = self.engine.now
        records.put_definition(queue)
        queue.pump(queue.queue)

    def delete(self, queue: NamedQueue) -> int:
        """Delete a queue; tells how many messages went with it."""
        engine = self.engine
        count = queue.count
        queue.deleted = True
        del self.queues[queue.name]
        for binding in queue.bindings:
            engine.router.unbind(binding)
        drop_subscriptions(engine, queue)
        upkeep.end_consumers(queue)
        for lane in queue.all_lanes():
            upkeep.end_lane(queue, lane)
        if queue.seen is not None:
            queue.seen.clear(engine.barrier)
        records.drop_returns(queue)
        records.delete_definition(queue)
        queue.owner.change(-queue.count, -queue.bytes)
        queue.owner.queues -= 1
        engine.event(QueueDeleted(engine.now, queue.name))
        return count

    def due(self, name: str) -> None:
        """Something is to happen in a queue, unless that was meant for an earlier time."""
        queue = self.queues.get(name)
        if queue is not None and queue.timer_at and queue.timer_at <= self.engine.now:
            upkeep.tick(queue)


def merged(policy: QueuePolicy, given: dict[str, object]) -> QueuePolicy:
    """A policy with the parts that were asked for."""
    if not given:
        return policy
    fields: dict[str, Any] = {
        "max_messages": policy.max_messages,
        "max_bytes": policy.max_bytes,
        "message_ttl": policy.message_ttl,
        "overflow": policy.overflow,
        "expires": policy.expires,
        "lease": policy.lease,
        "max_leased": policy.max_leased,
        "max_deliveries": policy.max_deliveries,
        "retry_delay": policy.retry_delay,
        "dead_letter": policy.dead_letter,
        "dedup_window": policy.dedup_window,
        "single_active": policy.single_active,
    }
    fields.update(given)
    fields["overflow"] = Overflow(fields["overflow"])
    return QueuePolicy(**fields)


def _check_policy(name: str, given: dict[str, object]) -> None:
    target = given.get("dead_letter")
    if isinstance(target, str) and target:
        check_name(target)
        if target.startswith(QUEUE_NAME_PREFIX):
            raise Problem(BAD_POLICY, f"{target!r} is a name for the queue of a service, not for one of dead letters")
        if target == name:
            raise Problem(BAD_POLICY, f"the queue {name} cannot be its own queue of dead letters")


def _check_filters(filters: list[str]) -> None:
    for topic_filter in filters:
        if topic_filter[:1] == "$" or not check_filter(topic_filter):
            raise Problem(BAD_REQUEST, f"{topic_filter[:200]!r} is no topic filter that a queue can be bound to")
    if len(set(filters)) < len(filters):
        raise Problem(BAD_REQUEST, "a topic filter is given twice")


def _filters(queue: NamedQueue) -> list[str]:
    return sorted([binding.filter for binding in queue.bindings[1:]])
