"""A mombroker plugin: some topics rest at night.

Publishes to them are refused during the quiet hours, so that a doorbell does not ring and a siren test waits for the
morning. Clients with an exempt role are always heard.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mombroker.hooks import PluginContext, hookimpl
from mombroker.model import Identity, Message, Refusal
from mombroker.model.reasons import NOT_AUTHORIZED


@dataclass(frozen=True)
class QuietHoursSettings:
    """``[plugins.quiet_hours]``"""

    topics: tuple[str, ...]
    """Topics that rest. One that ends with ``/`` stands for everything below it."""
    begin: datetime.time = datetime.time(22, 0)
    end: datetime.time = datetime.time(7, 0)
    timezone: str = "UTC"
    exempt_roles: frozenset[str] = frozenset()


class QuietHours:
    """The plugin. ``now`` is another clock, for tests."""

    Settings = QuietHoursSettings

    def __init__(
        self,
        settings: QuietHoursSettings,
        context: PluginContext,
        now: Callable[[datetime.tzinfo], datetime.datetime] = datetime.datetime.now,
    ) -> None:
        self._settings = settings
        self._log = context.log
        self._zone = ZoneInfo(settings.timezone)
        self._now = now

    @hookimpl
    def mombroker_on_publish(self, message: Message, identity: Identity) -> Refusal | None:
        """Refuse what has to wait until the morning."""
        if not self._rests(message.topic) or identity.roles & self._settings.exempt_roles or not self._is_quiet():
            return None
        self._log.info("publish refused in quiet hours", client_id=identity.client_id, topic=message.topic)
        return Refusal(NOT_AUTHORIZED, f"quiet hours until {self._settings.end:%H:%M}")

    def _rests(self, topic: str) -> bool:
        return any(topic == rest or (rest.endswith("/") and topic.startswith(rest)) for rest in self._settings.topics)

    def _is_quiet(self) -> bool:
        time = self._now(self._zone).time()
        begin, end = self._settings.begin, self._settings.end
        if begin <= end:
            return begin <= time < end
        return time >= begin or time < end  # over midnight
