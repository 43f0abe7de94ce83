"""The plugin client_certificates: the user is whom the certificate names, and nobody else."""

import dataclasses

import pytest

from mombroker.hooks import ConnectRequest
from mombroker.model import Identity
from mombroker.model.certificate import ClientCertificate
from mombroker.model.errors import ConfigurationError
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD, CLIENT_IDENTIFIER_NOT_VALID, NOT_AUTHORIZED
from mombroker_plugins.client_certificates import ClientCertificates

SHOWN = ClientCertificate(
    subject=(("organizationName", "Pumps"), ("commonName", "pump-7")),
    alternative_names=(("DNS", "seven.example"), ("DNS", "7.example"), ("email", "7@example"), ("URI", "urn:pump:7")),
    serial="0A0B",
    fingerprint="ab" * 32,
)


def request(certificate=SHOWN, username=None, client_id="c"):
    return ConnectRequest(client_id, username, None, 5, "10.0.0.1", certificate=certificate)


def shown(**changes):
    return dataclasses.replace(SHOWN, **changes)


def test_the_user_is_the_common_name(make):
    answer = make(ClientCertificates).mombroker_authenticate(request())
    assert answer == Identity("c", "pump-7", frozenset(), "10.0.0.1")
    assert answer.attributes["certificate"] is SHOWN


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{common_name}", "pump-7"),
        ("{dns}", "seven.example"),
        ("{email}", "7@example"),
        ("{uri}", "urn:pump:7"),
        ("{serial}", "0A0B"),
        ("{fingerprint}", "ab" * 32),
        ("pump:{common_name}/{serial}", "pump:pump-7/0A0B"),
    ],
)
def test_a_name_is_made_of_what_the_certificate_holds(make, template, name):
    assert make(ClientCertificates, username=template).mombroker_authenticate(request()).username == name


def test_a_client_that_shows_none_is_left_to_others(make):
    assert make(ClientCertificates).mombroker_authenticate(request(None, "pump-7")) is None


def test_the_username_of_the_connect_may_be_the_same_and_no_other(make):
    plugin = make(ClientCertificates)
    assert plugin.mombroker_authenticate(request(username="pump-7")).username == "pump-7"
    for other in ("pump-8", "PUMP-7", ""):
        assert plugin.mombroker_authenticate(request(username=other)).reason == BAD_USER_NAME_OR_PASSWORD


def test_the_client_identifier_must_be_the_username_if_that_is_set(make):
    plugin = make(ClientCertificates, client_id_is_username=True)
    assert plugin.mombroker_authenticate(request(client_id="pump-7")).client_id == "pump-7"
    assert plugin.mombroker_authenticate(request(client_id="pump-8")).reason == CLIENT_IDENTIFIER_NOT_VALID


def test_roles_are_those_of_all_and_those_of_the_user(make):
    plugin = make(ClientCertificates, roles=["device"], user_roles={"pump-7": ["operator"], "pump-8": ["admin"]})
    assert plugin.mombroker_authenticate(request()).roles == {"device", "operator"}


@pytest.mark.parametrize(
    ("template", "certificate"),
    [
        ("{common_name}", shown(subject=())),
        ("{common_name}", shown(subject=(("commonName", " pump-7"),))),
        ("{common_name}", shown(subject=(("commonName", "pump\n7"),))),
        ("{common_name}", shown(subject=(("commonName", "x" * 201),))),
        ("{dns}", shown(alternative_names=(("email", "7@example"),))),
        ("x{email}", shown(alternative_names=())),
        ("{uri}-{serial}", shown(serial="")),
    ],
)
def test_a_certificate_without_a_usable_name_is_refused(make, template, certificate):
    answer = make(ClientCertificates, username=template).mombroker_authenticate(request(certificate))
    assert answer.reason == NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"username": "{issuer}"}, r"\{issuer\} is no part of a certificate: write one of \{common_name\}"),
        ({"username": "{common_name.der}"}, "is no part"),
        ({"username": "{common_name!r}"}, "is no part"),
        ({"username": "{}"}, "is no part"),
        ({"username": "{dns"}, "expected '}'"),
        ({"username": "device"}, "everybody's name"),
        ({"roles": [""]}, "roles"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(make, options, message):
    with pytest.raises(ConfigurationError, match=message):
        make(ClientCertificates, **options)
