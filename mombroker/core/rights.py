"""Authorisation as the core uses it: decisions remembered with a bound and a lifetime, one question at a time.

A decision that a hook has still to make suspends the one client that asked: its packet is held and handled again
when the answer is there (then from memory).
"""

from typing import TYPE_CHECKING, Final

from mombroker.core.connection import CLOSED, Connection
from mombroker.core.router import Route, one_per_queue
from mombroker.core.session import Session
from mombroker.model.identity import PUBLISH, RECEIVE

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

DENIED: Final = 0
ALLOWED: Final = 1
UNKNOWN: Final = -1


class Asked:
    """One question put to the hooks, on behalf of a connection: the answer is remembered, and its packet goes on."""

    def __init__(self, connection: Connection, action: str, resource: str) -> None:
        self.connection: Connection = connection
        self.action: str = action
        self.resource: str = resource

    def answer(self, allowed: bool) -> None:
        """Take the decision."""
        connection = self.connection
        if connection.state == CLOSED or connection.asking != (self.action, self.resource):
            return
        connection.asking = None
        remember(connection, self.action, self.resource, allowed)
        connection.engine.go_on(connection)


def may(connection: Connection, action: str, resource: str, default: bool = True) -> int:
    """ALLOWED, DENIED, or UNKNOWN: then the connection is blocked until the answer comes. ``default`` is what counts
    if no plugin has an opinion."""
    engine = connection.engine
    known = connection.allowed
    if known is not None:
        found = known.get((action, resource))
        if found is not None and found[1] > engine.now:
            return ALLOWED if found[0] else DENIED
    identity = connection.identity
    if identity is None:
        return DENIED
    asked = Asked(connection, action, resource)
    connection.asking = (action, resource)
    decision = engine.hooks.authorize(identity, action, resource, asked.answer, default)
    if decision is None:
        connection.block()
        return UNKNOWN
    connection.asking = None
    remember(connection, action, resource, decision)
    return ALLOWED if decision else DENIED


def remember(connection: Connection, action: str, resource: str, allowed: bool) -> None:
    """Keep a decision. The bound is enforced between packets, so that one packet's answers are all there."""
    known = connection.allowed
    if known is None:
        known = connection.allowed = {}
    known[(action, resource)] = (allowed, connection.engine.now + connection.engine.limits.auth_cache_seconds)


def forget_surplus(connection: Connection) -> None:
    """Drop all remembered decisions of a connection that has gathered too many."""
    known = connection.allowed
    if known is not None and len(known) > connection.engine.limits.auth_cache_size:
        known.clear()


def may_publish(connection: Connection, route: Route) -> int:
    """The right to publish to a topic, with a shortcut for the topic published to last."""
    engine = connection.engine
    if connection.publish_route is route and connection.publish_until > engine.now:
        return ALLOWED
    decision = may(connection, PUBLISH, route.topic)
    if decision == ALLOWED:
        connection.publish_route = route
        connection.publish_until = engine.now + engine.limits.auth_cache_seconds
    return decision


class AskedReceive:
    """A question whether a session may receive a topic."""

    def __init__(self, engine: "Engine", session: Session, topic: str, more: int) -> None:
        self.engine: Engine = engine
        self.session: Session = session
        self.topic: str = topic
        self.more: int = more

    def answer(self, allowed: bool) -> None:
        """Take the decision and let those who waited for it go on."""
        _remember_receive(self.engine, self.session, self.topic, allowed, self.more)
        self.engine.receive_answered((self.session.client_id, self.topic))
        if not self.session.ended:
            self.session.pump_groups()


def _remember_receive(engine: "Engine", session: Session, topic: str, allowed: bool, more: int) -> None:
    known = session.receive_rights
    if known is None or len(known) >= engine.limits.auth_cache_size + more:
        known = session.receive_rights = {}
    known[topic] = (allowed, engine.now + engine.limits.auth_cache_seconds)


def receive_right(engine: "Engine", session: Session, topic: str, more: int = 0) -> int:
    """Whether a session may be sent messages of a topic: ALLOWED, DENIED, or UNKNOWN until the hook has answered.

    ``more``: so many answers are remembered beyond the bound, since all of them are needed at once.
    """
    if not engine.hooks.authorizes:
        return ALLOWED
    known = session.receive_rights
    if known is not None:
        found = known.get(topic)
        if found is not None and found[1] > engine.now:
            return ALLOWED if found[0] else DENIED
    key = (session.client_id, topic)
    if key in engine.receive_waiting:
        return UNKNOWN
    asked = AskedReceive(engine, session, topic, more)
    decision = engine.hooks.authorize(session.identity, RECEIVE, topic, asked.answer)
    if decision is None:
        engine.receive_waiting[key] = []
        return UNKNOWN
    _remember_receive(engine, session, topic, decision, more)
    return ALLOWED if decision else DENIED


def wait_for_receive_right(connection: Connection, session: Session, topic: str) -> None:
    """Hold a connection up until it is known whether a session may receive a topic."""
    connection.engine.receive_waiting[(session.client_id, topic)].append(connection)
    connection.block()


def check_receivers(connection: Connection, route: Route) -> bool:
    """Leave out of a route the sessions that may not receive its topic. False: the publisher waits for an answer."""
    unknown = find_unknown_receiver(connection.engine, route)
    if unknown is None:
        return True
    wait_for_receive_right(connection, unknown, route.topic)
    return False


def find_unknown_receiver(engine: "Engine", route: Route) -> Session | None:
    """Leave out of a route the sessions that may not receive its topic; or find one of which it is not known yet."""
    if route.private or route.checked_until > engine.now:
        return None
    denied: set[int] = set()
    for binding in route.bindings:
        session = binding.session
        if session is not None:
            right = receive_right(engine, session, route.topic)
            if right == UNKNOWN:
                return session
            if right == DENIED:
                denied.add(binding.queue.id)
    allowed = [binding for binding in route.bindings if binding.queue.id not in denied]
    route.targets = one_per_queue(allowed)
    route.checked_until = engine.now + engine.limits.auth_cache_seconds
    return None
