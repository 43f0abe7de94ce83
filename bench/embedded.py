"""mombroker with its hooks changed, for two rows of the comparison: ``python embedded.py noop|hookless SETTINGS``.

``noop``: a plugin that is asked about every published message and has no opinion. ``hookless``: the core runs with
the hooks of a broker without any plugin host (:class:`mombroker.core.ports.Hooks`), so that nothing is ever asked.
"""

import functools
import os
import sys
from pathlib import Path
from typing import Any

import mombroker.broker
from mombroker.core.ports import Hooks
from mombroker.hooks import hookimpl
from mombroker.model.identity import Identity
from mombroker.model.message import Message
from mombroker.model.queues import Overflow, QueuePolicy, QueueSpec
from mombroker.wiring.logs import configure_logging
from mombroker.wiring.settings import load_settings


class NoOpinion:
    """Sees every message and does nothing."""

    @hookimpl
    def mombroker_on_publish(self, message: Message, identity: Identity) -> None:
        """Let it pass."""


class NoHooks(Hooks):
    """In place of the plugin host: what no plugin decides, and the host's own life."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def queue_policy(self, queue: QueueSpec, answer: Any) -> QueuePolicy:
        """No limits, as in the settings of the other rows."""
        return QueuePolicy(overflow=Overflow.DROP_OLDEST if queue.kind == "session" else Overflow.REJECT)

    def user_directory(self) -> None:
        """Nobody keeps users."""

    async def startup(self) -> None:
        """Nothing to start."""

    async def shutdown(self) -> None:
        """Nothing to stop."""

    async def close(self) -> None:
        """Nothing to close."""


def main() -> int:
    """Run the broker."""
    kind, path = sys.argv[1:]
    changed: Any = mombroker.broker
    if kind == "noop":
        changed.Broker = functools.partial(mombroker.broker.Broker, plugins=(NoOpinion(),))
    else:
        changed.HookHost = NoHooks
    settings = load_settings(Path(path), os.environ, {})
    configure_logging(settings.log.level, settings.log.format)
    return mombroker.broker.serve(settings)


if __name__ == "__main__":
    sys.exit(main())
