"""The server: bounds on what clients may do, and a clean end."""

import asyncio
import subprocess
import sys

import pytest
import structlog

from mombroker.api.http import server as server_module
from mombroker.api.http.server import HttpServer
from mombroker.operations import messages

from .conftest import client_of, problem_of, until
from .raw import Raw


async def test_a_body_may_be_as_large_as_the_setting_says(serve, native):
    server = await serve(max_body=2048)
    async with client_of(server) as http:
        await http.put("/v1/queues/jobs")
        assert (await http.post("/v1/queues/jobs/messages", content=b"x" * 2048)).status_code == 201
        response = await http.post("/v1/queues/jobs/messages", content=b"x" * 2049)
        assert (response.status_code, problem_of(response)["code"]) == (413, "too-large")

        async def chunks():
            for _ in range(3):
                yield b"x" * 1000

        response = await http.post("/v1/queues/jobs/messages", content=chunks())
        assert (response.status_code, problem_of(response)["code"]) == (413, "too-large")
        assert (await http.get("/v1/queues/jobs")).status_code == 200
    assert len(native.enqueued) == 1


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(serve):
    server = await serve(max_body=2048)
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("POST /v1/topics/a", content_length="1000000", expect="100-continue")
        assert (await raw.until(b"\r\n")).startswith(b"HTTP/1.1 413")


async def test_bodies_together_may_hold_a_bounded_amount_of_memory(serve, native):
    server = await serve(max_body=1024)
    async with client_of(server) as http:
        holders = [await Raw.open(server.ports[0]) for _ in range(8)]
        for holder in holders:
            holder.request("POST /v1/topics/a", b"x" * 1000, content_length="1024")
        await until(lambda: server._context.uploads._held == 8000)
        response = await http.post("/v1/topics/a", content=b"x" * 1000)
        assert (response.status_code, problem_of(response)["code"]) == (503, "overloaded")
        for holder in holders:
            await holder.close()
        await until(lambda: server._context.uploads._held == 0)
        assert (await http.post("/v1/topics/a", content=b"x" * 1000)).status_code == 200


async def test_a_body_that_does_not_come_is_not_waited_for(serve):
    server = await serve(read_timeout=0.1)
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("POST /v1/topics/a", b"x", content_length="10")
        assert (await raw.until(b"\r\n")).startswith(b"HTTP/1.1 400")
        assert b"bad-request" in await raw.until(b"}")


async def test_a_connection_on_which_no_request_comes_is_closed_and_one_that_works_is_not(server, native):
    release = asyncio.Event()

    async def slow(caller, request):
        await release.wait()
        return messages.Published(matched=True)

    native._message_publish = slow
    silent, partial, later, busy = [await Raw.open(server.ports[0]) for _ in range(4)]
    partial.writer.write(b"GET /health HTT")
    later.request("GET /health")
    await later.until(b'"alive"}')
    later.writer.write(b"GET /health HTT")
    busy.request("POST /v1/topics/a")
    await until(lambda: native.calls and len(server._connections) == 4)
    server._close_idle(1000.0)
    server._close_idle(1030.0)
    assert len(server._connections) == 4
    server._close_idle(1030.1)
    for raw in (silent, partial):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await raw.until(b"never")
    assert len(server._connections) == 2
    server._close_idle(1060.1)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await later.until(b"never")
    release.set()
    assert b"200 OK" in await busy.until(b"}")
    for raw in (silent, partial, later, busy):
        await raw.close()


async def test_a_connection_too_many_is_turned_away_and_the_others_go_on(serve):
    server = await serve(max_connections=2)
    first, second = await Raw.open(server.ports[0]), await Raw.open(server.ports[0])
    for raw in (first, second):
        raw.request("GET /health")
        await raw.until(b'"alive"}')
    async with await Raw.open(server.ports[0]) as third:
        answer = await third.rest()
        assert answer.startswith(b"HTTP/1.1 503") and b'"overloaded"' in answer
    first.request("GET /health")
    await first.until(b'"alive"}')
    await first.close()
    await second.close()


@pytest.mark.parametrize("junk", [b"\x10\x0c\x00\x04MQTT\x04\x02", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 100])
async def test_what_is_no_http_is_refused_and_disturbs_nobody(server, http, junk, capfd):
    async with await Raw.open(server.ports[0]) as raw:
        raw.writer.write(junk + b"\r\n\r\n")
        assert b" 400 " in await raw.rest()
    assert (await http.get("/health")).status_code == 200
    assert capfd.readouterr().err == ""


async def test_requests_that_run_may_end_when_the_broker_stops(serve, native):
    server = await serve()
    port = server.ports[0]
    go_on = asyncio.Event()
    began = asyncio.Event()

    async def slow(caller, request):
        began.set()
        await go_on.wait()
        return messages.Published(matched=True)

    native._message_publish = slow
    async with client_of(server) as http:
        publishing = asyncio.ensure_future(http.post("/v1/topics/a"))
        await began.wait()
        stopping = asyncio.ensure_future(server.stop())
        await until(lambda: server._stopping.done())
        go_on.set()
        assert (await publishing).json() == {"matched": True}
        await stopping
    with pytest.raises(ConnectionRefusedError):
        await Raw.open(port)


async def test_a_request_that_does_not_end_is_broken_off_when_the_broker_stops(serve, native, monkeypatch):
    monkeypatch.setattr(server_module, "STOP_SECONDS", 0.1)
    server = await serve()
    cancelled = asyncio.Event()

    async def endless(caller, request):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    native._message_publish = endless
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("POST /v1/topics/a")
        await until(lambda: native.calls)
        await server.stop()
        assert cancelled.is_set()


async def test_a_client_that_does_not_read_its_response_does_not_keep_the_broker(serve, native, monkeypatch):
    monkeypatch.setattr(server_module, "STOP_SECONDS", 0.1)
    server = await serve()
    async with client_of(server) as http:
        await http.put("/v1/queues/jobs")
        await http.post("/v1/queues/jobs/messages", content=b"\xff" * 10_000_000)
    async with await Raw.open(server.ports[0]) as raw:
        raw.writer.transport.pause_reading()
        raw.request("POST /v1/queues/jobs/pull")
        await until(lambda: native.leased)
        await asyncio.wait_for(server.stop(), 20)


async def test_a_stop_leaves_no_task_and_can_be_asked_for_twice(serve):
    before = asyncio.all_tasks()
    server: HttpServer = await serve()
    async with client_of(server) as http:
        await http.get("/health")
    await server.stop()
    await server.stop()
    assert asyncio.all_tasks() == before


async def test_several_addresses_may_be_listened_on(serve):
    server = await serve(listen="127.0.0.1:0, 127.0.0.2:0")
    assert len(server.ports) == 2
    assert server.addresses == [f"127.0.0.1:{server.ports[0]}", f"127.0.0.2:{server.ports[1]}"]


async def test_a_failed_login_is_no_news_for_the_log(http, native):
    with structlog.testing.capture_logs() as logs:
        await http.get("/v1/grants", auth=("ann", "wrong"))
    assert logs == []


def test_nothing_of_http_is_imported_while_it_is_off():
    program = (
        "import sys, mombroker.broker, mombroker.cli\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('starlette', 'uvicorn', 'h11', 'anyio')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
