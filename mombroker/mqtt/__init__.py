"""Floor 2: MQTT 3.1, 3.1.1 and 5.0 without any input or output. Bytes in, packets out, and back.

``Decoder`` reads what a peer sends, ``encode`` (and the frames in ``encoder``) writes what it shall receive; both
work for servers and for clients. ``topics`` knows names and filters. Nothing here remembers a session.
"""

from mombroker.mqtt.decoder import Decoder
from mombroker.mqtt.encoder import encode
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.packet_types import V5, V31, V311, packet_name
from mombroker.mqtt.packets import (
    Ack,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Publish,
    SubAck,
    Subscribe,
    SubscribeFilter,
    UnsubAck,
    Unsubscribe,
    Will,
)
from mombroker.mqtt.properties import Properties, decode_properties, encode_properties

__all__ = [
    "V5",
    "V31",
    "V311",
    "Ack",
    "Auth",
    "ConnAck",
    "Connect",
    "Decoder",
    "Disconnect",
    "Packet",
    "PingReq",
    "PingResp",
    "Properties",
    "ProtocolError",
    "Publish",
    "SubAck",
    "Subscribe",
    "SubscribeFilter",
    "UnsubAck",
    "Unsubscribe",
    "Will",
    "decode_properties",
    "encode",
    "encode_properties",
    "packet_name",
]
