"""The broker's settings: one TOML file, the environment and the command line, checked before anything starts.

``load_settings`` is the way in. Stronger sources first: command line, environment, file, defaults.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field, structs

from mombroker.wiring.settings_address import Address, parse_address
from mombroker.wiring.settings_keys import (
    GrpcSettings,
    HooksSettings,
    HttpSettings,
    LogSettings,
    MqttSettings,
    NativeSettings,
    StorageSettings,
    TlsSettings,
)
from mombroker.wiring.settings_sources import Given, from_environment, from_file, from_overrides

__all__ = [
    "Address",
    "GrpcSettings",
    "HooksSettings",
    "HttpSettings",
    "LogSettings",
    "MqttSettings",
    "NativeSettings",
    "Settings",
    "StorageSettings",
    "TlsSettings",
    "load_settings",
    "parse_address",
]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. ``plugins`` holds each plugin's own table as it was written, ``enabled`` included.

    ``file`` is where they were read from, to be named when a plugin finds fault with its table; empty: nowhere.
    """

    mqtt: MqttSettings = MqttSettings()
    storage: StorageSettings = StorageSettings()
    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    tls: TlsSettings = TlsSettings()
    log: LogSettings = LogSettings()
    hooks: HooksSettings = HooksSettings()
    native: NativeSettings = NativeSettings()
    plugins: dict[str, dict[str, object]] = field(default_factory=dict)
    file: str = ""

    def overridden(self, overrides: Mapping[str, object]) -> "Settings":
        """These settings with some replaced, by ``section.key``. Raises ConfigurationError."""
        return self._with(from_overrides(overrides))

    def _with(self, given: Given) -> "Settings":
        sections = {
            name: values if name == "plugins" else structs.replace(getattr(self, name), **values)
            for name, values in given.items()
        }
        return structs.replace(self, **sections)


def load_settings(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings from all their sources.

    No file is looked for: without ``path`` the one that ``MOMBROKER_CONFIG`` names is read, or none. ``overrides``
    are named ``section.key``. Raises :class:`~mombroker.model.errors.ConfigurationError`, whose message names the
    key, the place and what may be written there.
    """
    environ = {} if environ is None else environ
    if path is None and environ.get("MOMBROKER_CONFIG"):
        path = Path(environ["MOMBROKER_CONFIG"])
    settings = Settings()
    if path is not None:
        settings = structs.replace(settings._with(from_file(path)), file=str(path))
    return settings._with(from_environment(environ)).overridden(overrides or {})
