"""The one error of the codec, and the two kinds of it that the specification distinguishes most often."""

from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import MALFORMED_PACKET, PROTOCOL_ERROR, reason_name


class ProtocolError(MombrokerError):
    """The peer broke the protocol; nothing it sends afterwards can be trusted.

    ``reason`` is the MQTT 5 reason code for the CONNACK or DISCONNECT that answers it (3.x just closes), ``detail``
    a sentence for the log that never repeats a payload or a password.
    """

    def __init__(self, reason: int, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: int = reason
        self.detail: str = detail

    def __str__(self) -> str:
        return f"{reason_name(self.reason)} (0x{self.reason:02x}): {self.detail}"


def malformed(detail: str) -> ProtocolError:
    """The bytes cannot be parsed as the specification lays them out (0x81)."""
    return ProtocolError(MALFORMED_PACKET, detail)


def forbidden(detail: str) -> ProtocolError:
    """The bytes parse, but say what the protocol does not permit here (0x82)."""
    return ProtocolError(PROTOCOL_ERROR, detail)
