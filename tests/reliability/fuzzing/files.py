"""What a person or another program writes: settings, rules, addresses, user records. Each is read, or refused with one
of the project's own errors; nothing else may happen."""

import tomllib
from pathlib import Path
from typing import Any, cast

from mombroker.model.errors import MombrokerError
from mombroker.model.identity import ACTIONS, Identity
from mombroker.mqtt.errors import ProtocolError
from mombroker.mqtt.topics import check_filter, check_name, matches, split_shared
from mombroker.wiring.plugin_settings import plugin_settings
from mombroker.wiring.settings import load_settings
from mombroker.wiring.settings_address import optional_addresses, parse_address
from mombroker_plugins.acl import AclSettings
from mombroker_plugins.acl_rules import OwnRules
from mombroker_plugins.user_records import UserError, _decoded, is_name
from mombroker_storage.address import parse_lmdb_address
from tests.reliability.fuzzing.defects import says_why

SETTINGS = """
[mqtt]
listen = ["127.0.0.1:1883", "[::1]:1884"]
max_packet_size = 1000
[storage]
durability = "interval"
[log]
level = "debug"
[plugins.acl]
enabled = true
[[plugins.acl.rules]]
user = "ann"
topic = "a/%u/#"
access = "readwrite"
"""
RULES = """
default = "allow"
rules = [
  { anyone = true, topic = "%c/+", access = "deny" },
  { user = "ann", queue = "%u-*", access = "all" },
  { role = "admin", admin = true },
  { client = "c", service = "x?", access = "read" },
]
"""
IDENTITIES = (
    Identity("c", "ann"),
    Identity("+", "#"),
    Identity("", None, frozenset({"admin"})),
    Identity("%u", "%c"),
    Identity("a/b", "*"),
)
RESOURCES = (
    "a/ann/b",
    "#",
    "+/b",
    "$SYS/x",
    "$share/g/a/#",
    "$share/g",
    "queue:ann-1",
    "service:xy",
    "broker",
    "",
    "/",
)


class Written:
    """A settings file that is in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_text(self, encoding: str) -> str:
        return self._data.decode(encoding)

    def __str__(self) -> str:
        return "broker.toml"


def run(data: bytes) -> None:
    """One text, read by the reader that the first byte chooses."""
    if data:
        READERS[data[0] % len(READERS)](data[1:])


def _settings(data: bytes) -> None:
    try:
        settings = load_settings(cast(Path, Written(data)))
    except MombrokerError as error:
        says_why(error)
    else:
        assert settings.file == "broker.toml"


def _environment(data: bytes) -> None:
    name, _, value = data.decode("utf-8", "surrogateescape").partition("=")
    try:
        load_settings(environ={f"MOMBROKER_{name}": value})
    except MombrokerError as error:
        says_why(error)


def _rules(data: bytes) -> None:
    try:
        options = tomllib.loads(data.decode("utf-8", "replace"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return  # not what is tested here
    try:
        settings = plugin_settings("acl", AclSettings, options)
    except MombrokerError as error:
        says_why(error)
        return
    for identity in IDENTITIES:
        own = OwnRules(identity, settings.rules)
        for action in (*ACTIONS, "fly"):
            for resource in RESOURCES:
                assert own.decision(action, resource, False) in (True, False, None)


def _addresses(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for read in (parse_address, optional_addresses, parse_lmdb_address):
        try:
            found: Any = read(text)
        except MombrokerError as error:
            says_why(error)
            continue
        if read is parse_address:
            assert parse_address(str(found)) == found
            assert found.is_loopback in (True, False)


def _user(data: bytes) -> None:
    try:
        record = _decoded("ann", data)
    except UserError as error:
        says_why(error)
    else:
        assert isinstance(record.hash, str)
    is_name(data.decode("utf-8", "surrogateescape"))


def _topics(data: bytes) -> None:
    filter_bytes, _, name = data.partition(b"\n")
    try:
        topic = check_name(name)
    except ProtocolError:
        topic = "a/b"
    filter = filter_bytes.decode("utf-8", "replace")
    try:
        parts = split_shared(filter)
    except ProtocolError:
        return
    plain = filter if parts is None else parts[1]
    if check_filter(plain) and "+" not in plain and "#" not in plain:
        assert matches(plain, topic) == (plain == topic)
    if check_filter(plain):
        assert matches("#", plain) or plain.startswith("$")


READERS = (_settings, _environment, _rules, _addresses, _user, _topics)


def seeds() -> list[bytes]:
    """Sound texts of each kind."""
    texts = [
        (0, SETTINGS),
        (1, "MQTT_MAX_PACKET_SIZE=1000"),
        (1, "MQTT_LISTEN=127.0.0.1:1, [::1]:2"),
        (1, "LOG_LEVEL=debug"),
        (2, RULES),
        (3, "127.0.0.1:1883"),
        (3, "[::1%eth0]:1, off"),
        (3, "lmdb:///var/lib/x?map_size=64MiB&max_map_size=1TiB"),
        (4, '{"hash":"$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA","roles":["admin"],"created":1.5}'),
        (5, "a/+/#\na/b/c"),
        (5, "$share/g/a\na"),
    ]
    return [bytes((reader,)) + text.encode() for reader, text in texts]
