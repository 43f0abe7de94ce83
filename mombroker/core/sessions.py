"""The life of sessions: begun, resumed, kept in the store, ended, restored after a restart."""

from typing import TYPE_CHECKING, Any, cast

from mombroker.core.barrier import QUEUE_KEY, TALLY
from mombroker.core.bindings import Binding
from mombroker.core.named import restore as named_queues
from mombroker.core.queue import RELEASED, leased_ref, released_ref
from mombroker.core.records import digest, dump, inflight_from_record, load, queue_from_record
from mombroker.core.session import NEVER, Session
from mombroker.core.shared import SharedGroup
from mombroker.core.subscribing import add_subscription, remove_subscription
from mombroker.core.timers import RETAINED_EXPIRY, SESSION_EXPIRY, WILL
from mombroker.core.wills import will_from_fields
from mombroker.hooks.events import SessionEnded
from mombroker.model.identity import Identity
from mombroker.model.message import message_from_body
from mombroker.model.queues import SHARED_PREFIX, QueueSpec
from mombroker.model.store import Store
from mombroker.model.unit import (
    TABLE_INFLIGHT,
    TABLE_QUEUE,
    TABLE_RETAINED,
    TABLE_SESSION,
    TABLE_SUBSCRIPTION,
    TABLE_TALLY,
)
from mombroker.mqtt.topics import split_shared

if TYPE_CHECKING:
    from mombroker.core.engine import Engine


def begin(engine: "Engine", client_id: str, identity: Identity, version: int, expiry: int) -> Session:
    """A new session. It is durable if it is to outlive its connection."""
    session = Session(engine, client_id, identity, version, expiry > 0)
    session.expiry = expiry
    engine.sessions[client_id] = session
    return session


def persist(engine: "Engine", session: Session) -> None:
    """Put a durable session's state into the open unit."""
    if not session.durable:
        return
    if not session.queue.registered:
        engine.barrier.register(session.queue)
    identity = session.identity
    will = session.will
    record = {
        "client_id": session.client_id,
        "username": identity.username,
        "roles": sorted(identity.roles),
        "version": session.version,
        "expiry": session.expiry,
        "connected": session.connection is not None,
        "disconnected_at": session.disconnected_at,
        "will": will.fields() if will is not None else None,
    }
    barrier = engine.barrier
    barrier.unit.put(TABLE_SESSION, engine.key_of(session), dump(record))
    queue = session.queue
    if session.connection is None and queue.count and queue.touched != barrier.number:
        barrier.touch(queue)  # from now on the record does not say any more that all may have been sent


def end(engine: "Engine", session: Session) -> None:
    """A session is over: its subscriptions, its queue and its records go."""
    session.ended = True
    engine.sessions.pop(session.client_id, None)
    engine.timers.forget(SESSION_EXPIRY, session.client_id)
    engine.timers.forget(WILL, session.client_id)
    unit = engine.barrier.unit
    key = engine.key_of(session)
    session.give_up_leases()
    for topic_filter in list(session.subscriptions):
        remove_subscription(engine, session, topic_filter)
        if session.durable:
            unit.delete(TABLE_SUBSCRIPTION, key + digest(topic_filter))
    if session.durable:
        unit.delete(TABLE_SESSION, key)
        unit.delete(TABLE_INFLIGHT, key)
        engine.barrier.session_ended(session.client_id)
    engine.delete_queue(session.queue)
    engine.event(SessionEnded(engine.now, session.client_id))


def restore(engine: "Engine", store: Store) -> None:
    """Rebuild sessions, subscriptions, queues and retained messages from a store.

    Time and memory grow with their number, never with the number of queued messages. A session that was connected
    when the broker stopped counts as disconnected now.
    """
    tallies = {key: TALLY.unpack(value) for key, value in store.items(TABLE_TALLY)}
    specs = {key: queue_from_record(value) for key, value in store.items(TABLE_QUEUE)}
    groups = {spec.name: key for key, spec in specs.items() if spec.name.startswith(SHARED_PREFIX)}
    named_queues.restore(engine, store, specs, tallies)
    by_key: dict[bytes, Session] = {}
    for key, value in store.items(TABLE_SESSION):
        session = _restore_session(engine, key, load(value), tallies.get(key))
        by_key[key] = session
    for key, value in store.items(TABLE_SUBSCRIPTION):
        owner = by_key.get(key[:8])
        if owner is not None:
            _restore_subscription(engine, owner, load(value), groups, tallies)
    for key, value in store.items(TABLE_INFLIGHT):
        owner = by_key.get(key)
        if owner is not None:
            _restore_inflight(engine, owner, value)
    for key, value in store.items(TABLE_RETAINED):
        message = message_from_body(value)
        if message.expires_at == 0.0 or message.expires_at > engine.now:
            engine.retained.set(message)
            if message.expires_at != 0.0:
                engine.timers.add(message.expires_at, RETAINED_EXPIRY, message.topic)
        else:
            engine.barrier.unit.delete(TABLE_RETAINED, key)
    _drop_orphans(engine, specs, by_key)


def _restore_session(engine: "Engine", key: bytes, record: dict[str, Any], tally: tuple[Any, ...] | None) -> Session:
    identity = Identity(record["client_id"], record["username"], frozenset(record["roles"]))
    queue_id = QUEUE_KEY.unpack(key)[0]
    engine.restoring_id = queue_id
    session = Session(engine, record["client_id"], identity, record["version"], True)
    engine.restoring_id = 0
    session.expiry = record["expiry"]
    was_connected = record["connected"]
    session.disconnected_at = engine.now if was_connected else record["disconnected_at"]
    if tally is not None:
        engine.restore_tally(session.queue, tally)
    if was_connected:
        # While the last units were being written, the client may have acknowledged any number of messages and got the
        # next ones. DUP says that a message *might* be sent again (MQTT-3.3.1-1).
        session.queue.sent_to = session.queue.next_position
    engine.sessions[session.client_id] = session
    if record["will"] is not None:
        session.will = will_from_fields(record["will"])
        if was_connected or session.will.deadline == 0.0:
            session.will.deadline = engine.now + min(session.will.delay, session.expiry)
        engine.timers.add(session.will.deadline, WILL, session.client_id)
    if session.expiry != NEVER:
        engine.timers.add(session.disconnected_at + session.expiry, SESSION_EXPIRY, session.client_id)
    return session


def _restore_subscription(
    engine: "Engine",
    session: Session,
    record: dict[str, Any],
    groups: dict[str, bytes],
    tallies: dict[bytes, tuple[Any, ...]],
) -> None:
    full_filter: str = record["filter"]
    parts = split_shared(full_filter)
    inner = full_filter if parts is None else parts[1]
    binding = Binding(
        inner,
        session.queue,
        session,
        record["qos"],
        record["no_local"],
        record["retain_as_published"],
        record["retain_handling"],
        record["id"],
    )
    if parts is not None and full_filter not in engine.groups and full_filter in groups:
        key = groups[full_filter]
        engine.restoring_id = QUEUE_KEY.unpack(key)[0]
        group = engine.shared_group(full_filter, inner, session)
        engine.restoring_id = 0
        if key in tallies:
            engine.restore_tally(group.queue, tallies[key])
    add_subscription(engine, session, full_filter, binding, parts is not None)


def _restore_inflight(engine: "Engine", session: Session, value: bytes) -> None:
    record = inflight_from_record(value)
    if record.inbound:
        session.inbound = dict.fromkeys(record.inbound, 0)
    for packet_id in record.released:
        session.inflight[packet_id] = released_ref(session.queue, 0, packet_id)
    for packet_id, released, queue_id, position in record.leases:
        queue = engine.queues_by_id.get(queue_id)
        if queue is None:
            # Its group has gone, with the message. The client may have that and keep its identifier: release it.
            session.inflight[packet_id] = released_ref(session.queue, position, packet_id)
            continue
        ref = leased_ref(queue, position, packet_id)
        if released:
            ref.state = RELEASED
        session.inflight[packet_id] = ref
        if queue.spec.kind == "shared" and queue.spec.name not in session.subscriptions:
            cast(SharedGroup, queue.consumer).remember(session)


def _drop_orphans(engine: "Engine", specs: dict[bytes, QueueSpec], by_key: dict[bytes, Session]) -> None:
    """Queues that were not durable, or whose session is gone, left records behind: drop them."""
    for key in specs:
        queue_id = QUEUE_KEY.unpack(key)[0]
        if key not in by_key and queue_id not in engine.queues_by_id:
            engine.drop_records(queue_id)
