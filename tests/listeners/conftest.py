"""An authority with certificates of its own, and brokers inside the test's process."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mombroker.broker import Broker
from mombroker.wiring.settings import load_settings

Start = Callable[..., Awaitable[Broker]]


class Authority:
    """Signs certificates, and writes them as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)
        self._count = 0

    def issue(self, *names: str, common_name: str | None = None) -> str:
        """The file of a new certificate with its key."""
        self._count += 1
        path = self.folder / f"{self._count}.pem"
        self.ca.issue_cert(*names, common_name=common_name).private_key_and_cert_chain_pem.write_to_path(path)
        return str(path)

    def revoking(self, *files: str) -> bytes:
        """A list that revokes the certificates in these files."""
        now = datetime.now(UTC)
        ca = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        listed = x509.CertificateRevocationListBuilder().issuer_name(ca.subject).last_update(now - timedelta(days=1))
        listed = listed.next_update(now + timedelta(days=1))
        for file in files:
            serial = x509.load_pem_x509_certificate(Path(file).read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            listed = listed.add_revoked_certificate(revoked)
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return listed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def trusting(self, shown: str | None = None) -> ssl.SSLContext:
        """A client's context that trusts this authority and shows a certificate."""
        context = ssl.create_default_context(cafile=self.file)
        if shown is not None:
            context.load_cert_chain(shown)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that everybody trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> str:
    """The broker's own."""
    return authority.issue("127.0.0.1", "localhost")


@pytest.fixture
async def start(certificate: str) -> AsyncIterator[Start]:
    """Start brokers in memory that listen at ``listen``; settings are given as ``mqtt__maximum_qos=1``."""
    async with AsyncExitStack() as stack:

        async def start(*listen: str, plugins: tuple[object, ...] = (), **given: object) -> Broker:
            overrides: dict[str, object] = {
                "mqtt.listen": list(listen),
                "http.listen": "off",
                "storage.durability": "memory",
                "tls.certificate": certificate,
            }
            overrides |= {name.replace("__", ".", 1): value for name, value in given.items()}
            return await stack.enter_async_context(Broker(load_settings(overrides=overrides), plugins=plugins))

        yield start
