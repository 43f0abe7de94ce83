"""mombroker: an MQTT broker whose acknowledgements mean *on disk*, and a client for it.

::

    async with mombroker.connect("mqtt://user:password@host") as mom:
        await mom.publish("plant/1/level", b"7")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mombroker.client import Mom as Mom
    from mombroker.client import Problem as Problem
    from mombroker.client import connect as connect
    from mombroker.client.sync import connect_sync as connect_sync

__version__ = "0.1.0"

__all__ = ["Mom", "Problem", "__version__", "connect", "connect_sync"]

_LAZY = {"Mom": "client", "Problem": "client", "connect": "client", "connect_sync": "client.sync"}
"""Where the public names are. They are imported when they are first used: ``import mombroker`` stays quick."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
