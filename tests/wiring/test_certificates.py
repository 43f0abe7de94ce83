"""Certificates that cannot be used are told of before anything listens."""

import ssl

import pytest
import trustme

from mombroker.model.errors import ConfigurationError
from mombroker.wiring.certificates import Certificates
from mombroker.wiring.settings import TlsSettings


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A certificate with its key, and the same key encrypted."""
    folder = tmp_path_factory.mktemp("certificates")
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(folder / "other.key")
    return folder


def refusal(**given: str) -> str:
    """Why certificates cannot be used."""
    with pytest.raises(ConfigurationError) as caught:
        Certificates(TlsSettings(**given))  # type: ignore[arg-type]
    return str(caught.value)


def test_an_encrypted_address_needs_a_certificate():
    assert "set tls.certificate" in refusal()


def test_a_file_that_is_not_there_is_named(pem):
    assert refusal(certificate=str(pem / "none.pem")).endswith("none.pem: No such file or directory")


def test_a_key_of_another_certificate_is_found_out(pem):
    told = refusal(certificate=str(pem / "both.pem"), key=str(pem / "other.key"))
    assert told.endswith("the key is not that of the certificate")


def test_a_file_without_a_certificate_is_found_out(pem):
    assert "cannot use the certificate" in refusal(certificate=str(pem / "other.key"))


def test_client_certificates_need_somebody_who_signed_them(pem):
    told = refusal(certificate=str(pem / "both.pem"), client_certificates="required")
    assert "tls.client_ca names nobody" in told


def test_a_host_is_written_with_its_file(pem):
    with pytest.raises(ConfigurationError, match="write HOST=FILE"):
        Certificates(TlsSettings(certificate=str(pem / "both.pem"), hosts=("other.example",)))


def test_only_those_are_asked_for_a_certificate_who_are_to_be(pem):
    path = str(pem / "both.pem")
    certificates = Certificates(TlsSettings(certificate=path, client_certificates="required", client_ca=path))
    asked = certificates.context((), asks_clients=True)
    assert asked.current.verify_mode is ssl.CERT_REQUIRED  # type: ignore[attr-defined]
    assert certificates.context((), asks_clients=False).current.verify_mode is ssl.CERT_NONE  # type: ignore[attr-defined]
