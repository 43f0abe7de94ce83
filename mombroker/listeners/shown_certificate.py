"""What a client has shown in the handshake of TLS, as hooks get it."""

import asyncio
import hashlib
import ssl
from typing import Any

from mombroker.model.certificate import ClientCertificate


def shown_certificate(transport: asyncio.BaseTransport) -> ClientCertificate | None:
    """The client's certificate; None where there is no TLS, or the client has shown none."""
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    found: dict[str, Any] | None = connection.getpeercert()
    der = connection.getpeercert(binary_form=True)
    if not found or der is None:
        return None
    return ClientCertificate(
        subject=_pairs(found.get("subject", ())),
        alternative_names=tuple((str(kind), str(name)) for kind, name in found.get("subjectAltName", ())),
        issuer=_pairs(found.get("issuer", ())),
        serial=str(found.get("serialNumber", "")),
        not_after=float(ssl.cert_time_to_seconds(str(found["notAfter"]))),
        fingerprint=hashlib.sha256(der).hexdigest(),
        der=der,
    )


def _pairs(name: Any) -> tuple[tuple[str, str], ...]:
    """A distinguished name, which is a tuple of tuples of pairs."""
    return tuple((str(kind), str(value)) for part in name for kind, value in part)
