"""The certificate that a client has shown, which TLS has checked already."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClientCertificate:
    """Signed by an authority that the broker trusts, in its time, not revoked; whose it is has been proved.

    ``subject`` and ``alternative_names`` are pairs in the certificate's order, such as ``("commonName", "pump-7")`` and
    ``("DNS", "pump-7.example")``. ``serial`` is in hexadecimal, ``fingerprint`` the SHA-256 of ``der`` in it too;
    ``not_after`` is in Unix seconds.
    """

    subject: tuple[tuple[str, str], ...]
    alternative_names: tuple[tuple[str, str], ...] = ()
    issuer: tuple[tuple[str, str], ...] = ()
    serial: str = ""
    not_after: float = 0.0
    fingerprint: str = ""
    der: bytes = field(default=b"", repr=False)

    @property
    def common_name(self) -> str:
        """The last common name of the subject; empty if it has none."""
        names = [value for kind, value in self.subject if kind == "commonName"]
        return names[-1] if names else ""
