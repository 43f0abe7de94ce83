"""Which plugins are installed: the entry points of the group ``mombroker``."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from mombroker.hooks import PROJECT
from mombroker.model.errors import PluginError
from mombroker.wiring.settings_values import nearest

Installed = Mapping[str, list[EntryPoint]]


def installed_plugins() -> Installed:
    """The entry points by name. Several distributions may offer the same name; that only matters to who enables it."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=PROJECT):
        others = found.setdefault(entry.name, [])
        # An editable install that is on the path twice is found twice.
        if entry.value not in [other.value for other in others]:
            others.append(entry)
    return found


def load_entry_point(name: str, installed: Installed) -> object:
    """The module or class behind a plugin's name. Raises PluginError."""
    entries = installed.get(name, [])
    if not entries:
        raise PluginError(
            f"the plugin {name} is enabled but not installed: {nearest(name, installed, otherwise=_offer(installed))} "
            f"If it is a package of its own, install that first, such as: pip install mombroker-plugin-{_dashed(name)}"
        )
    if len(entries) > 1:
        sources = " and ".join(sorted(_source(entry) for entry in entries))
        raise PluginError(f"the plugin name {name} is claimed by {sources}: uninstall all but one of them")
    try:
        return entries[0].load()
    except Exception as error:
        # The text of an import error is what the operator needs: the module that is missing, the line that is wrong.
        raise PluginError(
            f"the plugin {name} ({_source(entries[0])}) cannot be imported: {type(error).__name__}: {error}; "
            f"repair it, or remove [plugins.{name}] from the settings"
        ) from error


def _offer(installed: Installed) -> str:
    return f"installed are {', '.join(sorted(installed))}." if installed else "no plugin is installed at all."


def _source(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _dashed(name: str) -> str:
    return name.replace("_", "-")
