"""Settings: where they come from, which source wins, and what is said of a mistake."""

import dataclasses
from pathlib import Path

import msgspec
import pytest

from mombroker.core.limits import Limits
from mombroker.model.errors import ConfigurationError
from mombroker.wiring.settings import Settings, load_settings
from mombroker.wiring.settings_keys import SECTIONS, MqttSettings, StorageSettings


@pytest.fixture
def file(tmp_path):
    """Writes a settings file and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "mombroker.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problem(*sources, **named):
    """The message of the error that these sources make."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(*sources, **named)
    return str(caught.value)


def test_without_any_source_the_defaults_hold():
    assert load_settings() == Settings()
    assert load_settings().mqtt.listen == ("127.0.0.1:1883",)
    assert load_settings().storage.durability == "fsync"


def test_the_mqtt_section_has_every_limit_of_the_core_with_its_default():
    assert MqttSettings().limits() == Limits()
    fields = {key.name for key in dataclasses.fields(Limits)}
    assert set(MqttSettings.__struct_fields__) - {"listen", "origins", "proxies", "unix_mode"} == fields


def test_limits_follow_the_settings(file):
    limits = load_settings(file('[mqtt]\nversions = ["5.0", "3.1.1"]\nmaximum_qos = 1\n')).mqtt.limits()
    assert limits == Limits(versions=(4, 5), maximum_qos=1)


def test_the_command_line_beats_the_environment_and_that_the_file(file):
    path = file('[storage]\ndata = "file"\ninterval_ms = 1\ndurability = "interval"\n')
    environ = {"MOMBROKER_STORAGE_DATA": "environment", "MOMBROKER_STORAGE_INTERVAL_MS": "2"}
    storage = load_settings(path, environ, {"storage.data": "flag", "storage.url": None}).storage
    assert storage == StorageSettings(data="flag", interval_ms=2, durability="interval")


def test_the_environment_can_name_the_file(file):
    path = file('[log]\nlevel = "debug"\n')
    assert load_settings(None, {"MOMBROKER_CONFIG": str(path)}).log.level == "debug"


def test_a_file_given_beats_the_one_that_the_environment_names(file):
    path = file('[log]\nlevel = "debug"\n')
    assert load_settings(path, {"MOMBROKER_CONFIG": "/nowhere"}).log.level == "debug"


def test_no_file_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mombroker.toml").write_text('[log]\nlevel = "debug"\n')
    assert load_settings(None, {}).log.level == "info"


def test_the_environment_is_read_by_the_type_of_the_setting():
    environ = {
        "MOMBROKER_MQTT_LISTEN": "0.0.0.0:0, [::1]:1883",
        "MOMBROKER_MQTT_VERSIONS": "5.0",
        "MOMBROKER_MQTT_QUEUE_QOS0": "true",
        "MOMBROKER_MQTT_CONNECT_TIMEOUT": "2.5",
        "MOMBROKER_MQTT_MAX_INFLIGHT": "7",
        "MOMBROKER_COMPILE": "0",
        "HOME": "/root",
    }
    mqtt = load_settings(None, environ).mqtt
    assert [str(address) for address in mqtt.addresses()] == ["0.0.0.0:0", "[::1]:1883"]
    assert (mqtt.versions, mqtt.queue_qos0, mqtt.connect_timeout, mqtt.max_inflight) == (("5.0",), True, 2.5, 7)


def test_the_tables_of_plugins_are_kept_as_they_are_written(file):
    text = "[plugins.users]\n[plugins.acl]\nenabled = false\n[plugins.other]\nroot = { a = [1] }\n"
    tables = load_settings(file(text)).plugins
    assert tables == {"users": {}, "acl": {"enabled": False}, "other": {"root": {"a": [1]}}}
    assert list(tables) == ["users", "acl", "other"], "plugins are asked in the order of the file"


def test_the_store_is_lmdb_in_the_data_directory_unless_its_address_is_given():
    assert StorageSettings().store_url() == "lmdb:./data"
    assert StorageSettings(data="/a?b%c").store_url() == "lmdb:/a%3Fb%25c"
    assert StorageSettings(url="other:1").store_url() == "other:1"
    assert StorageSettings(durability="memory").store_url() == "memory:"


MISTAKES = [
    ("[mqtt]\nrecieve_maximum = 3", "line 2: there is no key recieve_maximum in [mqtt]; did you mean receive_maximum?"),
    ("[mqt]", "line 1: there is no section [mqt]; did you mean mqtt?"),
    ("[zzz]", "line 1: there is no section [zzz]; there are grpc, hooks, http, log, mqtt, native, plugins, storage"),
    ("[mqtt]\n\nmax_inflight = 0", "line 3: mqtt.max_inflight is 0: write a whole number from 1 to 65535"),
    ("[mqtt]\nmax_inflight = 1.0", "line 2: mqtt.max_inflight is 1.0: write a whole number from 1 to 65535"),
    ("[mqtt]\nmax_inflight = true", "line 2: mqtt.max_inflight is true: write a whole number from 1 to 65535"),
    ("[mqtt]\nqueue_qos0 = 1", "line 2: mqtt.queue_qos0 is 1: write true or false"),
    ("[hooks]\ntime_budget = 0", "line 2: hooks.time_budget is 0: write a number from 0.01 to 300"),
    ("[mqtt]\nversions = []", 'mqtt.versions is []: write a list of one or more of "3.1", "3.1.1", "5.0"'),
    ('[mqtt]\nversions = ["4"]', 'mqtt.versions is ["4"]: write a list of one or more of "3.1", "3.1.1", "5.0"'),
    ('[mqtt]\nlisten = ":1883"', 'line 2: mqtt.listen is ":1883": write a list of one or more texts'),
    ('[mqtt]\nlisten = [":1883"]', "line 2: mqtt.listen: ':1883' is not an address: write HOST:PORT"),
    ('[storage]\ndata = ""', 'line 2: storage.data is "": write a text that is not empty'),
    ('[storage]\ndurability = "none"', 'storage.durability is "none": write one of "fsync", "interval", "memory"'),
    ("log = 1", "line 1: log is a section; write its keys below a line [log]"),
    ("[plugins]\nusers = true", "line 2: write a section [plugins.users] for the plugin users"),
    ("[plugins.a]\n[plugins.b]\nenabled = 1", "line 3: plugins.b.enabled is 1: write true or false"),
    ("[mqtt", "is not valid TOML"),
    ("[mqtt]\nlisten = " + "[" * 20_000, "is nested too deeply"),
    ("[mqtt]\nmax_inflight = " + "9" * 5000, "is not valid TOML: Exceeds the limit"),
    ("mqtt.max_inflight = 0", "mqtt.max_inflight is 0: write a whole number from 1 to 65535"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_in_the_file_is_told_with_its_place_and_a_remedy(file, text, message):
    path = file(text)
    told = problem(path)
    assert told.startswith(str(path))
    assert message in told


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MOMBROKER_MQTT_MAX_INFLIGTH", "1", "is no setting; did you mean MOMBROKER_MQTT_MAX_INFLIGHT?"),
        ("MOMBROKER_X", "1", "the environment variable MOMBROKER_X is no setting; docs/configuration.md lists them"),
        ("MOMBROKER_MQTT_MAX_INFLIGHT", "many", 'MOMBROKER_MQTT_MAX_INFLIGHT is "many": write a whole number'),
        ("MOMBROKER_MQTT_QUEUE_QOS0", "perhaps", 'MOMBROKER_MQTT_QUEUE_QOS0 is "perhaps": write true or false'),
        ("MOMBROKER_LOG_LEVEL", "\udcff", 'MOMBROKER_LOG_LEVEL is "\udcff": write one of "debug"'),
        ("MOMBROKER_PLUGINS_USERS", "1", "plugins are set in the settings file, below [plugins.NAME]"),
    ],
)
def test_a_mistake_in_the_environment_is_told_with_its_variable(name, value, message):
    assert message in problem(None, {name: value})


def test_a_mistake_in_an_overruled_source_is_a_mistake_all_the_same(file):
    assert "max_inflight" in problem(file("[mqtt]\nmax_inflight = 0"), {"MOMBROKER_MQTT_MAX_INFLIGHT": "5"})


def test_a_bad_value_on_the_command_line_is_told_as_such():
    assert "the option mqtt.listen: 'x' is not an address" in problem(overrides={"mqtt.listen": ("x",)})


def test_settings_can_be_overridden_in_part(file):
    settings = load_settings(file("[mqtt]\nmaximum_qos = 1\n[plugins.users]\n"))
    other = settings.overridden({"mqtt.listen": ["127.0.0.1:0"], "storage.data": None})
    assert (other.mqtt.maximum_qos, other.mqtt.listen, other.plugins) == (1, ("127.0.0.1:0",), {"users": {}})
    assert settings.mqtt.listen == ("127.0.0.1:1883",)
    with pytest.raises(ConfigurationError, match="the option mqtt.maximum_qos is 3: write a whole number from 0 to 2"):
        settings.overridden({"mqtt.maximum_qos": 3})


def test_a_file_that_is_not_there_or_no_text_is_told_in_one_line(tmp_path):
    assert (
        problem(tmp_path / "none.toml")
        == f"cannot read the settings file {tmp_path}/none.toml: No such file or directory"
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "is not UTF-8 text" in problem(tmp_path / "binary")


@pytest.mark.parametrize("section", SECTIONS)
def test_every_number_has_a_range_and_its_default_lies_in_it(section):
    for key in msgspec.structs.fields(SECTIONS[section]):
        details = msgspec.inspect.type_info(key.type)
        kind = details.type if isinstance(details, msgspec.inspect.Metadata) else details
        if isinstance(kind, (msgspec.inspect.IntType, msgspec.inspect.FloatType)):
            assert kind.ge is not None and kind.le is not None, f"{section}.{key.name} has no range"
            assert kind.ge <= key.default <= kind.le
