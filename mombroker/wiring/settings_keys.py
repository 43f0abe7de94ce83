"""Every setting there is: its name, type, default, range and meaning. The documentation is made from this file."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.core.limits import Limits
from mombroker.wiring.settings_address import (
    GRPC,
    HTTP,
    Address,
    Network,
    optional_addresses,
    parse_address,
    parse_network,
)

PROTOCOL_LEVELS: dict[str, int] = {"3.1": 3, "3.1.1": 4, "5.0": 5}

_U16 = 65_535
_U32 = 0xFFFFFFFF


class MqttSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """MQTT listeners and the bounds of the protocol engine. Sizes are bytes, times seconds."""

    listen: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Addresses to listen on: `HOST:PORT` (TCP), `mqtts://HOST:PORT` (TLS), `ws://HOST:PORT/PATH` "
            "and `wss://HOST:PORT/PATH` (WebSocket; without a path: `/mqtt`), `unix:PATH`; `systemd:NAME` in the place "
            "of HOST:PORT is a socket that systemd has opened. Port 0 takes a free one. Only this machine can reach "
            "the default; think of users and access rules before you open it to a network.",
        ),
    ] = ("127.0.0.1:1883",)
    origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Origins of web pages that may connect over WebSocket, such as `https://app.example`; `*` is "
            "every one. Empty: pages that this machine serves itself. Programs that are no browser may always."
        ),
    ] = ()
    unix_mode: Annotated[
        Literal["0600", "0660", "0666"],
        Meta(
            description="Who may connect to the Unix sockets: the broker's own user (`0600`), its group too, or "
            "everybody on this machine."
        ),
    ] = "0600"
    proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Load balancers that tell by the PROXY protocol (version 1 or 2) whose connection they pass "
            "on, as addresses or networks such as `10.0.0.0/8`. Their connections have to begin with it."
        ),
    ] = ()
    versions: Annotated[
        tuple[Literal["3.1", "3.1.1", "5.0"], ...],
        Meta(min_length=1, description="Protocol versions that clients may speak."),
    ] = ("3.1", "3.1.1", "5.0")
    guard_sessions: Annotated[
        bool,
        Meta(
            description="Whether the session of a user is given to nobody else: a client that comes with its client "
            "identifier and another user name is refused. Without user names, whoever has the identifier has the "
            "session."
        ),
    ] = True
    max_connections: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Connections at a time; one more is refused.")
    ] = 100_000
    max_packet_size: Annotated[
        int, Meta(ge=128, le=268_435_460, description="Largest packet a client may send, in bytes.")
    ] = 16_777_216
    maximum_qos: Annotated[int, Meta(ge=0, le=2, description="Highest QoS a client may publish with.")] = 2
    retain_available: Annotated[bool, Meta(description="Whether clients may publish retained messages.")] = True
    wildcard_available: Annotated[bool, Meta(description="Whether clients may subscribe with + and #.")] = True
    shared_available: Annotated[bool, Meta(description="Whether clients may use shared subscriptions.")] = True
    subscription_ids_available: Annotated[
        bool, Meta(description="Whether clients may number their subscriptions (MQTT 5).")
    ] = True
    allow_empty_client_id: Annotated[
        bool, Meta(description="Whether the broker names clients that do not say who they are.")
    ] = True
    receive_maximum: Annotated[
        int,
        Meta(ge=1, le=_U16, description="QoS 1 and 2 publishes of one MQTT 5 client that may wait to be acknowledged."),
    ] = 4096
    max_inflight: Annotated[
        int, Meta(ge=1, le=_U16, description="Messages sent to one client and not yet acknowledged by it.")
    ] = 1024
    topic_alias_maximum: Annotated[
        int, Meta(ge=0, le=_U16, description="Topic aliases that a client may define (MQTT 5).")
    ] = 64
    outbound_topic_aliases: Annotated[
        int,
        Meta(ge=0, le=_U16, description="Topic aliases that the broker uses towards a client that allows them."),
    ] = 16
    max_keep_alive: Annotated[
        int,
        Meta(
            ge=0,
            le=_U16,
            description="Longest keep-alive in seconds; a client that asks for more, or for none, gets this one. "
            "0: as the client asks.",
        ),
    ] = 0
    max_session_expiry: Annotated[
        int,
        Meta(
            ge=0,
            le=_U32,
            description="Longest life of a session without a connection, in seconds; 4294967295: for ever. Sessions of "
            "MQTT 3 clients live this long too.",
        ),
    ] = _U32
    max_subscriptions: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Subscriptions of one client; one more is refused.")
    ] = 100_000
    max_topic_levels: Annotated[
        int, Meta(ge=1, le=_U16, description="Levels of a topic name or filter; one with more is refused.")
    ] = 128
    queue_qos0: Annotated[bool, Meta(description="Whether QoS 0 messages wait for a client that is offline.")] = False
    max_message_age: Annotated[
        int, Meta(ge=0, le=_U32, description="Longest life of any message in seconds. 0: as its publisher says.")
    ] = 0
    connect_timeout: Annotated[
        float,
        Meta(ge=0.1, le=3600.0, description="Seconds from the opening of a connection to the client's CONNECT."),
    ] = 10.0
    max_out_buffer: Annotated[
        int,
        Meta(
            ge=4096,
            le=1 << 40,
            description="Unsent bytes of one connection; beyond them QoS 0 is dropped, and QoS 1 and 2 wait in the "
            "queue.",
        ),
    ] = 16_777_216
    max_unit_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            le=1 << 32,
            description="Bytes waiting for the disk; beyond them publishers are not read from until it has caught up.",
        ),
    ] = 16_777_216
    queues_per_user: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Named queues and services that one user may have. 0: no limit.")
    ] = 1000
    messages_per_user: Annotated[
        int, Meta(ge=0, le=1 << 50, description="Messages in all named queues of one user together. 0: no limit.")
    ] = 0
    bytes_per_user: Annotated[
        int, Meta(ge=0, le=1 << 60, description="The bytes of all messages in a user's named queues. 0: no limit.")
    ] = 0
    sys_interval: Annotated[
        int, Meta(ge=0, le=86_400, description="Seconds between publications of the $SYS topics. 0: none.")
    ] = 10
    auth_cache_seconds: Annotated[
        float,
        Meta(
            ge=0.0,
            le=86_400.0,
            description="Seconds that an authorisation answer is remembered for a connection. A right that is "
            "withdrawn may work for this much longer.",
        ),
    ] = 60.0
    auth_cache_size: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Authorisation answers remembered for one connection.")
    ] = 1024

    def addresses(self) -> tuple[Address, ...]:
        """``listen``, parsed. Raises ConfigurationError."""
        return tuple(parse_address(text) for text in self.listen)

    def balancers(self) -> tuple[Network, ...]:
        """``proxies``, parsed. Raises ConfigurationError."""
        return tuple(parse_network(text) for text in self.proxies)

    def limits(self) -> Limits:
        """The same bounds as the core takes them."""
        elsewhere = ("listen", "origins", "proxies", "unix_mode", "versions")
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name not in elsewhere}
        return Limits(versions=tuple(sorted(PROTOCOL_LEVELS[name] for name in set(self.versions))), **values)


class StorageSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where messages and sessions are kept, and what an acknowledgement promises."""

    data: Annotated[
        str,
        Meta(
            min_length=1,
            description="The data directory, made if it is not there. A relative one starts at the working directory.",
        ),
    ] = "./data"
    url: Annotated[
        str,
        Meta(
            description="The address of the store, such as `lmdb:/srv/broker?max_map_size=64GiB`: for options of the "
            "store, and for stores that plugins bring. Empty: LMDB in the data directory."
        ),
    ] = ""
    durability: Annotated[
        Literal["fsync", "interval", "memory"],
        Meta(
            description="What an acknowledgement means. `fsync`: the message is on disk. `interval`: it will be within "
            "`interval_ms`; a crash or power cut may lose that much. `memory`: nothing is on disk, and all is gone "
            "when the broker stops, users and sessions included."
        ),
    ] = "fsync"
    interval_ms: Annotated[
        int, Meta(ge=1, le=60_000, description="Milliseconds between two writes with durability `interval`.")
    ] = 100

    def store_url(self) -> str:
        """The address that the hook ``mombroker_open_store`` gets."""
        if self.durability == "memory":
            return self.url or "memory:"
        return self.url or "lmdb:" + self.data.replace("%", "%25").replace("?", "%3F")


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log, which goes to standard error. It never holds passwords or message payloads."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important thing that is logged.")
    ] = "info"
    format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="`console` for people, `json` for machines; `auto`: console in a terminal, otherwise json."),
    ] = "auto"


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The native API over HTTP."""

    listen: Annotated[
        str,
        Meta(
            description="The address to listen on, `HOST:PORT` or `https://HOST:PORT`, or several with commas between "
            "them. Port 0 takes a free one. `off`, or nothing: no HTTP."
        ),
    ] = "127.0.0.1:8080"
    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Further names of this machine that requests may come in under, such as the one of a proxy in "
            "front. On loopback addresses any other name is refused, so that no web page can reach the broker there."
        ),
    ] = ()
    max_body: Annotated[int, Meta(ge=1024, le=1 << 30, description="Largest body of a request, in bytes.")] = 16_777_216
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Connections at a time; one more is turned away.")
    ] = 1000
    read_timeout: Annotated[
        float, Meta(ge=0.1, le=3600.0, description="Seconds that a client may take to send a request.")
    ] = 30.0
    token_lifetime: Annotated[
        float, Meta(ge=1.0, le=2_592_000.0, description="Seconds that a bearer token is good for.")
    ] = 3600.0

    def addresses(self) -> tuple[Address, ...]:
        """Where to listen; none if HTTP is off."""
        return optional_addresses(self.listen, HTTP)


class GrpcSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The native API over gRPC, for which `mombroker[grpc]` has to be installed."""

    listen: Annotated[
        str,
        Meta(
            description="The address to listen on, `HOST:PORT` or `grpcs://HOST:PORT` (TLS), or several with commas "
            "between them. Port 0 takes a free one. `off`, or nothing: no gRPC."
        ),
    ] = "off"
    max_message: Annotated[
        int, Meta(ge=1024, le=1 << 29, description="Largest message that a client may send, in bytes.")
    ] = 16_777_216

    def addresses(self) -> tuple[Address, ...]:
        """Where to listen; none if gRPC is off."""
        return optional_addresses(self.listen, GRPC)


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The certificates of all encrypted addresses, MQTT, HTTP and gRPC alike. Files are PEM, and are read again on
    SIGHUP; connections that are open stay."""

    certificate: Annotated[
        str, Meta(description="The broker's certificate, with those between it and the root behind it.")
    ] = ""
    key: Annotated[str, Meta(description="The certificate's private key. Empty: it is in the certificate's file.")] = ""
    key_password_file: Annotated[
        str,
        Meta(description="A file whose first line opens an encrypted private key. Empty: the key is not encrypted."),
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Other certificates for clients that ask for a certain host (SNI), as `HOST=FILE`; the file "
            "has the certificate and its key. `*.example.org` is any one name in that place."
        ),
    ] = ()
    client_certificates: Annotated[
        Literal["off", "optional", "required"],
        Meta(
            description="Whether MQTT clients show a certificate of their own. `required`: nobody connects without "
            "one. A plugin says what it means for who they are."
        ),
    ] = "off"
    client_ca: Annotated[
        str,
        Meta(description="The certificates of those who may have signed the clients' ones; needed to ask for them."),
    ] = ""
    crl: Annotated[
        str,
        Meta(
            description="A list of revoked client certificates, of each authority in `client_ca`. Empty: none is "
            "revoked."
        ),
    ] = ""
    minimum_version: Annotated[Literal["1.2", "1.3"], Meta(description="The oldest version of TLS that is spoken.")] = (
        "1.2"
    )


class HooksSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How plugins are called."""

    time_budget: Annotated[
        float,
        Meta(
            ge=0.01,
            le=300.0,
            description="Seconds that one call of a hook may take before the broker goes on without its answer.",
        ),
    ] = 5.0


class NativeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The native API: queues, services and administration beyond plain MQTT."""

    topics: Annotated[
        bool, Meta(description="Whether MQTT 5 clients may ask for operations on the topics below `$mom/v1/`.")
    ] = True


SECTIONS: dict[str, type[Struct]] = {
    "mqtt": MqttSettings,
    "storage": StorageSettings,
    "http": HttpSettings,
    "grpc": GrpcSettings,
    "tls": TlsSettings,
    "log": LogSettings,
    "hooks": HooksSettings,
    "native": NativeSettings,
}
