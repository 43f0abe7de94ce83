"""Users from the certificates that clients show. TLS has checked them before: who signed them, their dates, whether
they were revoked, and that the client has the key.

A client that shows a certificate is this plugin's business: it is let in or refused, and no later plugin is asked. One
that shows none is left to the others.
"""

import string
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from mombroker.hooks import ConnectRequest, PluginContext, hookimpl
from mombroker.model.certificate import ClientCertificate
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD, CLIENT_IDENTIFIER_NOT_VALID, NOT_AUTHORIZED
from mombroker_plugins.user_records import is_name

Role = Annotated[str, Meta(min_length=1)]

NO_NAME = Refusal(NOT_AUTHORIZED, "the certificate does not hold the name of a user")
OTHER_USER = Refusal(BAD_USER_NAME_OR_PASSWORD, "the user name is not the one in the certificate")
OTHER_CLIENT = Refusal(CLIENT_IDENTIFIER_NOT_VALID, "the client identifier is not the user name in the certificate")

_ALTERNATIVES = {"dns": "DNS", "email": "email", "uri": "URI"}
_PARTS = ("common_name", *_ALTERNATIVES, "fingerprint", "serial")


class ClientCertificatesSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.client_certificates]``"""

    username: Annotated[
        str,
        Meta(
            min_length=1,
            description="The user's name, with parts of the certificate: `{common_name}`, the first `{dns}`, `{email}` "
            "or `{uri}` of its alternative names, `{fingerprint}` (SHA-256) or `{serial}`, both in hexadecimal.",
        ),
    ] = "{common_name}"
    roles: Annotated[tuple[Role, ...], Meta(description="Roles of everybody who shows a certificate.")] = ()
    user_roles: Annotated[
        dict[str, tuple[Role, ...]], Meta(description="Further roles of single users, under their names.")
    ] = {}
    client_id_is_username: Annotated[
        bool, Meta(description="Whether a client is refused unless its client identifier is the user's name.")
    ] = False

    def __post_init__(self) -> None:
        # msgspec adds the place of a ValueError.
        if not list(_parts_of(self.username)):
            raise ValueError(f"username: {self.username!r} would be everybody's name: write it with {{common_name}}")


class ClientCertificates:
    """The plugin ``client_certificates``."""

    Settings = ClientCertificatesSettings

    def __init__(self, settings: ClientCertificatesSettings, context: PluginContext) -> None:
        self._settings = settings
        self._parts = tuple(_parts_of(settings.username))

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity | Refusal | None:
        """The user whom the certificate names; a refusal if it names none, or another than the client."""
        if request.certificate is None:
            return None
        settings = self._settings
        name = self._name_in(request.certificate)
        if name is None:
            return NO_NAME
        if request.username is not None and request.username != name:
            return OTHER_USER
        if settings.client_id_is_username and request.client_id != name:
            return OTHER_CLIENT
        roles = frozenset((*settings.roles, *settings.user_roles.get(name, ())))
        return Identity(request.client_id, name, roles, request.address, {"certificate": request.certificate})

    def _name_in(self, certificate: ClientCertificate) -> str | None:
        """The user's name, if the certificate holds all that it is made of."""
        values = {part: _value_of(certificate, part) for part in self._parts}
        if not all(values.values()):
            return None
        name = self._settings.username.format(**values)
        return name if is_name(name) else None


def _parts_of(template: str) -> Iterator[str]:
    """The parts of a certificate that a template names. Raises ValueError for anything else in braces."""
    for _, part, form, conversion in string.Formatter().parse(template):
        if part is None:
            continue
        if part not in _PARTS or form or conversion:
            known = ", ".join(f"{{{name}}}" for name in _PARTS)
            raise ValueError(f"username: {{{part}}} is no part of a certificate: write one of {known}")
        yield part


def _value_of(certificate: ClientCertificate, part: str) -> str:
    """A part of a certificate; empty if it has none."""
    if part in _ALTERNATIVES:
        wanted = _ALTERNATIVES[part]
        return next((value for kind, value in certificate.alternative_names if kind == wanted), "")
    return str(getattr(certificate, part))
