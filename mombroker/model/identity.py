"""Who a client is, once authenticated, and what it may ask to do."""

from dataclasses import dataclass, field
from typing import Any, Final

PUBLISH: Final = "publish"
SUBSCRIBE: Final = "subscribe"
RECEIVE: Final = "receive"

CONFIGURE: Final = "configure"
WRITE: Final = "write"
READ: Final = "read"
"""What may be done with a named queue or a service, beyond what its owner may; the resource is ``queue:NAME``."""

ADMIN: Final = "admin"
"""To run the broker: see and end other clients' sessions, edit users. The resource is ``broker``."""

ACTIONS: Final = (PUBLISH, SUBSCRIBE, RECEIVE, CONFIGURE, WRITE, READ, ADMIN)


UNIX: Final = "unix"
"""The address of a client that has come over a Unix socket, and so from this machine."""


@dataclass(frozen=True)
class Identity:
    """The outcome of a successful authentication; what authorisation decides on.

    ``username`` is None for an anonymous client. ``attributes`` is for plugins: claims, groups, certificates. After
    ``expires_at``, in Unix seconds, nobody is this any more; 0: it does not expire.
    """

    client_id: str
    username: str | None = None
    roles: frozenset[str] = frozenset()
    address: str = ""
    attributes: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)
    expires_at: float = field(default=0.0, compare=False, hash=False)

    def has_expired(self, now: float) -> bool:
        """Whether nobody is this any more, at this Unix time."""
        return 0.0 < self.expires_at <= now


@dataclass(frozen=True)
class Refusal:
    """An authentication or a publish turned down, with the MQTT 5 reason code and a reason string for the client."""

    reason: int
    message: str = ""
