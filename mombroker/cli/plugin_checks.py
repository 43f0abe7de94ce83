"""Plugins for commands: loaded as the broker would load them, but never started."""

from collections.abc import Mapping

import pluggy

from mombroker.hooks import PluginState
from mombroker.model.errors import PluginError
from mombroker.wiring.plugin_installed import installed_plugins
from mombroker.wiring.plugin_loading import check_exposure, default_plugins, enabled_plugins, load_plugins
from mombroker.wiring.settings import Settings


class ClosedState:
    """The durable state of a plugin that is looked at and not started: there is none."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def get(self, key: bytes) -> bytes | None:
        """Refuse."""
        raise self._refusal()

    async def put(self, key: bytes, value: bytes) -> None:
        """Refuse."""
        raise self._refusal()

    async def delete(self, key: bytes) -> None:
        """Refuse."""
        raise self._refusal()

    async def items(self) -> list[tuple[bytes, bytes]]:
        """Refuse."""
        raise self._refusal()

    def _refusal(self) -> PluginError:
        return PluginError(f"the plugin {self._name} uses its state while it is loaded; it may from start-up on")


def closed_state(name: str) -> PluginState:
    """The state for a plugin of this name."""
    return ClosedState(name)


def plugins_at_rest(settings: Settings) -> pluggy.PluginManager:
    """The enabled plugins, made but not started. Raises ConfigurationError or PluginError."""
    return load_plugins(settings.plugins, closed_state, file=settings.file)


def plugins_by_default(settings: Settings) -> dict[str, Mapping[str, object]]:
    """The plugins that are on without a word in the settings, and the options they are made with."""
    installed = installed_plugins()
    enabled = enabled_plugins(settings.plugins, installed)
    return {one.name: one.options for one in default_plugins(enabled, {*settings.plugins}, (), installed)}


def check_plugins(settings: Settings) -> None:
    """Refuse what ``serve`` would refuse of plugins: one that is missing or broken, wrong options, an open door."""
    plugins = plugins_at_rest(settings)
    check_exposure("mqtt.listen", settings.mqtt.addresses(), plugins)
    check_exposure("http.listen", settings.http.addresses(), plugins)
    check_exposure("grpc.listen", settings.grpc.addresses(), plugins)
