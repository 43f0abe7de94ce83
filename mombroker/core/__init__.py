"""Floor 3: the broker loop and all it keeps. Bytes and events in, bytes and units of work out; no I/O, no clock.

``Engine`` is the face. A message's way: ``inbound`` (packets) → ``publishing`` (admission, routing) → ``queue`` →
``session`` and ``delivery`` (out) with ``barrier`` deciding what may leave before which commit.
"""

from mombroker.core.connection import Connection
from mombroker.core.engine import Engine
from mombroker.core.limits import Limits
from mombroker.core.ports import Exchange, Hooks, Outside, Transport

__all__ = ["Connection", "Engine", "Exchange", "Hooks", "Limits", "Outside", "Transport"]
