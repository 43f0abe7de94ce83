"""Floor 5: sockets. A listener accepts connections and feeds their bytes to the runtime."""

from mombroker.listeners.listener import Listener

__all__ = ["Listener"]
