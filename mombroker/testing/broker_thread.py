"""A broker in a thread, for tests that block, run their own event loop, or both."""

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

from mombroker.broker import Broker
from mombroker.wiring.settings import load_settings

SETTINGS = {"mqtt.listen": ["127.0.0.1:0"], "http.listen": "off", "storage.durability": "memory"}


class BrokerThread:
    """A broker that runs while its context is entered; entering raises what starting a broker raises."""

    host = "127.0.0.1"

    def __init__(self, settings: dict[str, Any], plugins: tuple[object, ...] = ()) -> None:
        self._broker = Broker(load_settings(overrides=SETTINGS | settings), plugins=plugins)
        self._thread = threading.Thread(target=self._run, name="mombroker", daemon=True)
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def port(self) -> int:
        """The port of MQTT."""
        return self._broker.port

    @property
    def url(self) -> str:
        """What ``mombroker.connect`` takes."""
        return f"mqtt://{self.host}:{self.port}"

    @property
    def broker(self) -> Broker:
        """The broker itself. It lives in another thread: look, but do not touch."""
        return self._broker

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None and self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # it is raised again in the test's thread
            self._error = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._broker:
            self._started.set()
            await self._stop.wait()
