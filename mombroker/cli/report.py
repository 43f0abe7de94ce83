"""What ``mombroker check`` prints: the settings that would be used, as a settings file without its secrets."""

import msgspec

from mombroker.wiring.logs import without_secrets
from mombroker.wiring.settings import Settings
from mombroker.wiring.settings_keys import SECTIONS
from mombroker.wiring.settings_values import toml


def settings_report(settings: Settings) -> str:
    """Every section and key, and the table of every plugin."""
    sections = {name: msgspec.structs.asdict(getattr(settings, name)) for name in SECTIONS}
    for name, options in settings.plugins.items():
        sections[f"plugins.{name}"] = without_secrets(options)
    return "\n\n".join(
        "\n".join([f"[{name}]", *(f"{key} = {toml(value)}" for key, value in keys.items())])
        for name, keys in sections.items()
    )
