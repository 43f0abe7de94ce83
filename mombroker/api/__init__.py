"""The native API: operations carried out once (``native``), and the transports that ask for them."""

from mombroker.api.caller import Caller
from mombroker.api.native import NativeApi
from mombroker.api.streams import Consumption, Serving

__all__ = ["Caller", "Consumption", "NativeApi", "Serving"]
