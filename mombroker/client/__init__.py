"""A side room: the Python client. It imports floors 1 and 2 only; its sans-IO half is in :mod:`.protocol`.

::

    async with mombroker.connect("mqtt://user:password@host") as mom:
        await mom.publish("plant/1/level", b"7")
        async for message in mom.subscribe("plant/#"):
            print(message.topic, message.text)
"""

from mombroker.client.backoff import Backoff
from mombroker.client.consuming import Consumption
from mombroker.client.errors import (
    BadAddress,
    ClientClosed,
    ClientError,
    ConnectionFailed,
    ConnectionLost,
    ConnectionRefused,
    Disconnected,
    LoginRefused,
    NotAuthorized,
    NotSupported,
    PublishesRefused,
    PublishRefused,
    ReasonError,
    ServiceError,
    SubscribeRefused,
)
from mombroker.client.later import Later
from mombroker.client.mom import Mom, connect
from mombroker.client.protocol import Message
from mombroker.client.publishing import Publisher
from mombroker.client.queue import Queue
from mombroker.client.queue_message import QueueMessage
from mombroker.client.requests import Parts, Reply
from mombroker.client.service import ServiceRequest, Worker
from mombroker.client.subscription import Subscription
from mombroker.mqtt import Will
from mombroker.operations import Problem
from mombroker.operations.messages import OutMessage
from mombroker.operations.services import Part

__all__ = [
    "Backoff",
    "BadAddress",
    "ClientClosed",
    "ClientError",
    "ConnectionFailed",
    "ConnectionLost",
    "ConnectionRefused",
    "Consumption",
    "Disconnected",
    "Later",
    "LoginRefused",
    "Message",
    "Mom",
    "NotAuthorized",
    "NotSupported",
    "OutMessage",
    "Part",
    "Parts",
    "Problem",
    "PublishRefused",
    "Publisher",
    "PublishesRefused",
    "Queue",
    "QueueMessage",
    "ReasonError",
    "Reply",
    "ServiceError",
    "ServiceRequest",
    "SubscribeRefused",
    "Subscription",
    "Will",
    "Worker",
    "connect",
]
