"""The log: its formats, its time, and what it never holds."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest
import structlog

from mombroker.wiring.logs import configure_logging


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(stream):
    """The JSON lines on a stream."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_anything_but_a_terminal_gets_json_lines_with_utc_times():
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger().info("listening", address="127.0.0.1:1883", count=2)
    (line,) = logged(stream)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.utcoffset() == UTC.utcoffset(None)
    assert line == {"level": "info", "event": "listening", "address": "127.0.0.1:1883", "count": 2}


def test_a_terminal_gets_lines_for_people():
    stream = Terminal()
    configure_logging(stream=stream)
    structlog.get_logger().info("listening")
    assert "listening" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_format_can_be_forced():
    terminal, pipe = Terminal(), io.StringIO()
    configure_logging(format="json", stream=terminal)
    structlog.get_logger().info("one")
    configure_logging(format="console", stream=pipe)
    structlog.get_logger().info("two")
    assert logged(terminal)[0]["event"] == "one"
    assert "two" in pipe.getvalue()
    assert "\x1b" not in pipe.getvalue(), "colours are for terminals"


def test_less_important_events_than_asked_for_are_left_out():
    stream = io.StringIO()
    configure_logging("warning", stream=stream)
    structlog.get_logger().info("no")
    logging.getLogger("library").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in logged(stream)] == ["yes"]


def test_libraries_that_use_the_standard_library_log_the_same_way_and_once():
    stream = io.StringIO()
    configure_logging(stream=io.StringIO())
    configure_logging(stream=stream)
    logging.getLogger("library.part").warning("it is %s", "late")
    (line,) = logged(stream)
    assert (line["event"], line["logger"], line["level"]) == ("it is late", "library.part", "warning")


def test_secrets_and_payloads_are_left_out_wherever_they_stand():
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger().info(
        "x",
        password=b"hunter2",
        payload=b"hunter2",
        nested={"Authorization": "hunter2", "list": [{"api_token": "hunter2"}]},
    )
    logging.getLogger("library").warning("y", extra={"password": "hunter2"})
    assert "hunter2" not in stream.getvalue()
    assert logged(stream)[0]["password"] == "[left out]"


def test_the_size_of_a_payload_is_no_secret():
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger().info("x", payload_bytes=12)
    assert logged(stream)[0]["payload_bytes"] == 12


@pytest.mark.parametrize("format", ["json", "console"])
def test_an_exception_is_logged_with_its_traceback_but_without_local_variables(format):
    stream = io.StringIO()
    configure_logging(format=format, stream=stream)

    def fails():
        inner_variable = "hunter" + str(1 + 1)
        raise ValueError("broken " + str(len(inner_variable)))

    try:
        fails()
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: broken 7" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("value", ["\ud800", 1 << 70, {1, 2}, object(), {(1, 2): 3}, b"\xff"])
def test_a_value_that_is_no_json_is_logged_anyhow(value):
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger().info("x", value=value)
    assert logged(stream)[0]["event"] == "x"


def test_a_log_that_cannot_be_written_does_not_stop_the_broker():
    stream = io.StringIO()
    configure_logging(stream=stream)
    stream.close()
    structlog.get_logger().info("nobody hears this")
    logging.getLogger("library").warning("nor this")
