"""The client for programs without an event loop: scripts, threads, Flask.

::

    with mombroker.connect_sync("mqtt://user:password@host") as mom:
        mom.publish("plant/1/level", b"7")
        for message in mom.subscribe("plant/#"):
            print(message.topic, message.text)

Everything has the names it has in :mod:`mombroker.client`, may be used from any thread, and raises the same errors. The
loop that does the work runs in a thread of its own.
"""

from mombroker.client.sync.mom import SyncMom, connect_sync
from mombroker.client.sync.queue import SyncConsumption, SyncQueue, SyncQueueMessage
from mombroker.client.sync.requests import SyncLater, SyncParts
from mombroker.client.sync.streams import SyncPublisher, SyncSubscription

__all__ = [
    "SyncConsumption",
    "SyncLater",
    "SyncMom",
    "SyncParts",
    "SyncPublisher",
    "SyncQueue",
    "SyncQueueMessage",
    "SyncSubscription",
    "connect_sync",
]
