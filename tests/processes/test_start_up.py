"""Starting, and the ways in which it is refused: one line that says what to do, and an exit code."""

import socket
import sys

import pytest

from ..broker.client import Client
from .server import mombroker


def last_line(server) -> str:
    """The end of the log of a process that did not start; it said nothing else that was not JSON."""
    told = [entry["event"] for entry in server.log if entry.get("unparsed")]
    assert len(told) == 1, server.text
    return told[0]


def test_the_start_is_logged_with_all_that_matters(new_server):
    server = new_server().start()
    ready = server.wait_for("mombroker is ready")
    assert ready["durability"] == "fsync"
    assert str(server.data) in ready["store"]
    assert ready["listening"] == [f"127.0.0.1:{server.port}"]
    assert {"anonymous", "queue_limits", "storage"} <= set(ready["plugins"])
    assert isinstance(ready["compiled"], bool)


def test_a_second_broker_on_the_same_data_is_refused_and_told_who_has_it(server, new_server):
    second = new_server()
    second.launch()
    assert second.wait() == 1
    assert f"process {server.pid}" in last_line(second)
    assert "stop that broker first" in last_line(second)


def test_the_data_is_free_again_at_once_when_its_owner_was_killed(server):
    for _ in range(3):
        server.kill()
        server.start()


def test_a_taken_port_is_told_in_one_line(server, new_server, tmp_path):
    (tmp_path / "other").mkdir()
    second = new_server(place=tmp_path / "other", listen=f"127.0.0.1:{server.port}")
    second.launch()
    assert second.wait() == 1
    assert last_line(second).startswith("mombroker: ")
    assert f"127.0.0.1:{server.port}" in last_line(second) or f"('127.0.0.1', {server.port})" in last_line(second)
    assert "in use" in last_line(second)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_an_open_door_is_refused_with_what_to_set(new_server, listen):
    server = new_server(listen=listen)
    server.launch()
    assert server.wait() == 2
    assert "users" in last_line(server)
    assert 'allow = "any"' in last_line(server)


def test_an_open_door_that_is_meant_is_opened(new_server):
    server = new_server(listen="0.0.0.0:0", config='[plugins.anonymous]\nallow = "any"\n').start()
    with socket.create_connection(("127.0.0.1", server.port), 10):
        pass
    assert server.stop() == 0


async def test_flags_beat_the_file(new_server):
    server = new_server(config='[mqtt]\nlisten = ["127.0.0.1:1"]\nmaximum_qos = 1\n').start()
    assert server.port != 1
    async with await Client.open(server.port) as client:
        connack = await client.connect("c")
        assert connack.properties is not None
        assert connack.properties.maximum_qos == 1


def test_the_environment_counts(new_server):
    server = new_server(listen=None, env={"MOMBROKER_MQTT_LISTEN": "127.0.0.1:0"}).start()
    assert server.port


def test_check_says_what_would_be_used_and_starts_nothing(tmp_path):
    (tmp_path / "b.toml").write_text('[mqtt]\nmaximum_qos = 1\n[storage]\ndata = "d"\n')
    done = mombroker("check", "--config", "b.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "maximum_qos = 1" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["b.toml"]


def test_check_works_while_a_broker_runs(server):
    assert mombroker("check", "--data", str(server.data), cwd=server.place).returncode == 0


def test_check_refuses_what_serve_would_refuse(tmp_path):
    (tmp_path / "b.toml").write_text("[plugins.nobody_knows]\n")
    for command in (["check"], ["serve", "--data", "d", "--mqtt", "127.0.0.1:0"]):
        done = mombroker(*command, "--config", "b.toml", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("mombroker: ")
        assert "nobody_knows" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="root may write anywhere but there")
def test_a_data_directory_that_cannot_be_used_is_told_in_one_line(tmp_path):
    done = mombroker("serve", "--data", "/proc/no/such", "--mqtt", "127.0.0.1:0", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("mombroker: ")
    assert "/proc/no" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_no_store_is_told_in_one_line(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.mdb").write_bytes(b"this is no database" * 1000)
    done = mombroker("serve", "--data", "data", "--mqtt", "127.0.0.1:0", cwd=tmp_path)
    assert done.returncode == 1
    assert "data.mdb" in done.stderr
    assert done.stderr.count("\n") == 1
