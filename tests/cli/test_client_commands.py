"""pub, sub, request, serve-echo and queue, against a broker in a thread."""

import io
import json
import logging
import signal
import subprocess
import sys

import pytest
import structlog

from mombroker.cli import main
from mombroker.client.sync import connect_sync


class Terminal:
    """Runs commands against a broker and keeps what they print."""

    def __init__(self, broker, capfd, monkeypatch):
        self.broker = broker
        self._capfd = capfd
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments, stdin=b"", code=0):
        """Run a command, which has to end with ``code``; its standard output."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capfd.readouterr()
        ended = main(list(arguments))
        out, self.err = self._capfd.readouterr()
        assert ended == code, (out, self.err)
        return out


@pytest.fixture
def mombroker_settings():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield {"mqtt.max_packet_size": 1_000_000}
    structlog.reset_defaults()


@pytest.fixture
def run(mombroker_broker, capfd, monkeypatch):
    monkeypatch.delenv("MOMBROKER_PASSWORD", raising=False)
    monkeypatch.setenv("MOMBROKER_URL", mombroker_broker.url)
    return Terminal(mombroker_broker, capfd, monkeypatch)


def retained(mom, topic):
    """The retained message of a topic."""
    with mom.subscribe(topic) as messages:
        return next(messages)


def test_what_is_published_is_there(run, mom_sync):
    run("pub", "-t", "a", "-m", "text", "-r", "-q", "2")
    message = retained(mom_sync, "a")
    assert (message.text, message.retain) == ("text", True)


def test_properties_are_given_as_for_mosquitto_pub(run, mom_sync):
    properties = ["-D", "publish", "content-type", "text/plain", "-D", "PUBLISH", "user-property", "a", "b c"]
    run("pub", "-t", "a", "-m", "x", "-r", *properties, "-D", "publish", "message-expiry-interval", "100")
    message = retained(mom_sync, "a")
    assert (message.content_type, message.properties) == ("text/plain", {"a": "b c"})


@pytest.mark.parametrize(
    ("arguments", "payload"),
    [(["-s"], b"line 1\nline 2\n"), (["-f", "{file}"], b"from\nfile\n")],
    ids=["stdin", "file"],
)
def test_a_message_can_come_from_standard_input_or_a_file(run, mom_sync, tmp_path, arguments, payload):
    (tmp_path / "f").write_bytes(b"from\nfile\n")
    given = [argument.format(file=tmp_path / "f") for argument in arguments]
    run("pub", "-t", "a", "-r", *given, stdin=b"line 1\nline 2\n")
    assert retained(mom_sync, "a").payload == payload


def test_lines_of_standard_input_or_a_file_are_messages_of_their_own(run, mom_sync, tmp_path):
    (tmp_path / "f").write_bytes(b"4\n5")
    with mom_sync.subscribe("a", qos=1) as messages:
        run("pub", "-t", "a", "-l", stdin=b"1\n2\r\n3\n")
        assert "published: 3 messages" in run.err
        run("pub", "-t", "a", "-l", "-f", str(tmp_path / "f"))
        run("pub", "-t", "a", "-m", "6", "--repeat", "2")
        assert [next(messages).payload for _ in range(7)] == [b"1", b"2", b"3", b"4", b"5", b"6", b"6"]


def test_what_comes_is_printed_until_enough_has_come(run, mom_sync):
    for number in range(3):
        mom_sync.publish(f"a/{number}", f"m{number}", retain=True)
    assert sorted(run("sub", "-t", "a/#", "-v", "-C", "3").splitlines()) == ["a/0 m0", "a/1 m1", "a/2 m2"]
    assert run("sub", "-t", "a/0", "-N", "-C", "1") == "m0"


def test_too_few_messages_in_time_is_a_failure(run):
    run("sub", "-t", "a", "-C", "1", "-W", "0.05", code=1)
    assert run.err == "mombroker: fewer than 1 messages came in 0.05 s\n"
    assert run("sub", "-t", "a", "-W", "0.05") == ""


def test_a_service_is_asked_and_its_failure_is_told(run, mom_sync):
    @mom_sync.service("half")
    def half(request):
        return f"{int(request.text) / 2:g}"

    assert run("request", "half", "-m", "84") == "42\n"
    assert run("request", "half", "-l", stdin=b"1\n2\n") == "0.5\n1\n"
    run("request", "half", "-m", "x", code=1)
    assert "service-failed" in run.err
    run("request", "nobody", "-n", code=1)
    assert "no-such-service" in run.err
    assert run.err.count("\n") == 1


def test_echo_is_served_until_it_is_interrupted(run, mom_sync):
    command = [sys.executable, "-m", "mombroker", "serve-echo", "e", "-p", str(run.broker.port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
        assert "serving e at mqtt://127.0.0.1" in serving.stderr.readline()
        assert mom_sync.request("e", b"x").payload == b"x"
        serving.send_signal(signal.SIGINT)
        assert serving.wait(20) == 130
        assert serving.stderr.read().strip() == "mombroker: interrupted"


def test_a_queue_through_its_whole_life(run, tmp_path):
    run("queue", "create", "q", "--max-messages", "100", "--dead-letter", "dead", "--no-single-active", "-b", "in/#")
    assert "q" in [line.split("\t")[0] for line in run("queue", "list").splitlines()]
    id = run("queue", "put", "q", "-m", "first", "--priority", "5").strip()
    run("queue", "put", "q", "-l", "--key", "k", stdin=b"second\nthird\nfourth\n")
    run("pub", "-t", "in/x", "-m", "fifth")
    info = json.loads(run("queue", "info", "q", "--json"))
    assert (info["policy"]["max_messages"], info["bindings"], info["numbers"]["depth"]) == (100, ["in/#"], 5)
    assert "policy.max_messages  100" in run("queue", "info", "q").replace("  " * 2, "  ")
    assert run("queue", "peek", "q", "-C", "1").split("\t") == [id, "5", "0", "5", "first\n"]
    assert run("queue", "pull", "q") == "first\n"
    lease, payload = run("queue", "pull", "q", "--keep").split()
    assert payload == "second"
    assert run("queue", "nack", lease, "--dead-letter", "--reason", "test") == "1 messages given back\n"
    lease, _ = run("queue", "pull", "q", "--keep").split()
    assert run("queue", "ack", lease) == "1 messages acknowledged\n"
    assert run("queue", "consume", "q", "-v", "-C", "1") == "$queue/q fourth\n"
    assert "1 messages moved" in run("queue", "redrive", "dead")
    run("queue", "consume", "q", "--drain", "-o", str(tmp_path / "out"))
    assert sorted((tmp_path / "out").read_text().split()) == ["fifth", "second"]
    assert "drained: 2 messages" in run.err
    run("queue", "change", "q", "--max-messages", "7", "--unbind-all")
    info = json.loads(run("queue", "list", "q", "--json"))[0]
    assert (info["policy"]["max_messages"], info["bindings"]) == (7, [])
    run("queue", "put", "q", "-n")
    assert run("queue", "purge", "q") == "1 messages dropped\n"
    assert run("queue", "delete", "q", "--if-empty") == "the queue q is deleted, with 0 messages\n"
    run("queue", "info", "q", code=1)
    assert run.err == "mombroker: there is no queue 'q' (no-such-queue)\n"


def test_an_empty_queue_is_a_failure_of_pull_and_the_end_of_a_drain(run):
    run("queue", "create", "q")
    run("queue", "pull", "q", code=1)
    assert run.err == "mombroker: there is no message in the queue q\n"
    assert run("queue", "consume", "q", "--drain") == ""
    run("queue", "consume", "q", "-C", "1", "-W", "0.05", code=1)
    assert "0 of 1 messages" in run.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pub", "-t", "a"], "there is nothing to send"),
        (["pub", "-t", "a", "-m", "x", "-n"], "give one of -m"),
        (["pub", "-t", "a", "-l", "-m", "x"], "give one of -m"),
        (["pub", "-m", "x"], "Missing option '-t'"),
        (["pub", "-t", "a", "-m", "x", "-q", "3"], "is not in the range"),
        (["pub", "-t", "a", "-m", "x", "-D", "publish", "colour", "red"], "there is no property colour of publish"),
        (["pub", "-t", "a", "-m", "x", "-D", "publish", "user-property"], "-D takes a packet"),
        (["pub", "-t", "a", "-m", "x", "-D", "publish", "message-expiry-interval", "soon"], "is a whole number"),
        (["queue", "change", "q"], "say what to change"),
        (["queue", "consume", "q", "--drain", "-W", "1"], "--drain ends by itself"),
        (["sub", "-t", "a", "-c"], "name its client_id"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(run, arguments, told):
    run(*arguments, code=2)
    assert told in run.err
    assert run.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["-t", "a/+", "-m", "x"], ["-t", "a", "-s"]])
def test_what_the_broker_or_mqtt_does_not_take_is_told_in_one_line(run, arguments):
    run("pub", *arguments, stdin=b"x" * 2_000_000, code=1)
    assert run.err.startswith("mombroker: ")
    assert run.err.count("\n") == 1


def test_nobody_there_is_told_in_one_line(capfd):
    assert main(["pub", "-L", "mqtt://127.0.0.1:1", "-t", "a", "-n"]) == 1
    assert "no connection to mqtt://127.0.0.1:1" in capfd.readouterr().err
    assert main(["pub", "-L", "nonsense", "-t", "a", "-n"]) == 1
    assert "is no address" in capfd.readouterr().err


def test_an_old_protocol_version_is_explained_and_ignored(run):
    run("pub", "-t", "a", "-n", "-V", "311")
    assert "-V 311 is ignored" in run.err
    run("pub", "-t", "a", "-n", "-V", "mqttv5")
    assert run.err == ""


def test_a_session_is_gone_on_with(run, mom_sync):
    run("sub", "-t", "a", "-i", "me", "-c", "-q", "1", "-W", "0.05")
    mom_sync.publish("a", b"while away")
    assert run("sub", "-t", "a", "-i", "me", "-c", "-q", "1", "-C", "1") == "while away\n"


def test_host_and_port_go_before_the_url_of_the_environment(run, monkeypatch, mom_sync):
    monkeypatch.setenv("MOMBROKER_URL", "mqtt://127.0.0.1:1")
    run("pub", "-t", "a", "-m", "x", "-r", "-h", "127.0.0.1", "-p", str(run.broker.port))
    assert retained(mom_sync, "a").text == "x"
    run("pub", "-t", "a", "-n", "-L", run.broker.url)
    run("pub", "-t", "a", "-n", code=1)


def test_the_commands_are_in_the_help_and_their_properties_too(capfd):
    assert main(["--help"]) == 0
    listed = capfd.readouterr().out
    assert all(name in listed for name in ("pub", "sub", "request", "serve-echo", "queue"))
    assert main(["pub", "--help"]) == 0
    assert "-D PACKET NAME VALUE" in capfd.readouterr().out


def test_without_rich_there_is_plain_text(run, monkeypatch):
    with connect_sync(run.broker.url) as mom:
        mom.queue("q").create()
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    lines = run("queue", "list").splitlines()
    assert lines[0].split()[:3] == ["queue", "owner", "depth"]
    assert lines[1].split()[:3] == ["q", "-", "0"]


def test_with_rich_and_a_terminal_there_are_tables_and_bars(run, monkeypatch):
    pytest.importorskip("rich")
    with connect_sync(run.broker.url) as mom:
        mom.queue("q").create()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert "consumers" in run("queue", "list")
    run("queue", "put", "q", "-l", stdin=b"x\n" * 1000)
    assert "put: 1,000 messages" in run.err
