"""Counters of one broker, since it started. Plain integers, read by $SYS and by metrics."""


class Statistics:
    """What has passed through. Bytes and packets are those of the MQTT connections."""

    def __init__(self) -> None:
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.packets_received: int = 0
        self.packets_sent: int = 0
        self.publishes_received: int = 0
        self.publishes_sent: int = 0
        self.publishes_dropped: int = 0
        self.publish_bytes_received: int = 0
        self.publish_bytes_sent: int = 0
        self.connections_opened: int = 0
        self.connects_received: int = 0
        self.connections_refused: int = 0
        self.protocol_errors: int = 0
        self.clients_connected: int = 0
        self.clients_maximum: int = 0
        self.sessions_expired: int = 0
        self.subscriptions: int = 0
        self.shared_subscriptions: int = 0
        self.commits: int = 0
        self.dropped: dict[str, int] = {}

    def count_drop(self, cause: str, count: int) -> None:
        """Count messages that were dropped, by cause."""
        self.publishes_dropped += count
        self.dropped[cause] = self.dropped.get(cause, 0) + count
