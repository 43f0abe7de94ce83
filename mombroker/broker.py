"""A whole broker: plugins, store, core and listeners put together, for the command line and for embedding.

::

    async with Broker(listen=["127.0.0.1:0"], durability="memory") as broker:
        print(broker.port)
"""

import asyncio
import contextlib
import gc
import signal
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from mombroker import __version__
from mombroker.listeners import Listener
from mombroker.listeners.listener import MQTT_ALPN, WEB_SOCKET_ALPN
from mombroker.model.errors import ConfigurationError, MombrokerError
from mombroker.model.store import Store
from mombroker.operations.problems import INTERNAL, STORE_FULL, Problem
from mombroker.wiring.allocator import KEPT_BYTES, free_memory, give_back_free_memory, keep_free_memory
from mombroker.wiring.build import is_compiled
from mombroker.wiring.certificates import Certificates
from mombroker.wiring.hook_host import HookHost
from mombroker.wiring.open_files import allow_open_files
from mombroker.wiring.plugin_loading import check_exposure, load_plugins
from mombroker.wiring.plugin_state import StoredState
from mombroker.wiring.runtime import Runtime
from mombroker.wiring.service_manager import notify
from mombroker.wiring.settings import Settings, load_settings
from mombroker.wiring.settings_address import OFF, WEB_SOCKETS, Address

if TYPE_CHECKING:
    from mombroker.api import NativeApi
    from mombroker.api.grpc.server import GrpcServer
    from mombroker.api.http.server import HttpServer
    from mombroker.api.tokens import Tokens

MEMORY_SECONDS = 60.0
"""How often to look whether a burst has left much free memory behind."""

SWITCH_SECONDS = 0.0005
"""How soon the store's threads get the interpreter from a busy loop. With Python's default of 5 ms, the end of a
commit waits for it longer than for the disk."""


class Broker:
    """A broker that runs while its context is entered. Several may run in one process.

    ``listen`` takes addresses as ``mqtt.listen`` does, port 0 for a free one; ``http`` and ``grpc`` take one for the
    native API, or ``off``; ``data`` is a directory; ``durability`` is ``fsync``, ``interval`` or ``memory``; these go
    before what ``settings`` say. Without ``settings``, HTTP and gRPC are off unless asked for. ``plugins`` are objects
    with hook implementations, asked before the configured ones. Entering raises ConfigurationError, PluginError,
    StoreError (StoreLocked when another process owns the data) or OSError (an address that is taken).
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        listen: Sequence[str] | None = None,
        http: str | None = None,
        data: str | None = None,
        durability: str | None = None,
        grpc: str | None = None,
        plugins: Sequence[object] = (),
    ) -> None:
        if settings is None and http is None:
            http = OFF
        given = {
            "mqtt.listen": listen,
            "http.listen": http,
            "grpc.listen": grpc,
            "storage.data": data,
            "storage.durability": durability,
        }
        overrides = {name: value for name, value in given.items() if value is not None}
        self.settings = load_settings(overrides=overrides) if settings is None else settings.overridden(overrides)
        self._plugin_objects = tuple(plugins)
        self._log: Any = structlog.get_logger("mombroker")
        self._store: Store | None = None
        self._running = contextlib.AsyncExitStack()
        self._runtime: Runtime | None = None
        self._listeners: list[Listener] = []
        self._api: NativeApi | None = None
        self._http: HttpServer | None = None
        self._tokens: Tokens | None = None
        self._grpc: GrpcServer | None = None
        self._certificates: Certificates | None = None

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self._listeners[0].port

    @property
    def ports(self) -> list[int]:
        """The ports of all listeners, in the order of the settings."""
        return [listener.port for listener in self._listeners]

    @property
    def http_port(self) -> int:
        """The port of HTTP. Raises MombrokerError if it is off."""
        if self._http is None:
            raise MombrokerError('HTTP is off: Broker(http="127.0.0.1:0") switches it on')
        return self._http.ports[0]

    @property
    def grpc_port(self) -> int:
        """The port of the first address for gRPC. Raises MombrokerError while it is off."""
        if self._grpc is None:
            raise MombrokerError("gRPC is off, or the broker is not running: set grpc.listen, and enter it")
        return self._grpc.ports[0]

    @property
    def native(self) -> "NativeApi | None":
        """The native API, for programs that the broker is embedded in; None if no transport of it is on."""
        return self._api

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
        plugins = load_plugins(settings.plugins, self._state_for, objects=self._plugin_objects, file=settings.file)
        check_exposure("mqtt.listen", settings.mqtt.addresses(), plugins)
        check_exposure("http.listen", settings.http.addresses(), plugins)
        check_exposure("grpc.listen", settings.grpc.addresses(), plugins)
        addresses = (*settings.mqtt.addresses(), *settings.http.addresses(), *settings.grpc.addresses())
        if any(address.is_encrypted for address in addresses):
            self._certificates = Certificates(settings.tls)
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
        if settings.native.topics:
            self._serve_topics(runtime, loop, hooks)
        for address in settings.mqtt.addresses():
            listener = Listener(runtime, address, settings.mqtt, self._tls_of(address), self._log)
            await listener.start()
            self._listeners.append(listener)
        if settings.http.addresses():
            self._http = self._http_server(runtime, loop, hooks)
            self._running.push_async_callback(self._http.stop)
            await self._http.start()
        if settings.grpc.addresses():
            await self._serve_grpc(self._native(runtime, loop, hooks))
        self._running.callback(self._stop_accepting)
        self._log.info(
            "mombroker is ready",
            version=__version__,
            compiled=is_compiled(),
            store=store.describe(),
            durability=settings.storage.durability,
            listening=[listener.address for listener in self._listeners],
            http=[] if self._http is None else self._http.addresses,
            grpc=[] if self._grpc is None else self._grpc.addresses,
            plugins=[name for name, _ in reversed(plugins.list_name_plugin())],
        )

    def _tls_of(self, address: Address) -> ssl.SSLContext | None:
        """What an MQTT listener shakes hands with, if it is an encrypted one."""
        if self._certificates is None or not address.is_encrypted:
            return None
        protocols = WEB_SOCKET_ALPN if address.scheme in WEB_SOCKETS else MQTT_ALPN
        return self._certificates.context(protocols, asks_clients=True)

    def _native(self, runtime: Runtime, loop: asyncio.AbstractEventLoop, hooks: HookHost) -> "NativeApi":
        """The native API, made for the first transport that needs it."""
        if self._api is None:
            # Imported here: a broker whose transports are all off has no use for it.
            from mombroker.api import NativeApi

            self._api = NativeApi(runtime, hooks, loop, self._log, hooks.user_directory())
            self._running.callback(self._api.close)
        return self._api

    def _serve_topics(self, runtime: Runtime, loop: asyncio.AbstractEventLoop, hooks: HookHost) -> None:
        """Carry out operations that MQTT clients ask for on ``$mom`` topics."""
        from mombroker.api.mom_topics import MomTopics

        topics = MomTopics(self._native(runtime, loop, hooks), runtime.engine, loop)
        runtime.carry_out_with(topics.operate)
        self._running.push_async_callback(topics.close)

    def _http_server(self, runtime: Runtime, loop: asyncio.AbstractEventLoop, hooks: HookHost) -> "HttpServer":
        # Imported here: a broker without HTTP does not load a web server.
        from mombroker.api.http.server import HTTP_ALPN, HttpServer

        native = self._native(runtime, loop, hooks)
        tls = None if self._certificates is None else self._certificates.context(HTTP_ALPN, asks_clients=False)
        return HttpServer(native, self.settings.http, self._bearers(native), self._trouble, self._log, tls)

    def _trouble(self) -> Problem | None:
        """Why the broker cannot do its work now."""
        if self._runtime is None or self._runtime.failure.done():
            return Problem(INTERNAL, "the store has failed: nothing is acknowledged any more")
        if self._runtime.engine.barrier.refusing:
            return Problem(STORE_FULL, "the disk is full: nothing is taken until there is room")
        return None

    async def _serve_grpc(self, native: "NativeApi") -> None:
        """Carry out operations that gRPC clients call for."""
        # Imported here, and only then: gRPC may not be installed, and takes its time.
        from mombroker.api.grpc import load_server

        settings = self.settings.grpc
        server = load_server()(
            native, self._bearers(native), settings.addresses(), settings.max_message, self._log, self._certificates
        )
        self._running.push_async_callback(server.stop)
        await server.start()
        self._grpc = server

    def _bearers(self, native: "NativeApi") -> "Tokens":
        """The bearer tokens, which are good for every transport until their user is changed."""
        if self._tokens is None:
            from mombroker.api.tokens import Tokens

            self._tokens = Tokens(self.settings.http.token_lifetime, time.monotonic)
            native.on_user_changed(self._tokens.revoke_user)
        return self._tokens

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
        """Take over the limits of other settings, and the certificates as their files are now; listeners, storage and
        plugins stay as they are. Raises ConfigurationError, and then nothing has changed."""
        if self._certificates is not None:
            self._certificates.reload(settings.tls)
        if self._runtime is not None:
            self._runtime.change_limits(settings.mqtt.limits())
        self.settings = settings

    def _stop_accepting(self) -> None:
        for listener in self._listeners:
            listener.stop_accepting()

    async def _drain(self) -> None:
        """Accept nobody, disconnect everybody (0x8B), commit what they sent."""
        self._stop_accepting()
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
        allow_open_files(settings.mqtt.max_connections + settings.http.max_connections, log)
        # What start-up has built stays: the collector need not look at it again.
        gc.freeze()
        broker.failure.add_done_callback(lambda _: ask_to_stop("failure"))
        looking = loop.create_task(_look_after_memory())
        _notify("READY=1", log)
        await stop
        _notify("STOPPING=1", log)
        looking.cancel()
        if broker.failure.done():
            error = broker.failure.result()
            # A defect of ours is found by where it came from; an error of the store says all in its text.
            where = None if isinstance(error, MombrokerError) else error
            log.critical("the store has failed; nothing more is acknowledged", error=repr(error), exc_info=where)
            return 1
        log.info("stopping", signal=stop.result())
    log.info("stopped")
    return 0


def _notify(state: str, log: Any) -> None:
    try:
        notify(state)
    except OSError as error:
        log.warning("the service manager cannot be told", state=state, error=error.strerror)


async def _look_after_memory() -> None:
    """Give back what a burst has left behind, when it has lain idle from one look to the next. Does not end."""
    idle = False
    while True:
        await asyncio.sleep(MEMORY_SECONDS)
        much = free_memory() > 2 * KEPT_BYTES
        if much and idle:
            give_back_free_memory()
        idle = much


def _reload(broker: Broker, reread: Callable[[], Settings], log: Any) -> None:
    try:
        broker.reload(reread())
    except MombrokerError as error:
        log.error("settings not reloaded", error=str(error))
    else:
        log.info("settings reloaded", note="limits, certificates and the log level apply now; the rest needs a restart")
