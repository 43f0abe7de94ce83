"""What can go wrong for a client. All of it is a :class:`~mombroker.model.MombrokerError`.

An operation that the broker turns down raises :class:`~mombroker.operations.Problem`, whose ``code`` tells why.
"""

from mombroker.model.errors import MombrokerError
from mombroker.model.reasons import (
    BAD_AUTHENTICATION_METHOD,
    BAD_USER_NAME_OR_PASSWORD,
    BANNED,
    CLIENT_IDENTIFIER_NOT_VALID,
    NOT_AUTHORIZED,
    UNSUPPORTED_PROTOCOL_VERSION,
    reason_name,
)
from mombroker.operations import KINDS, Problem

_LOGIN = {BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, BANNED, BAD_AUTHENTICATION_METHOD}
_FINAL = {*_LOGIN, UNSUPPORTED_PROTOCOL_VERSION, CLIENT_IDENTIFIER_NOT_VALID}


class ClientError(MombrokerError):
    """Root of the errors that only clients know."""


class BadAddress(ClientError):
    """The URL of a broker cannot be understood."""


class ConnectionFailed(ClientError):
    """No connection could be made: nobody listens there, the name is unknown, TLS failed, or nothing answered."""


class ConnectionLost(ClientError):
    """The connection broke before the answer came: whether the broker has done what it was asked is not known."""


class ClientClosed(ClientError):
    """The client is closed, or not open yet: use it inside its ``async with``."""


class NotSupported(ClientError):
    """The broker does not speak the native API. (Publishing and subscribing work with every MQTT 5 broker.)"""


class ReasonError(ClientError):
    """The broker said no; ``reason`` is its MQTT 5 reason code, ``text`` its reason string, often empty."""

    def __init__(self, what: str, reason: int, text: str = "") -> None:
        super().__init__(f"{what}: {reason_name(reason)} (0x{reason:02x}){': ' + text if text else ''}")
        self.reason = reason
        self.text = text


class ConnectionRefused(ReasonError):
    """The broker answered, and does not let us in."""

    @property
    def final(self) -> bool:
        """Whether trying again the same way is pointless."""
        return self.reason in _FINAL


class NotAuthorized(ReasonError):
    """The broker knows us, and does not allow this."""


class LoginRefused(ConnectionRefused, NotAuthorized):
    """The user name or password is wrong, or such a user may not connect."""


class PublishRefused(ReasonError):
    """A publish was not taken."""


class SubscribeRefused(ReasonError):
    """A subscription was not granted."""


class Disconnected(ConnectionLost, ReasonError):
    """The broker ended the connection, for a reason after which coming back is no use."""


class PublishesRefused(ClientError):
    """Some of many publishes were not taken: ``refused`` counts them, ``first`` is the error of the first one."""

    def __init__(self, refused: int, total: int, first: MombrokerError) -> None:
        super().__init__(f"{refused} of {total} messages were refused; the first one: {first}")
        self.refused = refused
        self.total = total
        self.first = first


class ServiceError(ClientError):
    """Raised by a service's handler, it becomes the caller's :class:`Problem` (service-failed) with this
    ``worker_code``."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.code = code
        self.detail = detail


def connect_refusal(server: str, reason: int, text: str) -> ConnectionRefused:
    """The error for a CONNACK."""
    kind = LoginRefused if reason in _LOGIN else ConnectionRefused
    return kind(f"{server} refused the connection", reason, text)


def publish_refusal(topic: str, reason: int, text: str) -> MombrokerError:
    """The error for a PUBACK or PUBREC: a problem where the reason string tells of one (``code: detail``)."""
    code, colon, detail = text.partition(": ")
    if colon and code in KINDS:
        return Problem(code, detail)
    kind = NotAuthorized if reason == NOT_AUTHORIZED else PublishRefused
    return kind(f"the publish to {topic} was refused", reason, text)


def subscribe_refusal(filter: str, reason: int, text: str) -> MombrokerError:
    """The error for a SUBACK, as for :func:`publish_refusal`."""
    code, colon, detail = text.partition(": ")
    if colon and code in KINDS:
        return Problem(code, detail)
    kind = NotAuthorized if reason == NOT_AUTHORIZED else SubscribeRefused
    return kind(f"the subscription to {filter} was refused", reason, text)
