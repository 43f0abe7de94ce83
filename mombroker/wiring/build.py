"""How this installation was built."""

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES


def is_compiled() -> bool:
    """Whether the protocol engine runs compiled. It is compiled as a whole or not at all, so one module tells."""
    spec = importlib.util.find_spec("mombroker.core.queue")
    return spec is not None and spec.origin is not None and spec.origin.endswith(tuple(EXTENSION_SUFFIXES))
