"""Schemathesis, let loose on a whole broker: whatever it thinks of, the answers are those of the document, and none is
a 500."""

import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import msgspec
import pytest
import schemathesis

from mombroker.api.http.openapi import openapi_document
from mombroker.client.sync import connect_sync
from mombroker.hooks import hookimpl
from mombroker.hooks.requests import ConnectRequest
from mombroker.model import Identity
from mombroker.testing.broker_thread import BrokerThread

from .test_openapi import CHECKS, impatient

NAMES = {"queue": ["jobs", "jobs.dead", "-"], "service": ["greet", "svc:greet"]}
"""Names that requests are about: made up ones would hardly ever be those of something that is there."""


class Admits:
    """Everybody is an administrator."""

    @hookimpl
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity:
        return Identity(request.client_id, request.username, frozenset({"admin"}))


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerThread]:
    """A broker with something in it."""
    settings = {"http.listen": "127.0.0.1:0", "mqtt.messages_per_user": 10_000}
    with BrokerThread(settings, (Admits(),)) as broker:
        with connect_sync(broker.url) as mom:
            jobs = mom.queue("jobs")
            jobs.create(dead_letter="jobs.dead", max_deliveries=2)
            jobs.put_many(str(number) for number in range(100))
            mom.publish("a/b", b"kept", retain=True)
        yield broker


def _schema() -> Any:
    document = impatient(json.loads(msgspec.json.encode(openapi_document())))
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path" and parameter["name"] in NAMES:
                    parameter["schema"] = {"type": "string", "enum": NAMES[parameter["name"]]}
    return schemathesis.openapi.from_dict(document)


schema = _schema()


@schema.parametrize()
@hypothesis.settings(
    max_examples=10, derandomize=True, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
def test_what_a_broker_does_is_what_the_document_says(case, broker):
    base = f"http://127.0.0.1:{broker.broker.http_port}"
    response = case.call(base_url=base)
    assert response.status_code != 500, response.text
    case.validate_response(response, checks=CHECKS)


def test_the_broker_is_none_the_worse_for_it(broker):
    with connect_sync(broker.url) as mom:
        queue = mom.queue("afterwards")
        queue.create()
        queue.put(b"well")
        (message,) = queue.pull()
        message.ack()
        assert message.text == "well"
