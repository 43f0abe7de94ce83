"""The numbers of the control packets and of the protocol levels."""

from typing import Final

CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
PUBREC: Final = 5
PUBREL: Final = 6
PUBCOMP: Final = 7
SUBSCRIBE: Final = 8
SUBACK: Final = 9
UNSUBSCRIBE: Final = 10
UNSUBACK: Final = 11
PINGREQ: Final = 12
PINGRESP: Final = 13
DISCONNECT: Final = 14
AUTH: Final = 15

WILL: Final = 16
"""Not a packet: the place of the will's properties inside a CONNECT, which has a list of its own."""

V31: Final = 3
V311: Final = 4
V5: Final = 5

LARGEST_PACKET: Final = 268_435_460
"""The most a packet can measure: a remaining length of four full varint bytes, and its five byte header."""

_NAMES: Final[tuple[str, ...]] = (
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
    "WILL",
)


def packet_name(type: int) -> str:
    """The specification's name of a packet type; ``packet type n`` for a number that has none."""
    return _NAMES[type] if 0 < type < len(_NAMES) else f"packet type {type}"
