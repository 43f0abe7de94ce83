"""Which reason codes each packet may carry (MQTT 5.0, table 2-6), as one bit mask per packet type."""

from typing import Final

from mombroker.mqtt.errors import forbidden
from mombroker.mqtt.packet_types import (
    AUTH,
    CONNACK,
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    V5,
    packet_name,
)

_PUBACK_CODES: Final = (0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
_PUBREL_CODES: Final = (0x00, 0x92)
_CONNACK_CODES: Final = (
    *(0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C),
    *(0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F),
)
_SUBACK_CODES: Final = (0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2)
_UNSUBACK_CODES: Final = (0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)
_DISCONNECT_CODES: Final = (
    *(0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F),
    *(0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2),
)
_AUTH_CODES: Final = (0x00, 0x18, 0x19)


def _mask(codes: tuple[int, ...]) -> int:
    mask = 0
    for code in codes:
        mask |= 1 << code
    return mask


_ALLOWED: Final[dict[int, int]] = {
    CONNACK: _mask(_CONNACK_CODES),
    PUBACK: _mask(_PUBACK_CODES),
    PUBREC: _mask(_PUBACK_CODES),
    PUBREL: _mask(_PUBREL_CODES),
    PUBCOMP: _mask(_PUBREL_CODES),
    SUBACK: _mask(_SUBACK_CODES),
    UNSUBACK: _mask(_UNSUBACK_CODES),
    DISCONNECT: _mask(_DISCONNECT_CODES),
    AUTH: _mask(_AUTH_CODES),
}
_V3_CONNACK_CODES: Final = (0, 1, 2, 3, 4, 5)
_V3_SUBACK_CODES: Final = (0x00, 0x01, 0x02, 0x80)


def is_legal_reason(packet: int, reason: int) -> bool:
    """Whether MQTT 5 allows this reason code in this type of packet, from either side."""
    return (_ALLOWED[packet] >> reason) & 1 != 0


def check_reason(packet: int, reason: int, version: int) -> None:
    """0x82 unless a packet of this type, at this protocol level, may carry the code."""
    if version == V5:
        legal = is_legal_reason(packet, reason)
    else:
        legal = reason in (_V3_CONNACK_CODES if packet == CONNACK else _V3_SUBACK_CODES)
    if not legal:
        raise forbidden(f"{packet_name(packet)} cannot carry the reason code 0x{reason:02x}")
