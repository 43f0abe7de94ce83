"""Operations for those who run the broker: clients, sessions, retained messages, users, numbers."""

from typing import Annotated

from msgspec import Meta, Struct

ClientId = Annotated[str, Meta(min_length=1, max_length=65535, description="An MQTT client identifier.")]
UserName = Annotated[str, Meta(min_length=1, max_length=256)]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class ListClients(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the sessions, in order of client identifier."""

    after: str = ""
    limit: Limit = 100
    connected: Annotated[bool, Meta(description="Only those that are connected.")] = False


class ClientInfo(Struct, frozen=True, kw_only=True):
    """A session: ``version`` is 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0; ``expiry`` is seconds."""

    client_id: str
    username: str
    connected: bool
    address: str
    version: int
    expiry: int
    subscriptions: int
    queued: int
    inflight: int


class ClientList(Struct, frozen=True, kw_only=True):
    """Sessions; ``more`` tells whether there are further ones."""

    clients: tuple[ClientInfo, ...]
    more: bool


class DisconnectClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Disconnect a client; with ``forget``, its session ends too."""

    client_id: ClientId
    forget: bool = False


class ListRetained(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the topics of retained messages that a filter matches, in order."""

    filter: Annotated[str, Meta(min_length=1, max_length=65535)] = "#"
    after: str = ""
    limit: Limit = 100


class RetainedInfo(Struct, frozen=True, kw_only=True):
    """A retained message, without its payload. ``expires_at`` is 0 for one that does not expire."""

    topic: str
    qos: int
    bytes: int
    published_at: float
    expires_at: float


class RetainedList(Struct, frozen=True, kw_only=True):
    """Retained messages; ``more`` tells whether there are further ones."""

    retained: tuple[RetainedInfo, ...]
    more: bool


class DeleteRetained(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delete the retained message of a topic."""

    topic: Annotated[str, Meta(min_length=1, max_length=65535)]


class GetStatistics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell what the broker has done since it started."""


class BrokerStatistics(Struct, frozen=True, kw_only=True):
    """The broker in numbers; counters count since its start, ``uptime`` is seconds."""

    version: str
    uptime: float
    compiled: bool
    clients_connected: int
    sessions: int
    subscriptions: int
    queues: int
    services: int
    messages_waiting: int
    retained: int
    publishes_received: int
    publishes_sent: int
    publishes_dropped: int
    bytes_received: int
    bytes_sent: int
    commits: int


class ListUsers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """List the users that the broker keeps."""


class UserInfo(Struct, frozen=True, kw_only=True):
    """A user and the roles it has."""

    user: str
    roles: tuple[str, ...]


class UserList(Struct, frozen=True, kw_only=True):
    """Users, in order of their names."""

    users: tuple[UserInfo, ...]


class PutUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Add a user, or change a user's password or roles: what is left out stays."""

    user: UserName
    password: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    roles: Annotated[tuple[str, ...], Meta(max_length=100)] | None = None

    def __repr__(self) -> str:
        return f"PutUser(user={self.user!r})"


class DeleteUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Remove a user. Its queues stay."""

    user: UserName
