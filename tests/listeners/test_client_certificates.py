"""The plugin client_certificates behind real handshakes, enabled as in a settings file."""

import ssl

import pytest

import mombroker
from mombroker.broker import Broker
from mombroker.client import ConnectionRefused, LoginRefused
from mombroker.hooks import ClientConnected, Event, PluginContext, hookimpl
from mombroker.model.identity import Identity
from mombroker_plugins.client_certificates import ClientCertificates, ClientCertificatesSettings

from .conftest import Authority, Start

LISTEN = "mqtts://127.0.0.1:0"


class Guests:
    """Remembers who has come in."""

    def __init__(self) -> None:
        self.seen: list[Identity] = []

    @hookimpl
    def mombroker_event(self, event: Event) -> None:
        if isinstance(event, ClientConnected):
            self.seen.append(event.identity)


def plugin(**settings: object) -> ClientCertificates:
    return ClientCertificates(
        ClientCertificatesSettings(**settings),  # type: ignore[arg-type]
        PluginContext("client_certificates", None, None),  # type: ignore[arg-type]
    )


def url(broker: Broker) -> str:
    return f"mqtts://127.0.0.1:{broker.port}"


@pytest.fixture
def shown(authority: Authority) -> ssl.SSLContext:
    """A client's context that shows the certificate of pump-7."""
    return authority.trusting(authority.issue("pump.example", common_name="pump-7"))


async def test_a_client_is_whom_its_certificate_names(start: Start, authority: Authority, shown: ssl.SSLContext):
    guests = Guests()
    plugins = (plugin(roles=("device",)), guests)
    broker = await start(LISTEN, plugins=plugins, tls__client_certificates="required", tls__client_ca=authority.file)
    async with mombroker.connect(url(broker), tls=shown, client_id="one"):
        pass
    async with mombroker.connect(url(broker), tls=shown, client_id="two", username="pump-7"):
        pass
    assert [(guest.client_id, guest.username, guest.roles) for guest in guests.seen] == [
        ("one", "pump-7", {"device"}),
        ("two", "pump-7", {"device"}),
    ]


async def test_alternative_names_are_read_from_a_real_certificate(start: Start, authority: Authority):
    guests = Guests()
    plugins = (plugin(username="{dns}"), guests)
    broker = await start(LISTEN, plugins=plugins, tls__client_certificates="required", tls__client_ca=authority.file)
    async with mombroker.connect(url(broker), tls=authority.trusting(authority.issue("seven.example"))):
        pass
    assert [guest.username for guest in guests.seen] == ["seven.example"]


async def test_another_name_than_the_certificates_is_refused(start: Start, authority: Authority, shown: ssl.SSLContext):
    broker = await start(
        LISTEN, plugins=(plugin(),), tls__client_certificates="required", tls__client_ca=authority.file
    )
    with pytest.raises(LoginRefused, match="user name"):
        async with mombroker.connect(url(broker), tls=shown, username="pump-8", password="x"):
            pass


async def test_another_client_identifier_is_refused_if_that_is_set(
    start: Start, authority: Authority, shown: ssl.SSLContext
):
    plugins = (plugin(client_id_is_username=True),)
    broker = await start(LISTEN, plugins=plugins, tls__client_certificates="required", tls__client_ca=authority.file)
    async with mombroker.connect(url(broker), tls=shown, client_id="pump-7"):
        pass
    with pytest.raises(ConnectionRefused, match="client identifier"):
        async with mombroker.connect(url(broker), tls=shown, client_id="pump-8"):
            pass


async def test_a_certificate_without_the_name_is_refused(start: Start, authority: Authority):
    broker = await start(
        LISTEN, plugins=(plugin(),), tls__client_certificates="required", tls__client_ca=authority.file
    )
    with pytest.raises(LoginRefused, match="does not hold the name"):
        async with mombroker.connect(url(broker), tls=authority.trusting(authority.issue("pump.example"))):
            pass


async def test_nobody_vouches_for_a_client_that_shows_none(start: Start, authority: Authority):
    broker = await start(
        LISTEN, plugins=(plugin(),), tls__client_certificates="optional", tls__client_ca=authority.file
    )
    with pytest.raises(LoginRefused):
        async with mombroker.connect(url(broker), tls=authority.trusting(), username="pump-7", password="x"):
            pass
