"""What the broker core may be asked for: every bound of the protocol engine, with its default."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds and availability. Sizes are bytes, times seconds; 0 means no limit where the text says so."""

    max_packet_size: int = 16_777_216
    """Largest packet a client may send, 128 to 268,435,460 (CONNACK Maximum Packet Size)."""
    receive_maximum: int = 4096
    """QoS 1 and 2 publishes of one MQTT 5 client that may wait for their acknowledgement, 1 to 65,535."""
    topic_alias_maximum: int = 64
    """Topic aliases a client may define, 0 to 65,535."""
    outbound_topic_aliases: int = 16
    """Topic aliases the broker uses towards a client that allows them, 0 to 65,535."""
    maximum_qos: int = 2
    retain_available: bool = True
    wildcard_available: bool = True
    shared_available: bool = True
    subscription_ids_available: bool = True
    max_keep_alive: int = 0
    """Longest keep-alive; a client that asks for more, or for none, gets this one (0: as the client asks)."""
    max_session_expiry: int = 0xFFFFFFFF
    """Longest session expiry granted; 0xFFFFFFFF: a session may live for ever. Also that of 3.x sessions."""
    allow_empty_client_id: bool = True
    max_inflight: int = 1024
    """Messages sent to one client and not yet acknowledged, 1 to 65,535; the client's Receive Maximum may lower it."""
    max_connections: int = 100_000
    """Connections at a time; one more is refused (0x89, 3.x: server unavailable)."""
    max_subscriptions: int = 100_000
    """Subscriptions of one client; one more is refused with 0x97."""
    max_topic_levels: int = 128
    """Levels of a topic name or filter; one more is refused as invalid."""
    queue_qos0: bool = False
    """Whether QoS 0 messages wait for a client that is offline."""
    versions: tuple[int, ...] = (3, 4, 5)
    """Accepted protocol levels: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0."""
    max_message_age: int = 0
    """Longest life of any message (0: as the publisher says)."""
    connect_timeout: float = 10.0
    """Time from the opening of a connection to its CONNECT."""
    max_out_buffer: int = 16_777_216
    """Unsent bytes of one connection; beyond them QoS 0 is dropped and QoS 1 and 2 wait in the queue."""
    max_unit_bytes: int = 16_777_216
    """Bytes waiting for the committer; beyond them publishers are not read from until it has caught up."""
    queues_per_user: int = 1000
    """Named queues and services that one user may have (0: no limit)."""
    messages_per_user: int = 0
    """Messages in all named queues of one user together (0: no limit)."""
    bytes_per_user: int = 0
    """The bytes of these (0: no limit)."""
    sys_interval: int = 10
    """Seconds between publications of the $SYS topics (0: none)."""
    auth_cache_seconds: float = 60.0
    """How long an authorisation answer is remembered for a session."""
    auth_cache_size: int = 1024
    guard_sessions: bool = True
    """Authorisation answers remembered per connection."""
