"""Plugins: from their names in the settings to objects whose hooks can be called.

A plugin is what an entry point of the group ``mombroker`` names: a module with hook implementations, or a class that
is made once with its settings and its :class:`~mombroker.hooks.PluginContext`. Plugins are asked in the order of the
settings. What the settings leave open is filled in with the built-in plugins, which come last.
"""

import inspect
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pluggy
import structlog

from mombroker.hooks import PROJECT, PluginContext, PluginState
from mombroker.hooks.specs import Specifications
from mombroker.model.errors import ConfigurationError, MombrokerError, PluginError
from mombroker.wiring.plugin_checking import check_hooks, hooks_of
from mombroker.wiring.plugin_installed import Installed, installed_plugins, load_entry_point
from mombroker.wiring.plugin_settings import ENABLED, plugin_settings
from mombroker.wiring.settings_address import parse_address

AUTHENTICATION: Final = frozenset({"mombroker_authenticate", "mombroker_enhanced_authentication"})
ANONYMOUS: Final = "anonymous"
DEFAULTS: Final = ("storage", "queue_limits", ANONYMOUS)
"""Built-in plugins that are on unless they are turned off; the last one only where nobody else authenticates."""
ACCEPTS_STRANGERS: Final = "accepts_strangers"
"""An attribute of a plugin: True where it lets in clients from other machines without a proof of who they are."""


class Found(NamedTuple):
    """An enabled plugin that is not made yet: the module or class, and its section of the settings."""

    name: str
    target: object
    options: Mapping[str, object]


def load_plugins(
    tables: Mapping[str, Mapping[str, object]],
    state_for: Callable[[str], PluginState],
    objects: Sequence[object] = (),
    installed: Installed | None = None,
) -> pluggy.PluginManager:
    """Load the plugins of ``[plugins.NAME]`` tables, after the plugin ``objects`` of an embedding program.

    A table with ``enabled = false`` also keeps a default plugin out. Raises PluginError for a plugin that is missing
    or broken, ConfigurationError for options that it does not take.
    """
    installed = installed_plugins() if installed is None else installed
    found = [
        Found(name, load_entry_point(name, installed), options)
        for name, options in tables.items()
        if options.get(ENABLED, True)
    ]
    found += default_plugins(found, {*tables}, objects, installed)
    named = _named(objects, {one.name for one in found})
    return _registered([*named, *((one.name, _made(one, state_for)) for one in found)])


def default_plugins(
    found: Sequence[Found], mentioned: set[str], objects: Sequence[object], installed: Installed
) -> list[Found]:
    """The built-in plugins to add to those that were enabled. One that the settings mention at all is not added."""
    authenticated = any(AUTHENTICATION & hooks_of(one.target) for one in found)
    authenticated = authenticated or any(AUTHENTICATION & hooks_of(plugin) for plugin in objects)
    return [
        Found(name, load_entry_point(name, installed), {})
        for name in DEFAULTS
        if name not in mentioned and not (name == ANONYMOUS and authenticated)
    ]


def _made(found: Found, state_for: Callable[[str], PluginState]) -> object:
    """The plugin object of a module or class. Raises PluginError or ConfigurationError."""
    name, target, options = found
    given = {key: value for key, value in options.items() if key != ENABLED}
    settings_class = getattr(target, "Settings", None) if inspect.isclass(target) else None
    if settings_class is None and given:
        raise ConfigurationError(f"[plugins.{name}] {next(iter(given))}: this plugin has no settings; remove the key")
    if not inspect.isclass(target):
        return target
    check_hooks(name, target)
    settings = () if settings_class is None else (plugin_settings(name, settings_class, given),)
    context = PluginContext(name, state_for(name), structlog.get_logger(PROJECT).bind(plugin=name))
    make: Callable[..., object] = target
    try:
        return make(*settings, context)
    except MombrokerError:
        raise
    except Exception as error:
        raise PluginError(
            f"the plugin {name} cannot be made: {type(error).__name__}: {error}; check [plugins.{name}] in the settings"
        ) from error


def _registered(plugins: Iterable[tuple[str, object]]) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specifications)
    # pluggy asks the plugin that was registered last first.
    for name, plugin in reversed(list(plugins)):
        check_hooks(name, plugin)
        try:
            manager.register(plugin, name)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise PluginError(f"the plugin {name} cannot be used: {' '.join(str(error).split())}") from error
    return manager


def _named(objects: Sequence[object], taken: set[str]) -> list[tuple[str, object]]:
    """Plugin objects under the names of their modules or classes, with a number where two have the same."""
    named: list[tuple[str, object]] = []
    for plugin in objects:
        if inspect.isclass(plugin):
            raise PluginError(f"the plugin {plugin.__name__} is a class: pass an object of it, {plugin.__name__}(...)")
        own = str(getattr(plugin, "__name__", type(plugin).__name__))
        name, number = own, 1
        while name in taken:
            number += 1
            name = f"{own}-{number}"
        taken.add(name)
        named.append((name, plugin))
    return named


def has_authenticator(plugins: pluggy.PluginManager) -> bool:
    """Whether any plugin other than ``anonymous`` authenticates clients."""
    return any(name != ANONYMOUS and AUTHENTICATION & hooks_of(plugin) for name, plugin in _all(plugins))


def check_exposure(addresses: Iterable[str], plugins: pluggy.PluginManager, setting: str = "mqtt.listen") -> None:
    """Raise ConfigurationError if somebody else's machine can reach an address while nobody is asked who they are."""
    if has_authenticator(plugins) or any(getattr(plugin, ACCEPTS_STRANGERS, False) for _, plugin in _all(plugins)):
        return
    for address in addresses:
        if not _is_loopback(parse_address(address).host):
            raise ConfigurationError(
                f"{setting} has {address}, which other machines may reach, but no plugin authenticates clients: add "
                f"[plugins.users] and users (mombroker user add NAME), or listen on 127.0.0.1 only. To let everybody "
                f'in all the same, write [plugins.{ANONYMOUS}] and allow = "any"'
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _all(plugins: pluggy.PluginManager) -> list[tuple[str, Any]]:
    return plugins.list_name_plugin()
