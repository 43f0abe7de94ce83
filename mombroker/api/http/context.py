"""What every endpoint works with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mombroker.api.http.uploads import Uploads
from mombroker.api.logins import Logins
from mombroker.api.native import NativeApi
from mombroker.operations.problems import SHUTTING_DOWN, Problem
from mombroker.wiring.settings_keys import HttpSettings


@dataclass(frozen=True)
class Context:
    """The native API, who has logged in, the bounds, and whether the broker stops.

    ``trouble`` tells why the broker could not do its work now, or None. ``stopping`` is done when it stops.
    """

    native: NativeApi
    settings: HttpSettings
    logins: Logins
    uploads: Uploads
    stopping: "asyncio.Future[None]"
    trouble: Callable[[], Problem | None]
    log: Any


def stopped() -> Problem:
    """What a request is answered with that had to be broken off because the broker stops."""
    return Problem(SHUTTING_DOWN, "the broker is shutting down; ask again when it is back")
