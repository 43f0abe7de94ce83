"""A hook host over plugin objects, and the plugins of this checkout as if they were installed."""

import asyncio
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mombroker.hooks import ConnectRequest
from mombroker.model import Identity, Message, QueueSpec
from mombroker.wiring.hook_host import HookHost
from mombroker.wiring.plugin_loading import load_plugins

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


class Log:
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def warning(self, event, **details):
        self.lines.append((event, details))

    info = error = warning

    def __contains__(self, text):
        return text in repr(self.lines)


class State(dict):
    """A plugin's state in memory."""

    async def get(self, key):
        return dict.get(self, key)

    async def put(self, key, value):
        self[key] = value

    async def delete(self, key):
        self.pop(key, None)

    async def items(self):
        return sorted(dict.items(self))


class Answers(list):
    """Takes the answers that come later; ``await answers.next()`` waits for one."""

    def __init__(self):
        super().__init__()
        self._arrived = asyncio.Queue()

    def __call__(self, answer):
        self.append(answer)
        self._arrived.put_nowait(answer)

    async def next(self):
        return await self._arrived.get()


@pytest.fixture
def installed():
    entries = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["mombroker"]
    return {name: [EntryPoint(name, value, "mombroker")] for name, value in entries.items()}


@pytest.fixture
def states():
    return {}


@pytest.fixture
def load(installed, states):
    def load(tables=None, *objects, **more):
        entries = {**installed, **{name: [EntryPoint(name, value, "mombroker")] for name, value in more.items()}}
        return load_plugins(tables or {}, lambda name: states.setdefault(name, State()), objects, entries)

    return load


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def answers():
    return Answers()


BUILT_IN_OFF = {name: {"enabled": False} for name in ("storage", "queue_limits", "anonymous")}


@pytest.fixture
async def host(load, log):
    """``host(plugin, ...)`` is a host over these plugin objects alone, closed at the end of the test."""
    made = []

    def host(*plugins, budget=0.01, **options):
        made.append(HookHost(load(BUILT_IN_OFF, *plugins), asyncio.get_running_loop(), budget, log, **options))
        return made[-1]

    yield host
    for one in made:
        await one.close()


@pytest.fixture
async def never():
    """A future that is never done."""
    return asyncio.get_running_loop().create_future()


@pytest.fixture
def request_of():
    def request_of(username=None, password=None, address="127.0.0.1", client_id="c"):
        return ConnectRequest(client_id, username, password, 5, address)

    return request_of


@pytest.fixture
def ada():
    return Identity("c", "ada", address="127.0.0.1")


@pytest.fixture
def message():
    return Message("a/b", b"payload", 1)


@pytest.fixture
def queue():
    return QueueSpec("client:c", "session", True)
