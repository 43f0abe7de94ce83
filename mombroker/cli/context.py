"""What the commands share: the settings, read when a command first asks for them, and the state of plugins."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mombroker.hooks import PluginState
from mombroker.model.errors import ConfigurationError
from mombroker.wiring.settings import Settings, load_settings


class CliContext:
    """The object behind ``ctx.obj`` of every command, a plugin's as well."""

    def __init__(self) -> None:
        self._config: Path | None = None
        self._given: dict[str, object] = {}
        self._settings: Settings | None = None

    def read_from(self, config: Path) -> None:
        """Use this settings file."""
        self._config = config

    def give(self, name: str, value: object) -> None:
        """Set ``section.key`` from the command line; the last word counts."""
        self._given[name] = value

    @property
    def settings(self) -> Settings:
        """All settings. Raises :class:`~mombroker.model.errors.ConfigurationError` at the first use."""
        if self._settings is None:
            self._settings = self.read_again()
        return self._settings

    def read_again(self) -> Settings:
        """The settings as they are now, from the same places."""
        return load_settings(self._config, os.environ, self._given)

    @contextmanager
    def plugin_state(self, name: str) -> Iterator[PluginState]:
        """A plugin's durable state, also while a broker runs on the same data directory.

        Raises ConfigurationError if the settings name no store that lasts, and StoreError if it cannot be opened.
        """
        from mombroker.cli.plugin_checks import plugins_at_rest
        from mombroker.wiring.plugin_state import StoredState

        storage = self.settings.storage
        url = storage.store_url()
        if storage.durability == "memory" and not storage.url:
            raise ConfigurationError('with durability = "memory" nothing is kept: use "fsync" or "interval" for this')
        store = plugins_at_rest(self.settings).hook.mombroker_open_store(url=url, exclusive=False)
        if store is None:
            raise ConfigurationError(f"no plugin opens the store {url}: check storage.url and the enabled plugins")
        try:
            yield StoredState(name, store)
        finally:
            store.close()
