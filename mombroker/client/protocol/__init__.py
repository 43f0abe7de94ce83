"""The client's half of MQTT 5 without any input or output: bytes and ticks in, bytes and events out.

A :class:`Session` outlives its connections. What it has accepted it sends, and sends again, until the server has taken
it; :class:`Events` is all that it asks of the world. No socket, task or clock is known here.
"""

from mombroker.client.protocol.inbound import Inbound, Message
from mombroker.client.protocol.limits import ServerLimits
from mombroker.client.protocol.outbound import Outbound, Outgoing, Receipt
from mombroker.client.protocol.outbox import Outbox
from mombroker.client.protocol.session import Events, Options, Session
from mombroker.client.protocol.subscriptions import Answer, Subscriptions, Wish

__all__ = [
    "Answer",
    "Events",
    "Inbound",
    "Message",
    "Options",
    "Outbound",
    "Outbox",
    "Outgoing",
    "Receipt",
    "ServerLimits",
    "Session",
    "Subscriptions",
    "Wish",
]
