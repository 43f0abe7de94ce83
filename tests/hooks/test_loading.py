"""Plugins from the settings: which are loaded, in which order, and what is said when that fails."""

import re
import sys
import tomllib
import types
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from mombroker.hooks import hookimpl
from mombroker.model import ConfigurationError, Identity, PluginError
from mombroker.wiring.plugin_loading import check_exposure, has_authenticator
from mombroker.wiring.settings_address import parse_address

THIS = __name__
PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


class Plain:
    def __init__(self, context):
        self.context = context


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Nested:
    host: str = "localhost"


@dataclass(frozen=True)
class DataclassSettings:
    port: int
    servers: tuple[Nested, ...] = ()
    named: dict[str, Nested] = field(default_factory=dict)
    color: Color | None = None

    def __post_init__(self):
        if self.port == 13:
            raise ValueError("13 is an unlucky port")


class WithDataclass:
    Settings = DataclassSettings

    def __init__(self, settings, context):
        self.settings = settings
        self.context = context


class WithStruct:
    class Settings(msgspec.Struct, rename="kebab"):
        time_out: Annotated[float, msgspec.Meta(gt=0)] = 1.0

    def __init__(self, settings, context):
        self.settings = settings


class BadSettings:
    class Settings:
        pass


class Failing:
    def __init__(self, context):
        raise RuntimeError("no such device")


class Authenticator:
    def __init__(self, context=None):
        pass

    @hookimpl
    def mombroker_authenticate(self, request):
        return Identity(request.client_id)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Entry points name this module; tests are not importable otherwise."""
    monkeypatch.setitem(sys.modules, "loading_cases", sys.modules[THIS])


@pytest.fixture
def load_case(load, installed):
    from importlib.metadata import EntryPoint

    for name in ("Plain", "WithDataclass", "WithStruct", "BadSettings", "Failing", "Authenticator", "Missing"):
        installed[name.lower()] = [EntryPoint(name.lower(), f"loading_cases:{name}", "mombroker")]
    installed["no_module"] = [EntryPoint("no_module", "not_there_at_all", "mombroker")]
    installed["twice"] = [EntryPoint("twice", value, "mombroker") for value in ("one:Plugin", "another:Plugin")]
    return load


def names(plugins):
    return [name for name, _ in reversed(plugins.list_name_plugin())]


def test_without_settings_there_are_storage_limits_and_anonymous(load):
    assert names(load()) == ["storage", "queue_limits", "anonymous"]


def test_the_settings_come_first_and_in_their_own_order(load_case):
    tables = {"withstruct": {}, "queue_limits": {}, "plain": {}}
    assert names(load_case(tables)) == ["withstruct", "queue_limits", "plain", "storage", "anonymous"]


def test_plugin_objects_of_the_program_come_before_all(load_case):
    first, second = Plain(None), Plain(None)
    assert names(load_case({"plain": {}}, first, second))[:3] == ["Plain", "Plain-2", "plain"]


def test_anonymous_stays_out_when_somebody_authenticates(load_case):
    assert "anonymous" not in names(load_case({"authenticator": {}}))
    assert "anonymous" not in names(load_case({}, Authenticator()))
    assert "anonymous" not in names(load_case({"users": {}}))
    assert "anonymous" in names(load_case({"acl": {}}))


BUILT_IN_EXAMPLES = re.findall(r"```toml\n(\[+plugins\.(?:acl|queue_limits).*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("source", BUILT_IN_EXAMPLES)
def test_the_settings_on_the_page_of_the_plugins_load(load, source):
    load(tomllib.loads(source)["plugins"])


def test_there_are_such_settings():
    assert len(BUILT_IN_EXAMPLES) == 2


def roles_of_nobody(plugins, request_of):
    return plugins.get_plugin("anonymous").mombroker_authenticate(request_of()).roles


def test_without_settings_anonymous_clients_of_this_machine_run_the_broker(load, request_of):
    assert roles_of_nobody(load(), request_of) == {"admin"}
    assert roles_of_nobody(load({"queue_limits": {}}), request_of) == {"admin"}
    assert load().get_plugin("anonymous").mombroker_authenticate(request_of(address="8.8.8.8")) is None


@pytest.mark.parametrize("table", [{}, {"allow": "loopback"}, {"allow": "any"}, {"admin": False}])
def test_anonymous_clients_do_not_run_the_broker_where_the_settings_have_a_section_about_them(load, request_of, table):
    assert roles_of_nobody(load({"anonymous": table}), request_of) == frozenset()


def test_anonymous_clients_do_not_run_the_broker_where_somebody_decides_about_rights(load, request_of):
    class Rights:
        @hookimpl
        def mombroker_authorize(self, identity):
            return None

    assert roles_of_nobody(load({"acl": {}}), request_of) == frozenset()
    assert roles_of_nobody(load({}, Rights()), request_of) == frozenset()
    assert roles_of_nobody(load({"acl": {}, "anonymous": {"admin": True}}), request_of) == {"admin"}


def test_anonymous_beside_an_authenticator_is_a_choice_of_the_settings(load_case):
    assert names(load_case({"anonymous": {}, "authenticator": {}}))[:2] == ["anonymous", "authenticator"]


def test_a_plugin_that_is_turned_off_is_not_loaded_by_default_either(load):
    tables = {"anonymous": {"enabled": False}, "queue_limits": {"enabled": False}}
    assert names(load(tables)) == ["storage"]


def test_a_module_is_a_plugin_as_it_is(load):
    assert load().get_plugin("storage").__name__ == "mombroker_storage.plugin"


def test_a_class_is_made_with_its_name_state_and_log(load_case, states):
    context = load_case({"plain": {"enabled": True}}).get_plugin("plain").context
    assert context.name == "plain"
    assert context.state is states["plain"]
    assert callable(context.log.info)


def test_settings_are_converted_to_the_plugins_own_class(load_case):
    tables = {
        "withdataclass": {"port": 1, "servers": [{"host": "a"}], "named": {"x": {"host": "b"}}, "color": "red"},
        "withstruct": {"time-out": 3},
    }
    plugins = load_case(tables)
    expected = DataclassSettings(1, (Nested("a"),), {"x": Nested("b")}, Color.RED)
    assert plugins.get_plugin("withdataclass").settings == expected
    assert plugins.get_plugin("withstruct").settings.time_out == 3.0


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        (
            "withdataclass",
            {"prot": 1},
            r"\[plugins.withdataclass\] prot is not a setting of this plugin; did you mean port",
        ),
        ("withdataclass", {"port": "1"}, r"\[plugins.withdataclass\] port: Expected `int`, got `str`"),
        ("withdataclass", {}, r"\[plugins.withdataclass\] Object missing required field `port`"),
        ("withdataclass", {"port": 13}, r"\[plugins.withdataclass\] 13 is an unlucky port"),
        ("withdataclass", {"port": 1, "color": "rde"}, r'color: Invalid enum value .*; write one of "red", "blue"'),
        ("withdataclass", {"port": 1, "servers": [{}, {"hots": ""}]}, r"servers\[1\].hots is not .*did you mean host"),
        ("withdataclass", {"port": 1, "named": {"x": {"hots": ""}}}, r"named.x.hots is not .*did you mean host"),
        ("withdataclass", {"port": 1, "servers": [{"host": 1}]}, r"servers\[0\].host: Expected `str`"),
        ("withstruct", {"time_out": 1}, r"time_out is not a setting .*did you mean time-out"),
        ("withstruct", {"time-out": 0}, r"time-out: Expected `float` > 0"),
        ("plain", {"port": 1}, r"\[plugins.plain\] port: this plugin has no settings"),
        ("storage", {"port": 1}, r"\[plugins.storage\] port: this plugin has no settings"),
    ],
)
def test_a_wrong_option_is_named_with_its_section(load_case, name, options, text):
    with pytest.raises(ConfigurationError, match=text):
        load_case({name: options})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plian", "plian is enabled but not installed: did you mean plain.* pip install mombroker-plugin-plian"),
        ("my_ldap", "installed are acl, .* pip install mombroker-plugin-my-ldap"),
        ("no_module", r"no_module \(not_there_at_all\) cannot be imported: ModuleNotFoundError"),
        ("missing", "missing .* cannot be imported: AttributeError"),
        ("failing", "failing cannot be made: RuntimeError: no such device"),
        ("badsettings", "Settings that are neither a msgspec.Struct nor a dataclass"),
        ("twice", "twice is claimed by another:Plugin and one:Plugin"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named_with_the_reason(load_case, name, text):
    with pytest.raises(PluginError, match=text):
        load_case({name: {}})


def test_nothing_installed_is_said_as_such(installed, load):
    installed.clear()
    with pytest.raises(PluginError, match="no plugin is installed at all"):
        load()


def test_a_class_in_place_of_a_plugin_object_is_refused(load):
    with pytest.raises(PluginError, match=r"is a class: pass an object of it, Plain\(\.\.\.\)"):
        load({}, Plain)


def test_the_same_object_twice_is_refused(load):
    plugin = Authenticator()
    with pytest.raises(PluginError, match="Authenticator cannot be used"):
        load({}, plugin, plugin)


def with_hook(hook, name="mombroker_authorize", mark=hookimpl):
    return type("Case", (), {name: mark(hook)})()


async def coroutine(self, queue, message):
    return None


def generator(self, identity):
    yield


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        (
            with_hook(lambda self, identity: None, "mombroker_authorise"),
            "mombroker_authorise is no hook; did you mean mom",
        ),
        (
            with_hook(lambda self, identity, topic: None),
            "argument topic that it will not be given; mombroker_authorize is c",
        ),
        (with_hook(lambda self, *, identity: None), "takes identity, which hooks do not get"),
        (with_hook(lambda self, *identity: None, mark=lambda hook: hook), "not marked as a hook"),
        (with_hook(coroutine, "mombroker_overflow"), "mombroker_overflow is async, but the broker waits"),
        (with_hook(generator, mark=hookimpl(wrapper=True)), "is a wrapper"),
        (with_hook(lambda self: None, "other", hookimpl(specname="mombroker_startup")), "other is no hook"),
        (with_hook(lambda self, cli: None, "mombroker_cli"), "make it a @staticmethod"),
    ],
)
def test_a_hook_that_would_never_work_keeps_the_plugin_out(load, plugin, text):
    with pytest.raises(PluginError, match=text):
        load({}, plugin)


def test_arguments_with_defaults_and_hooks_of_other_releases_are_let_through(load):
    load({}, with_hook(lambda self, identity, mine=3: None))
    load({}, with_hook(lambda self, news: None, "mombroker_of_tomorrow", hookimpl(optionalhook=True)))


def test_a_module_is_checked_like_a_class(load):
    module = types.ModuleType("some_module")
    module.mombroker_authorize = hookimpl(lambda identity, what: None)
    with pytest.raises(PluginError, match="argument what"):
        load({}, module)


def test_only_anonymous_counts_as_nobody_who_authenticates(load_case):
    assert not has_authenticator(load_case())
    assert not has_authenticator(load_case({"anonymous": {}, "acl": {}}))
    assert has_authenticator(load_case({"authenticator": {}}))
    assert has_authenticator(load_case({}, Authenticator()))


@pytest.mark.parametrize("address", ["0.0.0.0:1883", "[::]:1883", "192.168.0.1:1883", "broker.example:1883"])
def test_an_open_address_needs_somebody_who_authenticates(load_case, address):
    with pytest.raises(ConfigurationError, match=r"\[plugins.users\].*allow = \"any\""):
        check_exposure("mqtt.listen", [parse_address(each) for each in ("127.0.0.1:1883", address)], load_case())
    check_exposure("http.listen", [parse_address(address)], load_case({"authenticator": {}}))
    check_exposure("http.listen", [parse_address(address)], load_case({"anonymous": {"allow": "any"}}))


@pytest.mark.parametrize("address", ["127.0.0.1:1883", "127.8.8.8:1", "[::1]:1883", "localhost:1883"])
def test_an_address_of_this_machine_needs_nobody(load_case, address):
    check_exposure("http.listen", [parse_address(address)], load_case())
