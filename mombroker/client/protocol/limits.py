"""What a server said about itself in its CONNACK (MQTT 5.0, section 3.2.2.3)."""

from dataclasses import dataclass
from typing import Final

from mombroker.mqtt import ConnAck
from mombroker.mqtt.packet_types import LARGEST_PACKET

NO_LIMIT: Final = 65_535


@dataclass(frozen=True)
class ServerLimits:
    """The limits of one connection; the defaults are those of the specification for what a server leaves out.

    ``keep_alive`` is seconds, None where the client's own counts. ``response_information`` is where the server wants
    responses to be sent to, empty if it did not say.
    """

    receive_maximum: int = NO_LIMIT
    maximum_packet_size: int = LARGEST_PACKET
    maximum_qos: int = 2
    topic_alias_maximum: int = 0
    retain_available: bool = True
    wildcard_available: bool = True
    shared_available: bool = True
    subscription_ids_available: bool = True
    keep_alive: int | None = None
    assigned_client_id: str | None = None
    response_information: str = ""


def limits_of(connack: ConnAck) -> ServerLimits:
    """The limits that a CONNACK states."""
    properties = connack.properties
    if properties is None:
        return ServerLimits()
    maximum_qos = properties.maximum_qos
    return ServerLimits(
        receive_maximum=properties.receive_maximum or NO_LIMIT,
        maximum_packet_size=properties.maximum_packet_size or LARGEST_PACKET,
        maximum_qos=2 if maximum_qos is None else maximum_qos,
        topic_alias_maximum=properties.topic_alias_maximum or 0,
        retain_available=properties.retain_available != 0,
        wildcard_available=properties.wildcard_available != 0,
        shared_available=properties.shared_available != 0,
        subscription_ids_available=properties.subscription_ids_available != 0,
        keep_alive=properties.server_keep_alive,
        assigned_client_id=properties.assigned_client_id,
        response_information=properties.response_information or "",
    )
