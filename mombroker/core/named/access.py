"""Who may use whose queues and services: the owner, those the owner has let, administrators; and what plugins say."""

from typing import TYPE_CHECKING, Final

from mombroker.core.connection import Connection
from mombroker.core.rights import ALLOWED, DENIED, may
from mombroker.model.identity import CONFIGURE, Identity
from mombroker.operations.names import check_name

if TYPE_CHECKING:
    from mombroker.core.engine import Engine
    from mombroker.core.named.queue import NamedQueue

ADMIN_ROLE: Final = "admin"


def queue_resource(name: str) -> str:
    """What the hooks call a queue."""
    return "queue:" + name


def service_resource(name: str) -> str:
    """What the hooks call a service."""
    return "service:" + name


def default_right(engine: "Engine", identity: Identity, action: str, queue: "NamedQueue | None", name: str) -> bool:
    """Whether a user may do something with a queue or a service (called ``name``) if no plugin has an opinion.
    Whoever wants to make one that is not there yet may."""
    if queue is None:
        return True
    user = identity.username or ""
    if queue.owner.name == user or ADMIN_ROLE in identity.roles:
        return True
    return bool(user) and engine.named.grants.allows(queue.owner.name, user, action, name)


def queue_right(connection: Connection, action: str, queue: "NamedQueue") -> int:
    """ALLOWED, DENIED, or UNKNOWN until a hook has answered."""
    return _right(connection, action, queue, queue.name, queue_resource(queue.name))


def service_right(connection: Connection, action: str, name: str) -> int:
    """The same for a service, which need not be there yet. Raises :class:`Problem` for what is no name."""
    service = connection.engine.requests.services.get(name)
    queue = service.queue if service is not None else None
    if queue is None:
        check_name(name)
        action = CONFIGURE
    return _right(connection, action, queue, name, service_resource(name))


def _right(connection: Connection, action: str, queue: "NamedQueue | None", name: str, resource: str) -> int:
    engine = connection.engine
    identity = connection.identity
    if identity is None:
        return DENIED
    default = default_right(engine, identity, action, queue, name)
    if not engine.hooks.authorizes:
        return ALLOWED if default else DENIED
    return may(connection, action, resource, default)
