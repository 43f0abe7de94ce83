"""Every hook, argument and event is documented, and every example in the documentation runs."""

import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import click
import pytest

from mombroker.hooks import AuthDone, ConnectRequest, PluginContext, SessionEnded, events
from mombroker.hooks.specs import Specifications
from mombroker.model import Identity, Message, Overflow, QueuePolicy, QueueSpec, Refusal
from mombroker.wiring.plugin_checking import PLAIN_ONLY, hooks_of
from mombroker.wiring.plugin_loading import check_hooks

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "hooks.md").read_text(encoding="utf-8")
AUTHORS = (DOCS / "plugins.md").read_text(encoding="utf-8")
HOOKS = {name: spec for name, spec in vars(Specifications).items() if name.startswith("mombroker_")}
EVENTS = [kind for kind in vars(events).values() if inspect.isclass(kind) and issubclass(kind, events.Event)]

IDENTITY = Identity("c", "ada")
MESSAGE = Message("a/b", b"payload", 1)
ARGUMENTS = {
    "request": ConnectRequest("c", "ada", b"correct horse", 5, "127.0.0.1"),
    "method": "EXAMPLE-HMAC",
    "identity": IDENTITY,
    "action": "publish",
    "resource": "devices/c/up",
    "queue": QueueSpec("client:pump-7", "session", True),
    "message": MESSAGE,
    "url": "nowhere:",
    "exclusive": True,
    "event": SessionEnded(0.0, "c"),
    "cli": click.Group(),
}
ANSWERS = {
    "mombroker_authenticate": Identity,
    "mombroker_authorize": bool,
    "mombroker_user_directory": object,
    "mombroker_queue_policy": QueuePolicy,
    "mombroker_overflow": Overflow,
    "mombroker_on_publish": Message,
    "mombroker_on_deliver": Message,
}


def section(hook):
    return re.split(r"^##+ ", PAGE.split(f"### {hook}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def arguments_of(hook):
    return list(inspect.signature(HOOKS[hook]).parameters)[1:]


def example_of(hook):
    return textwrap.dedent(inspect.getdoc(HOOKS[hook]).split("Example::\n\n", 1)[1]).strip()


def run(source, name):
    space = {"__name__": name}
    exec(compile(source, name, "exec"), space)
    return space


def plugin_in(space):
    """The plugin object that an example defines, or one made of the class that it defines."""
    if "plugin" in space:
        return space["plugin"]
    kinds = [value for value in space.values() if inspect.isclass(value) and hooks_of(value)]
    assert len(kinds) == 1
    takes_context = "context" in inspect.signature(kinds[0]).parameters
    return kinds[0](PluginContext("example", State(), None)) if takes_context else kinds[0]()


class State(dict):
    async def get(self, key):
        return dict.get(self, key)

    async def put(self, key, value):
        self[key] = value


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_and_all_of_its_arguments_are_on_the_page(hook):
    assert f"### {hook}\n" in PAGE, f"{hook} has no section in docs/hooks.md"
    assert f"`{hook}({', '.join(arguments_of(hook))})`" in section(hook)
    for argument in arguments_of(hook):
        assert f"`{argument}`:" in section(hook), f"{hook}: the argument {argument} is not explained in docs/hooks.md"
        assert f"``{argument}``:" in inspect.getdoc(HOOKS[hook]), f"{hook}: {argument} is not in the docstring"


@pytest.mark.parametrize("hook", HOOKS)
def test_the_table_tells_when_a_hook_is_called_and_what_a_fault_does(hook):
    row = re.search(rf"^\| \[`{hook}`\]\(#{hook}\) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert row, f"{hook} has no row in the table of docs/hooks.md"
    assert row[2].startswith("sync or async") == (hook not in PLAIN_ONLY)


@pytest.mark.parametrize("hook", HOOKS)
def test_plain_functions_only_is_said_where_it_holds(hook):
    text = " ".join(inspect.getdoc(HOOKS[hook]).split())
    assert ("Plain functions only" in text) == (hook in PLAIN_ONLY)
    assert "fault" in text


@pytest.mark.parametrize("hook", HOOKS)
def test_the_page_and_the_specification_say_the_same(hook):
    def words(text):
        return text.replace("`", "").split()

    said = words(inspect.getdoc(HOOKS[hook]).split("Example::", 1)[0])
    assert " ".join(said) in " ".join(words(section(hook)))
    assert f"```python\n{example_of(hook)}\n```" in section(hook)


@pytest.mark.parametrize("hook", HOOKS)
async def test_the_example_of_a_hook_runs(hook):
    plugin = plugin_in(run(example_of(hook), f"example-of-{hook}"))
    check_hooks("example", plugin)
    assert hooks_of(plugin) == {hook}
    function = getattr(plugin, hook)
    answer = function(**{name: ARGUMENTS[name] for name in inspect.signature(function).parameters})
    if inspect.isawaitable(answer):
        answer = await answer
    if hook in ANSWERS and answer is not None:
        assert isinstance(answer, ANSWERS[hook])


def test_the_example_of_an_exchange_goes_through():
    import hashlib
    import hmac

    plugin = plugin_in(run(example_of("mombroker_enhanced_authentication"), "exchange"))
    exchange = plugin.mombroker_enhanced_authentication("EXAMPLE-HMAC", ARGUMENTS["request"])
    nonce = exchange.step(None).data
    assert isinstance(exchange.step(hmac.digest(b"key", nonce, hashlib.sha256)), AuthDone)
    assert isinstance(exchange.step(b"guess"), Refusal)


@pytest.mark.parametrize("kind", EVENTS[1:], ids=lambda kind: kind.__name__)
def test_an_event_and_all_of_its_fields_are_on_the_page(kind):
    fields = ", ".join(f"`{field.name}`" for field in dataclasses.fields(kind)[1:])
    assert f"| `{kind.__name__}` | {fields} |" in PAGE, f"{kind.__name__} is not in the table of docs/hooks.md"


@pytest.mark.parametrize("source", re.findall(r"```python\n(.*?)```", AUTHORS, re.DOTALL))
def test_the_examples_for_plugin_authors_run(source):
    space = run(source, "plugins.md")
    for kind in [value for value in space.values() if inspect.isclass(value) and hooks_of(value)]:
        check_hooks("example", kind)
