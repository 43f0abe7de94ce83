"""MQTT over Unix sockets: who may connect is who may open the file."""

import os
import socket
import stat

import pytest

import mombroker
from mombroker.broker import Broker

from .conftest import Start


async def test_the_python_client_goes_with_it(start: Start, tmp_path):
    path = tmp_path / "mqtt.sock"
    await start(f"unix:{path}")
    async with mombroker.connect(f"unix:{path}") as mom, mom.subscribe("t") as messages:
        await mom.publish("t", b"hello", qos=2)
        async for message in messages:
            assert message.payload == b"hello"
            break


@pytest.mark.parametrize("mode", ["0600", "0660"])
async def test_only_those_may_connect_who_are_meant_to(start: Start, tmp_path, mode):
    path = tmp_path / "mqtt.sock"
    await start(f"unix:{path}", mqtt__unix_mode=mode)
    assert stat.S_IMODE(os.stat(path).st_mode) == int(mode, 8)


async def test_the_file_is_gone_when_the_broker_is(tmp_path):
    path = tmp_path / "mqtt.sock"
    async with Broker(listen=[f"unix:{path}"], durability="memory"):
        assert path.exists()
    assert not path.exists()


async def test_what_a_killed_broker_left_is_no_hindrance(start: Start, tmp_path):
    path = tmp_path / "mqtt.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    await start(f"unix:{path}")
    async with mombroker.connect(f"unix:{path}"):
        pass


async def test_the_socket_of_a_running_broker_is_not_taken(start: Start, tmp_path):
    path = tmp_path / "mqtt.sock"
    await start(f"unix:{path}")
    with pytest.raises(OSError, match="another program does"):
        await start(f"unix:{path}")
    async with mombroker.connect(f"unix:{path}"):
        pass


async def test_a_file_that_is_no_socket_is_left_alone(start: Start, tmp_path):
    path = tmp_path / "mqtt.sock"
    path.write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        await start(f"unix:{path}")
    assert path.read_text() == "precious"


async def test_a_folder_that_is_not_there_is_named(start: Start, tmp_path):
    with pytest.raises(OSError, match=r"cannot listen on unix:.*none/mqtt\.sock \(No such file"):
        await start(f"unix:{tmp_path}/none/mqtt.sock")
