"""A whole broker: plugins, store, core and listeners put together, for the command line and for embedding.

::

    async with Broker(listen=["127.0.0.1:0"], durability="memory") as broker:
        print(broker.port)
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from mombroker import __version__
from mombroker.listeners import TcpListener
from mombroker.model.errors import ConfigurationError, MombrokerError
from mombroker.model.store import Store
from mombroker.wiring.allocator import keep_free_memory
from mombroker.wiring.build import is_compiled
from mombroker.wiring.hook_host import HookHost
from mombroker.wiring.open_files import allow_open_files
from mombroker.wiring.plugin_loading import check_exposure, load_plugins
from mombroker.wiring.plugin_state import StoredState
from mombroker.wiring.runtime import Runtime
from mombroker.wiring.settings import Settings, load_settings

SWITCH_SECONDS = 0.0005
"""How soon the store's threads get the interpreter from a busy loop. With Python's default of 5 ms, the end of a
commit waits for it longer than for the disk."""


class Broker:
    """A broker that runs while its context is entered. Several may run in one process.

    ``listen`` takes HOST:PORT addresses, port 0 for a free one; ``data`` is a directory; ``durability`` is ``fsync``,
    ``interval`` or ``memory``; these go before what ``settings`` say. ``plugins`` are objects with hook
    implementations, asked before the configured ones. Entering raises ConfigurationError, PluginError, StoreError
    (StoreLocked when another process owns the data) or OSError (an address that is taken).
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        listen: Sequence[str] | None = None,
        data: str | None = None,
        durability: str | None = None,
        plugins: Sequence[object] = (),
    ) -> None:
        given = {"mqtt.listen": listen, "storage.data": data, "storage.durability": durability}
        overrides = {name: value for name, value in given.items() if value is not None}
        self.settings = load_settings(overrides=overrides) if settings is None else settings.overridden(overrides)
        self._plugin_objects = tuple(plugins)
        self._log: Any = structlog.get_logger("mombroker")
        self._store: Store | None = None
        self._running = contextlib.AsyncExitStack()
        self._runtime: Runtime | None = None
        self._listeners: list[TcpListener] = []

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self._listeners[0].port

    @property
    def ports(self) -> list[int]:
        """The ports of all listeners, in the order of the settings."""
        return [listener.port for listener in self._listeners]

    @property
    def failure(self) -> "asyncio.Future[BaseException]":
        """Done, with the error, when the store has failed and the broker must not go on."""
        if self._runtime is None:
            raise MombrokerError("the broker is not running: enter it with `async with`")
        return self._runtime.failure

    async def __aenter__(self) -> "Broker":
        try:
            await self._start()
        except BaseException:
            await self._running.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def _start(self) -> None:
        settings = self.settings
        plugins = load_plugins(settings.plugins, self._state_for, objects=self._plugin_objects)
        check_exposure([str(address) for address in settings.mqtt.addresses()], plugins)
        store = self._open_store(plugins.hook, settings.storage.store_url())
        self._store = store
        self._running.push_async_callback(asyncio.to_thread, store.close)
        loop = asyncio.get_running_loop()
        hooks = HookHost(plugins, loop, settings.hooks.time_budget, self._log)
        self._running.push_async_callback(hooks.close)
        interval = settings.storage.interval_ms / 1000 if settings.storage.durability == "interval" else 0.0
        runtime = Runtime(loop, settings.mqtt.limits(), hooks, store, self._log, interval)
        self._running.callback(runtime.close)
        self._runtime = runtime
        runtime.start()
        await hooks.startup()
        self._running.push_async_callback(hooks.shutdown)
        self._running.push_async_callback(self._drain)
        for address in settings.mqtt.addresses():
            listener = TcpListener(runtime, address)
            await listener.start()
            self._listeners.append(listener)
        self._log.info(
            "mombroker is ready",
            version=__version__,
            compiled=is_compiled(),
            store=store.describe(),
            durability=settings.storage.durability,
            listening=[listener.address for listener in self._listeners],
            plugins=[name for name, _ in reversed(plugins.list_name_plugin())],
        )

    def _state_for(self, name: str) -> "LateState":
        return LateState(name, self)

    def open_state(self, name: str) -> StoredState:
        """The durable state of a plugin. Raises MombrokerError before the store is open."""
        if self._store is None:
            raise MombrokerError(f"the plugin {name} uses its state while it is loaded; it may from start-up on")
        return StoredState(name, self._store)

    def _open_store(self, hook: Any, url: str) -> Store:
        store: Store | None = hook.mombroker_open_store(url=url, exclusive=True)
        if store is None:
            raise ConfigurationError(f"no plugin opens the store {url!r}: set storage.url, or enable the plugin for it")
        store.on_damage(lambda damage: self._log.error("damaged record set aside", detail=damage.detail))
        return store

    def reload(self, settings: Settings) -> None:
        """Take over the limits of other settings; listeners, storage and plugins stay as they are."""
        if self._runtime is not None:
            self._runtime.change_limits(settings.mqtt.limits())
        self.settings = settings

    async def _drain(self) -> None:
        """Accept nobody, disconnect everybody (0x8B), commit what they sent."""
        for listener in self._listeners:
            listener.stop_accepting()
        if self._runtime is not None and not self._runtime.failure.done():
            await self._runtime.shut_down()
        for listener in self._listeners:
            await listener.wait_closed()


class LateState:
    """A plugin's state, usable from start-up on: plugins are loaded before the store, since one of them opens it."""

    def __init__(self, name: str, broker: Broker) -> None:
        self._name = name
        self._broker = broker

    async def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return await self._broker.open_state(self._name).get(key)

    async def put(self, key: bytes, value: bytes) -> None:
        """Set a key. Raises StoreFull when there is no room."""
        await self._broker.open_state(self._name).put(key, value)

    async def delete(self, key: bytes) -> None:
        """Delete a key; one that is not there is allowed."""
        await self._broker.open_state(self._name).delete(key)

    async def items(self) -> list[tuple[bytes, bytes]]:
        """All pairs in key order."""
        return await self._broker.open_state(self._name).items()


def serve(settings: Settings, reread: Callable[[], Settings] | None = None) -> int:
    """Run a broker until SIGTERM or SIGINT and return the exit code: 0, or 1 when the store has failed.

    SIGHUP calls ``reread`` and takes over the limits it returns. Raises what :class:`Broker` raises at its start.
    """
    log = structlog.get_logger("mombroker")
    runner: Any
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    sys.setswitchinterval(SWITCH_SECONDS)
    keep_free_memory()
    with runner:
        code: int = runner.run(_serve(settings, reread, log))
    return code


async def _serve(settings: Settings, reread: Callable[[], Settings] | None, log: Any) -> int:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def ask_to_stop(name: str) -> None:
        if not stop.done():
            stop.set_result(name)

    starting = Broker(settings)
    # Before it says that it is ready: whoever waits for that may signal at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, number.name)
    if reread is not None:
        loop.add_signal_handler(signal.SIGHUP, _reload, starting, reread, log)
    async with starting as broker:
        allow_open_files(settings.mqtt.max_connections, log)
        # What start-up has built stays: the collector need not look at it again.
        gc.freeze()
        broker.failure.add_done_callback(lambda _: ask_to_stop("failure"))
        await stop
        if broker.failure.done():
            log.critical("the store has failed; nothing more is acknowledged", error=repr(broker.failure.result()))
            return 1
        log.info("stopping", signal=stop.result())
    log.info("stopped")
    return 0


def _reload(broker: Broker, reread: Callable[[], Settings], log: Any) -> None:
    try:
        broker.reload(reread())
    except MombrokerError as error:
        log.error("settings not reloaded", error=str(error))
    else:
        log.info("settings reloaded", note="limits and the log level apply now; the rest needs a restart")
