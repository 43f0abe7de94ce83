"""The broker's certificates: one configuration for MQTT, HTTP and gRPC, which can be read again while it runs."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mombroker.model.errors import ConfigurationError
from mombroker.wiring.settings_keys import TlsSettings

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
VERIFY: Final = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class RenewableContext(ssl.SSLContext):
    """A context in whose place another one does the handshakes.

    Event loops keep the context that a server was made with; those that it should use change when certificates do.
    """

    current: ssl.SSLContext

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """A new connection, by the certificates of now."""
        return self.current.wrap_bio(*args, **options)


class Certificates:
    """What encrypted listeners are given. Raises ConfigurationError where a file is missing or unfit."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._contexts: list[tuple[RenewableContext, tuple[str, ...], bool]] = []
        self._check(settings)

    def context(self, protocols: Sequence[str], asks_clients: bool) -> ssl.SSLContext:
        """A context for a listener that speaks one of ``protocols`` (ALPN). It follows :meth:`reload`.

        ``asks_clients``: clients show certificates of their own, if the settings want them to.
        """
        context = RenewableContext(ssl.PROTOCOL_TLS_SERVER)
        context.current = _context(self._settings, protocols, asks_clients)
        self._contexts.append((context, tuple(protocols), asks_clients))
        return context

    def reload(self, settings: TlsSettings) -> None:
        """Take over the files as they are now, for connections that come from now on. If anything is wrong with them
        everything stays as it was."""
        self._check(settings)
        made = [_context(settings, protocols, asks) for _, protocols, asks in self._contexts]
        for (context, _, _), renewed in zip(self._contexts, made, strict=True):
            context.current = renewed
        self._settings = settings

    def key_and_chain(self) -> tuple[bytes, bytes]:
        """The private key and the certificate chain, for libraries that bring a TLS of their own."""
        settings = self._settings
        return _read(settings.key or settings.certificate, "tls.key"), _read(settings.certificate, "tls.certificate")

    def _check(self, settings: TlsSettings) -> None:
        if not settings.certificate:
            raise ConfigurationError("an encrypted address needs a certificate: set tls.certificate and tls.key")
        if settings.client_certificates != "off" and not settings.client_ca:
            raise ConfigurationError(
                f"tls.client_certificates is {settings.client_certificates!r}, but tls.client_ca names nobody who may "
                "have signed them"
            )
        _context(settings, (), True)


def _context(settings: TlsSettings, protocols: Sequence[str], asks_clients: bool) -> ssl.SSLContext:
    context = _bare(settings, protocols, asks_clients)
    password = _password(settings)
    _load_chain(context, settings.certificate, settings.key, password)
    hosts = [_host(text, settings, protocols, asks_clients) for text in settings.hosts]
    if hosts:

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            for host, other in hosts:
                if name is not None and _is_named(name.lower(), host):
                    connection.context = other
                    return

        context.sni_callback = choose
    return context


def _bare(settings: TlsSettings, protocols: Sequence[str], asks_clients: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[settings.minimum_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if asks_clients and settings.client_certificates != "off":
        context.verify_mode = VERIFY[settings.client_certificates]
        _load_authorities(context, settings.client_ca, "tls.client_ca")
        if settings.crl:
            _load_authorities(context, settings.crl, "tls.crl")
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _host(text: str, settings: TlsSettings, protocols: Sequence[str], asks_clients: bool) -> tuple[str, ssl.SSLContext]:
    name, found, file = text.partition("=")
    if not name or not found or not file:
        raise ConfigurationError(f"tls.hosts has {text!r}: write HOST=FILE")
    context = _bare(settings, protocols, asks_clients)
    _load_chain(context, file, "", None)
    return name.lower(), context


def _is_named(name: str, host: str) -> bool:
    if host.startswith("*."):
        return name.partition(".")[2] == host[2:]
    return name == host


def _load_chain(context: ssl.SSLContext, certificate: str, key: str, password: str | None) -> None:
    for path, setting in ((certificate, "the certificate"), (key, "the key")):
        if path:
            _read(path, setting)
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key or None, password or "")
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"cannot use the certificate {certificate} with the key {key or certificate}: {_reason(error)}"
        ) from None


def _load_authorities(context: ssl.SSLContext, path: str, setting: str) -> None:
    _read(path, setting)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigurationError(f"cannot use {setting} = {path}: {_reason(error)}") from None


def _password(settings: TlsSettings) -> str | None:
    if not settings.key_password_file:
        return None
    text = _read(settings.key_password_file, "tls.key_password_file").decode("utf-8", "replace")
    return text.splitlines()[0] if text else ""


def _read(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {setting} {path}: {error.strerror}") from None


def _reason(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return (error.reason or "no PEM file with what is needed").lower().replace("_", " ")
