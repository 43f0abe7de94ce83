"""The log: structured events on one stream, for people in a terminal and as JSON lines anywhere else.

Libraries that log through the standard library come out the same way. Values under names that suggest a secret or a
message payload are left out, whoever logs them.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
SECRET: Final = ("password", "passwd", "secret", "token", "authorization", "credential")
"""Names that contain one of these are secrets; ``payload`` itself is one as well, ``payload_bytes`` is not."""
REDACTED: Final = "[left out]"
_DEEPEST: Final = 4


def configure_logging(level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's events of ``level`` and above to ``stream`` (standard error).

    ``format`` is ``console``, ``json``, or ``auto``: console if the stream is a terminal. May be called again, as
    when the settings are read anew.
    """
    stream = sys.stderr if stream is None else stream
    terminal = stream.isatty()
    out = cast(TextIO, _Unfailing(stream))
    renderer = _console(terminal) if format == "console" or (format == "auto" and terminal) else _json()
    structlog.configure(
        processors=[*_shared(), *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _route_standard_library(LEVELS[level], out, renderer)


class _Unfailing:
    """A stream that swallows its own failures: a log that nobody can read any more must not stop a broker."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        leave_out_secrets,
    ]


def _console(colors: bool) -> list[Processor]:
    # The plain formatter: the pretty one prints local variables, and those may be passwords.
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, _in_reading_order, structlog.processors.JSONRenderer(_as_json)]


def _in_reading_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return {**first, **event}


def _as_json(event: EventDict, **_options: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except (ValueError, TypeError, OverflowError):  # lone surrogates, keys that are no text, huge numbers
        return json.dumps({str(key): str(value) for key, value in event.items()})


def _route_standard_library(level: int, stream: TextIO, renderer: list[Processor]) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)


def leave_out_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what is logged under a secret-sounding name, in nested mappings too."""
    return _without_secrets(event, _DEEPEST)


def without_secrets(options: Mapping[str, object]) -> dict[str, object]:
    """A copy of ``options`` that may be shown."""
    return _without_secrets(options, _DEEPEST)


def _without_secrets(values: Mapping[str, Any], depth: int) -> dict[str, Any]:
    return {key: REDACTED if _is_secret(str(key)) else _inner(value, depth) for key, value in values.items()}


def _is_secret(name: str) -> bool:
    name = name.lower()
    return name == "payload" or any(word in name for word in SECRET)


def _inner(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return _without_secrets(value, depth - 1) if depth else REDACTED
    if isinstance(value, (list, tuple)):
        return [_inner(item, depth - 1) for item in value] if depth else REDACTED
    return value
