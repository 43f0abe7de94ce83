"""What can be said against a plugin before it is used: hooks that would never be called, or never work.

A misspelt hook is worse than a crash when it was to keep somebody out, so none is passed over in silence.
"""

import inspect
from typing import Final

from mombroker.hooks import PROJECT
from mombroker.model.errors import PluginError
from mombroker.wiring.hook_calls import ARGUMENTS
from mombroker.wiring.settings_values import nearest

PLAIN_ONLY: Final = frozenset(
    f"{PROJECT}_{name}"
    for name in ("enhanced_authentication", "user_directory", "overflow", "open_store", "on_deliver", "cli")
)
"""Hooks whose answer is needed at once."""
_MARK: Final = f"{PROJECT}_impl"
_CLI: Final = f"{PROJECT}_cli"


def hooks_of(plugin: object) -> set[str]:
    """The hooks that a plugin (a module, a class or an object) implements."""
    return {
        name
        for name in dir(plugin)
        if name in ARGUMENTS and _mark(inspect.getattr_static(plugin, name, None)) is not None
    }


def check_hooks(name: str, plugin: object) -> None:
    """Raise PluginError unless every hook of the plugin can be called as the specifications say."""
    for attribute in dir(plugin):
        found = inspect.getattr_static(plugin, attribute, None)
        options = _mark(found)
        if options is not None:
            _check_hook(name, plugin, attribute, options)
        elif attribute in ARGUMENTS and inspect.isroutine(_bare(found)):
            raise PluginError(
                f"the plugin {name} has a function {attribute} that is not marked as a hook, so that it would never be "
                f"called: write @hookimpl above it (from mombroker.hooks import hookimpl)"
            )


def _check_hook(name: str, plugin: object, attribute: str, options: dict[str, object]) -> None:
    where = f"the plugin {name}: {attribute}"
    if attribute not in ARGUMENTS and options.get("optionalhook"):
        return  # of another release
    if attribute not in ARGUMENTS:
        raise PluginError(f"{where} is no hook; {nearest(attribute, ARGUMENTS)}")
    if options.get("specname") not in (None, attribute):
        raise PluginError(f"{where} goes by another name (specname): name the function after its hook")
    if options.get("wrapper") or options.get("hookwrapper"):
        raise PluginError(f"{where} is a wrapper; hooks of mombroker cannot be wrapped, only implemented")
    found = inspect.getattr_static(plugin, attribute)
    function = _bare(found)
    bound = _is_bound(plugin, attribute)
    if attribute == _CLI and bound and not isinstance(found, classmethod):
        raise PluginError(f"{where} is a method: make it a @staticmethod, for commands have no plugin object to run on")
    if attribute in PLAIN_ONLY and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        raise PluginError(f"{where} is async, but the broker waits for this hook: write a plain function (def)")
    _check_arguments(where, attribute, function, bound)


def _check_arguments(where: str, hook: str, function: object, bound: bool) -> None:
    parameters = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]  # type: ignore[arg-type]
    known = ARGUMENTS[hook]
    takes = f"{hook} is called with ({', '.join(known)})"
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            continue
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise PluginError(f"{where} takes {parameter}, which hooks do not get; {takes}")
        if parameter.name not in known:
            raise PluginError(f"{where} has an argument {parameter.name} that it will not be given; {takes}")


def _is_bound(plugin: object, attribute: str) -> bool:
    """Whether the function's own first argument is filled in by the object or class it is looked up on."""
    if inspect.ismodule(plugin):
        return False
    if isinstance(inspect.getattr_static(plugin, attribute), staticmethod):
        return False
    return inspect.isclass(plugin) or attribute not in getattr(plugin, "__dict__", {})


def _bare(found: object) -> object:
    return found.__func__ if isinstance(found, (staticmethod, classmethod)) else found


def _mark(found: object) -> dict[str, object] | None:
    """The options of a hook implementation, None for anything else."""
    bare = _bare(found)
    if not inspect.isroutine(bare):
        return None
    options = getattr(found, _MARK, None) or getattr(bare, _MARK, None)
    return options if isinstance(options, dict) else None
