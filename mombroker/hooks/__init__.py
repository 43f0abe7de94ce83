"""The hooks a plugin can implement. ``from mombroker.hooks import hookimpl`` is where every plugin starts."""

from mombroker.hooks.changes import changed
from mombroker.hooks.events import (
    ClientConnected,
    ClientDisconnected,
    ClientRefused,
    Event,
    MessageDeadLettered,
    MessageDropped,
    PublishRefused,
    QueueCreated,
    QueueDeleted,
    SessionEnded,
    SessionTakenOver,
    Subscribed,
    Unsubscribed,
)
from mombroker.hooks.markers import PROJECT, hookimpl, hookspec
from mombroker.hooks.requests import (
    AuthContinue,
    AuthDone,
    AuthExchange,
    ConnectRequest,
    PluginContext,
    PluginState,
    UserDirectory,
)

__all__ = [
    "PROJECT",
    "AuthContinue",
    "AuthDone",
    "AuthExchange",
    "ClientConnected",
    "ClientDisconnected",
    "ClientRefused",
    "ConnectRequest",
    "Event",
    "MessageDeadLettered",
    "MessageDropped",
    "PluginContext",
    "PluginState",
    "PublishRefused",
    "QueueCreated",
    "QueueDeleted",
    "SessionEnded",
    "SessionTakenOver",
    "Subscribed",
    "Unsubscribed",
    "UserDirectory",
    "changed",
    "hookimpl",
    "hookspec",
]
