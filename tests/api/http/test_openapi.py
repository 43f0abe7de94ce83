"""The OpenAPI document: valid, complete, and true of what the server does."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import hypothesis
import msgspec
import pytest
import schemathesis
import structlog
from openapi_spec_validator import validate

from mombroker.api.http.openapi import openapi_document
from mombroker.api.http.page import page_files
from mombroker.api.http.routes import ROUTES
from mombroker.api.http.server import HttpServer
from mombroker.api.tokens import Tokens
from mombroker.broker import Broker
from mombroker.hooks import ConnectRequest, hookimpl
from mombroker.model.identity import Identity
from mombroker.wiring.settings_keys import HttpSettings

from ..fake_native import FakeNative


@pytest.fixture
async def document(http) -> dict[str, Any]:
    response = await http.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document: dict[str, Any] = response.json()
    return document


async def test_the_document_is_valid_openapi(document):
    assert document["openapi"].startswith("3.1")
    validate(document)


async def test_every_route_is_in_it_with_a_summary_and_its_problems(document):
    operations = [item for methods in document["paths"].values() for item in methods.values()]
    assert len(operations) == sum(len(methods) for methods in ROUTES.values())
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"] and "  " not in operation["summary"]
        assert {"400", "401", "403", "500", "503"} <= operation["responses"].keys()


async def test_path_parameters_are_those_of_the_path(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            in_path = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
            assert sorted(in_path) == sorted(re.findall(r"\{(\w+)\}", path)), path
            assert all(each["required"] for each in operation["parameters"] if each["in"] == "path")


async def test_nothing_in_it_refers_to_something_that_is_missing(document):
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]
    assert "OutMessage" in document["components"]["schemas"]


async def test_the_page_is_served_with_everything_it_needs(http):
    page = await http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    used = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert len(used) >= 4
    for path in used:
        assert path.startswith("/"), "the page has to work without a network"
        assert (await http.get(path)).status_code == 200, path
    assert (await http.get("/", follow_redirects=True)).text == page.text


def test_the_files_of_the_page_load_nothing_from_elsewhere():
    for _, content, _ in page_files():
        assert not re.findall(rb"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w.-]+\.\w+/", content)
        assert b"innerHTML" not in content


class InThread:
    """Something that runs on an event loop in a thread of its own, for a tool that blocks."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture(scope="module")
def thread() -> Iterator[InThread]:
    thread = InThread()
    yield thread
    thread.stop()


@pytest.fixture(scope="module")
def fake_port(thread: InThread) -> Iterator[int]:
    """The port of a server on the fake API."""

    async def start() -> HttpServer:
        settings = HttpSettings(listen="127.0.0.1:0")
        tokens = Tokens(60.0, time.monotonic)
        server = HttpServer(FakeNative(), settings, tokens, lambda: None, structlog.get_logger("test"))
        await server.start()
        return server

    server = thread.run(start())
    yield server.ports[0]
    thread.run(server.stop())


class EverybodyIsAdmin:
    """So that the operations for administrators have more to say than no."""

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity:
        return Identity(request.client_id, request.username, frozenset({"admin"}), request.address)


@pytest.fixture(scope="module")
def broker_port(thread: InThread) -> Iterator[int]:
    """The port of a whole broker."""

    async def start() -> Broker:
        broker = Broker(listen=["127.0.0.1:0"], http="127.0.0.1:0", durability="memory", plugins=(EverybodyIsAdmin(),))
        return await broker.__aenter__()

    broker = thread.run(start())
    yield broker.http_port
    thread.run(broker.__aexit__(None, None, None))


def impatient(document: dict[str, Any]) -> dict[str, Any]:
    """The same operations with waits of at most a blink, addresses that fit into a line, and without the one that
    streams for ever."""
    del document["paths"]["/v1/queues/{queue}/stream"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["schema"].get("maxLength", 0) > 500:
                    parameter["schema"]["maxLength"] = 500
                if parameter["name"] in ("wait", "timeout"):
                    parameter["required"] = True
                    parameter["schema"]["maximum"] = 0.01
    return document


CHECKS = [
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.response_headers_conformance,
]


schema = schemathesis.openapi.from_dict(impatient(json.loads(msgspec.json.encode(openapi_document()))))
bounded = hypothesis.settings(
    max_examples=6,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def check(case: Any, port: int) -> None:
    response = case.call(base_url=f"http://127.0.0.1:{port}")
    assert response.status_code != 500, response.text
    case.validate_response(response, checks=CHECKS)


@schema.parametrize()
@bounded
def test_what_http_does_is_what_the_document_says(case, fake_port):
    check(case, fake_port)


@schema.parametrize()
@bounded
def test_what_a_broker_does_is_what_the_document_says(case, broker_port):
    check(case, broker_port)
