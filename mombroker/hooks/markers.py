"""The pluggy markers, and the name that the entry points are grouped under."""

from typing import Final

import pluggy

PROJECT: Final = "mombroker"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
