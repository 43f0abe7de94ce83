"""The ``$SYS`` topics, under the names that Mosquitto's users know. Retained in memory, never stored."""

import math
from typing import TYPE_CHECKING, Final

from mombroker import __version__
from mombroker.core.publishing import distribute
from mombroker.model.message import Message

if TYPE_CHECKING:
    from mombroker.core.engine import Engine

PREFIX: Final = "$SYS/broker/"
MINUTES: Final = (1, 5, 15)


class Load:
    """A rate per minute, damped exponentially over 1, 5 and 15 minutes."""

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.last: int = 0
        self.rates: list[float] = [0.0, 0.0, 0.0]

    def update(self, total: int, seconds: float) -> None:
        """Take the counter's new total, ``seconds`` after the last one."""
        per_minute = (total - self.last) * 60.0 / seconds
        self.last = total
        for index in range(3):
            damping = math.exp(-seconds / (60.0 * MINUTES[index]))
            self.rates[index] = per_minute * (1.0 - damping) + self.rates[index] * damping


class SysTopics:
    """Publishes a topic again only when its value has changed."""

    def __init__(self, engine: "Engine") -> None:
        self.engine: Engine = engine
        self._values: dict[str, str] = {}
        self._published_at: float = engine.now
        self._loads: list[Load] = [
            Load("messages/received"),
            Load("messages/sent"),
            Load("publish/received"),
            Load("publish/sent"),
            Load("publish/dropped"),
            Load("bytes/received"),
            Load("bytes/sent"),
            Load("sockets"),
            Load("connections"),
        ]

    def publish(self) -> None:
        """Publish what has changed since the last time."""
        engine = self.engine
        self._publish_counters()
        seconds = engine.now - self._published_at
        if seconds > 0.0:
            self._publish_loads(seconds)
            self._published_at = engine.now

    def _publish_counters(self) -> None:
        engine = self.engine
        statistics = engine.statistics
        total = len(engine.sessions)
        waiting = 0
        waiting_bytes = 0
        for queue in engine.queues_by_id.values():
            waiting += queue.count
            waiting_bytes += queue.bytes
        self._set("version", f"mombroker version {__version__}")
        self._set("uptime", f"{int(engine.now - engine.started_at)} seconds")
        self._set("clients/total", str(total))
        self._set("clients/connected", str(statistics.clients_connected))
        self._set("clients/active", str(statistics.clients_connected))
        self._set("clients/disconnected", str(total - statistics.clients_connected))
        self._set("clients/inactive", str(total - statistics.clients_connected))
        self._set("clients/maximum", str(statistics.clients_maximum))
        self._set("clients/expired", str(statistics.sessions_expired))
        self._set("messages/received", str(statistics.packets_received))
        self._set("messages/sent", str(statistics.packets_sent + statistics.publishes_sent))
        self._set("messages/stored", str(waiting + engine.retained.count))
        self._set("store/messages/count", str(waiting + engine.retained.count))
        self._set("store/messages/bytes", str(waiting_bytes + engine.retained.bytes))
        self._set("publish/messages/received", str(statistics.publishes_received))
        self._set("publish/messages/sent", str(statistics.publishes_sent))
        self._set("publish/messages/dropped", str(statistics.publishes_dropped))
        self._set("publish/bytes/received", str(statistics.publish_bytes_received))
        self._set("publish/bytes/sent", str(statistics.publish_bytes_sent))
        self._set("bytes/received", str(statistics.bytes_received))
        self._set("bytes/sent", str(statistics.bytes_sent))
        self._set("retained messages/count", str(engine.retained.count))
        self._set("subscriptions/count", str(statistics.subscriptions))
        self._set("shared_subscriptions/count", str(statistics.shared_subscriptions))

    def _publish_loads(self, seconds: float) -> None:
        statistics = self.engine.statistics
        totals = [
            statistics.packets_received,
            statistics.packets_sent + statistics.publishes_sent,
            statistics.publishes_received,
            statistics.publishes_sent,
            statistics.publishes_dropped,
            statistics.bytes_received,
            statistics.bytes_sent,
            statistics.connections_opened,
            statistics.connects_received,
        ]
        for load, total in zip(self._loads, totals, strict=True):
            load.update(total, seconds)
            for minutes, rate in zip(MINUTES, load.rates, strict=True):
                self._set(f"load/{load.name}/{minutes}min", f"{rate:.2f}")

    def _set(self, name: str, value: str) -> None:
        if self._values.get(name) == value:
            return
        self._values[name] = value
        engine = self.engine
        message = Message(PREFIX + name, value.encode(), 0, True, b"", engine.now)
        engine.retained.set(message)
        distribute(engine, message, engine.router.route(message.topic_bytes), None)
