"""Floor 1: the words everything above is written in, and the contract of a store."""

from mombroker.model.errors import (
    ConfigurationError,
    MombrokerError,
    PluginError,
    StoreError,
    StoreFenced,
    StoreFormat,
    StoreFull,
    StoreLocked,
)
from mombroker.model.identity import ACTIONS, PUBLISH, RECEIVE, SUBSCRIBE, Identity, Refusal
from mombroker.model.message import Message, message_from_body
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.model.store import Damage, Page, Store, StoredRecord
from mombroker.model.unit import Segment, Unit

__all__ = [
    "ACTIONS",
    "PUBLISH",
    "RECEIVE",
    "SUBSCRIBE",
    "ConfigurationError",
    "Damage",
    "Identity",
    "Message",
    "MombrokerError",
    "Overflow",
    "Page",
    "PluginError",
    "QueuePolicy",
    "QueueSpec",
    "Refusal",
    "Segment",
    "Store",
    "StoreError",
    "StoreFenced",
    "StoreFormat",
    "StoreFull",
    "StoreLocked",
    "StoredRecord",
    "Unit",
    "message_from_body",
]
