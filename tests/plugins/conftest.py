"""Plugins made from settings the way the broker makes them, with a state in memory."""

import msgspec
import pytest

from mombroker.hooks import ConnectRequest, PluginContext
from mombroker.model import StoreFull
from mombroker.wiring.plugin_settings import plugin_settings


class State(dict):
    """A plugin's state in memory; ``full`` lets every put fail."""

    full = False

    async def get(self, key):
        assert len(key) <= 400
        return dict.get(self, key)

    async def put(self, key, value):
        if self.full:
            raise StoreFull("no room on the disk")
        self[key] = value

    async def delete(self, key):
        self.pop(key, None)

    async def items(self):
        return sorted(dict.items(self))


class Log:
    def __init__(self):
        self.lines = []

    def info(self, event, **details):
        self.lines.append((event, details))

    warning = error = info


@pytest.fixture
def state():
    return State()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def make(state, log):
    """``make(Plugin, option=...)`` checks the options like a settings file's and makes the plugin."""

    def make(kind, **options):
        written = msgspec.to_builtins(options)
        settings = plugin_settings(kind.__name__, kind.Settings, written)
        return kind(settings, PluginContext(kind.__name__, state, log))

    return make


@pytest.fixture
def connect():
    def connect(username=None, password=None, address="127.0.0.1", client_id="c"):
        return ConnectRequest(client_id, username, password, 5, address)

    return connect
