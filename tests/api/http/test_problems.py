"""Whatever goes wrong is told as problem+json, with the code that all transports share."""

import httpx
import pytest
import structlog

from mombroker.operations import admin
from mombroker.operations.problems import KINDS, NOT_LOGGED_IN, STORE_FULL, Problem

from .conftest import problem_of


@pytest.mark.parametrize("code", KINDS)
async def test_every_problem_of_an_operation_comes_with_its_status_title_and_detail(http, native, code):
    native.fails[admin.GetStatistics] = Problem(code, "so and so", "W7" if code == "service-failed" else "")
    response = await http.get("/v1/statistics")
    assert response.status_code == KINDS[code].status
    problem = problem_of(response)
    assert (problem["code"], problem["title"], problem["detail"]) == (code, KINDS[code].title, "so and so")
    assert problem.get("worker_code", "") == ("W7" if code == "service-failed" else "")
    assert ("www-authenticate" in response.headers) == (code == NOT_LOGGED_IN)


async def test_a_problem_of_a_newer_kind_counts_as_internal(http, native):
    native.fails[admin.GetStatistics] = Problem("quite-new", "so and so")
    response = await http.get("/v1/statistics")
    assert (response.status_code, problem_of(response)["code"]) == (500, "quite-new")


async def test_an_error_nobody_thought_of_is_logged_and_tells_nothing_of_itself(http, native):
    native.fails[admin.GetStatistics] = RuntimeError("inner secrets")
    with structlog.testing.capture_logs() as logs:
        response = await http.get("/v1/statistics")
    assert (response.status_code, problem_of(response)["code"]) == (500, "internal")
    assert "secrets" not in response.text
    assert [entry["event"] for entry in logs] == ["an HTTP request failed"]
    assert str(logs[0]["exc_info"]) == "inner secrets"


async def test_a_broker_in_trouble_is_alive_and_not_ready(http, troubles):
    troubles.append(Problem(STORE_FULL, "the disk is full"))
    assert (await http.get("/health")).status_code == 200
    response = await http.get("/ready")
    assert (response.status_code, problem_of(response)["code"]) == (507, "store-full")


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1/queues/a/b/c", "/v1/queues/", "/docs/../secret"])
async def test_an_unknown_path_is_told(http, path):
    response = await http.get(path)
    assert (response.status_code, problem_of(response)["code"]) == (404, "no-such-operation")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/queues/a", "GET, PUT, PATCH, DELETE"),
        ("GET", "/v1/queues/a/pull", "POST"),
        ("OPTIONS", "/v1/statistics", "GET"),
        ("TRACE", "/v1/statistics", "GET"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/docs", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_resource_does_not_know_is_told_with_those_it_does(http, method, path, allowed):
    response = await http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert problem_of(response)["code"] == "no-such-operation"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/queues/jobs/pull?limit=0", ">= 1 - at `$.limit`"),
        ("/v1/queues/jobs/pull?limit=x", "Expected `int`, got `str` - at `$.limit`"),
        ("/v1/queues/jobs/pull?wait=nan", "- at `$.wait`"),
        ("/v1/queues/jobs/pull?wait=inf", "- at `$.wait`"),
        ("/v1/queues/jobs/pull?limti=1", "unknown field `limti`"),
        ("/v1/queues/jobs/pull?limit=1&limit=2", "'limit' is given more than once"),
        ("/v1/queues/jobs/pull?queue=other", "'queue' is given more than once"),
        ("/v1/queues/jobs/pull?limit=%ff", "percent-encoded UTF-8"),
        ("/v1/queues/jobs/pull?" + "a=b&" * 101, "at most 100"),
        ("/v1/queues/-jobs/pull", "- at `$.queue`"),
        ("/v1/queues/%ff/pull", "the path is not UTF-8"),
        ("/v1/queues/jobs/messages?deliver_at=inf", "- at `$.deliver_at`"),
        ("/v1/services/s/requests?patient=perhaps", "- at `$.patient`"),
        ("/v1/services/s/requests?timeout=3601", "?later"),
    ],
)
async def test_a_wrong_parameter_is_told_with_its_place(http, path, told):
    await http.put("/v1/queues/jobs")
    response = await http.post(path)
    assert (response.status_code, problem_of(response)["code"]) == (400, "bad-request")
    assert told in problem_of(response)["detail"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"policy": {"max_messages": -1}}', "- at `$.policy.max_messages`"),
        (b'{"policy": {"max_mesages": 1}}', "unknown field `max_mesages` - at `$.policy`"),
        (b'{"policy": {"overflow": "explode"}}', "'explode' - at `$.policy.overflow`"),
        (b'{"bindings": ["a", 1]}', "- at `$.bindings[1]`"),
        (b'{"queue": "other"}', "unknown field `queue`"),
        (b"[]", "Expected `object`"),
        (b"{", "no JSON"),
        (b'{"bindings": ["\xff"]}', "no JSON"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b'{"a":' * 5000, ""),
    ],
)
async def test_a_wrong_body_is_told_with_its_place(http, native, body, told):
    response = await http.put("/v1/queues/jobs", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, problem_of(response)["code"]) == (400, "bad-request")
    assert told in problem_of(response)["detail"]
    assert native.calls == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/msgpack", ""])
async def test_a_body_that_is_not_said_to_be_json_is_refused(http, content_type):
    response = await http.put("/v1/queues/jobs", content=b"{}", headers={"content-type": content_type})
    assert (response.status_code, problem_of(response)["code"]) == (415, "unsupported-content")
    assert "application/json" in problem_of(response)["detail"]


async def test_json_may_name_its_encoding(http):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert (await http.put("/v1/queues/jobs", content=b"{}", headers=headers)).status_code == 200


async def test_a_payload_that_is_no_base64_is_told(http):
    await http.put("/v1/queues/jobs")
    headers = {"content-type": "application/vnd.mombroker.messages+json"}
    response = await http.post("/v1/queues/jobs/messages", headers=headers, content=b'{"messages":[{"payload":"&"}]}')
    assert "- at `$.messages[0].payload`" in problem_of(response)["detail"]


async def test_a_header_that_is_no_utf_8_or_too_long_is_told(http):
    await http.put("/v1/queues/jobs")
    for headers in ({"Mom-Property-A": b"\xff"}, {"content-type": "text/" + "x" * 300}):
        response = await http.post("/v1/queues/jobs/messages", headers=headers, content=b"x")
        assert (response.status_code, problem_of(response)["code"]) == (400, "bad-request")


async def test_problems_of_the_queue_reach_the_caller(http):
    answers: list[httpx.Response] = [
        await http.get("/v1/queues/none"),
        await http.put("/v1/queues/jobs", json={"policy": {"lease": 13}}),
        await http.put("/v1/queues/jobs"),
        await http.put("/v1/queues/jobs", json={"policy": {"lease": 14}}),
        await http.get("/v1/queues/jobs/messages/none"),
        await http.post("/v1/leases/ack", json={"leases": ["none"]}),
        await http.delete("/v1/clients/none"),
        await http.get("/v1/requests/none"),
        await http.post("/v1/services/none/requests"),
    ]
    codes = [answer.json().get("code") for answer in answers]
    assert codes == [
        "no-such-queue",
        "bad-policy",
        None,
        "queue-exists",
        "no-such-message",
        "unknown-lease",
        "no-such-client",
        "no-such-request",
        "no-such-service",
    ]
