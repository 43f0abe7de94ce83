"""Services over HTTP: asked and waited for, asked and fetched later, and served by polling."""

import asyncio

import pytest

from mombroker.operations import services

from .conftest import problem_of, until
from .raw import Raw

REPLY = "application/vnd.mombroker.reply+json"


@pytest.fixture
async def thumbs(http, native):
    """A client, and a service with a worker."""
    await http.post("/v1/services/thumbs/next")
    return http


async def task_of(http):
    """The next request, as a worker gets it."""
    (task,) = (await http.post("/v1/services/thumbs/next?wait=20")).json()["tasks"]
    return task


async def test_the_reply_is_the_response(thumbs):
    asking = asyncio.ensure_future(
        thumbs.post(
            "/v1/services/thumbs/requests?timeout=20",
            content=b"\xff\xd8",
            headers={"content-type": "image/jpeg", "Mom-Property-Width": "64"},
        )
    )
    task = await task_of(thumbs)
    assert (task["payload"], task["content_type"], task["properties"]) == ("/9g=", "image/jpeg", [["width", "64"]])
    answered = await thumbs.post(
        f"/v1/requests/{task['id']}/reply",
        content=b"\x89PNG",
        headers={"content-type": "image/png", "Mom-Property-Took": "3 ms"},
    )
    assert answered.status_code == 204
    response = await asking
    assert (response.status_code, response.content) == (200, b"\x89PNG")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["mom-property-took"] == "3 ms"
    assert "sandbox" in response.headers["content-security-policy"]


@pytest.mark.parametrize("accept", ["", REPLY])
async def test_a_reply_of_several_parts_is_json(thumbs, accept):
    asking = asyncio.ensure_future(thumbs.post("/v1/services/thumbs/requests", headers={"accept": accept or "*/*"}))
    task = await task_of(thumbs)
    reply = f"/v1/requests/{task['id']}/reply"
    await thumbs.post(reply + "?more", content=b"one")
    await thumbs.post(reply, content=b"\xff")
    response = await asking
    assert response.headers["content-type"] == REPLY
    assert response.json() == {"parts": [{"text": "one"}, {"payload": "/w=="}]}


async def test_the_parts_of_a_reply_can_be_events(thumbs, server):
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("POST /v1/services/thumbs/requests", accept="text/event-stream")
        task = await task_of(thumbs)
        await thumbs.post(f"/v1/requests/{task['id']}/reply?more", content=b"one")
        await thumbs.post(f"/v1/requests/{task['id']}/reply", content=b"two")
        events = await raw.events(3)
    assert events == [
        b'event: part\ndata: {"text":"one"}\n\n',
        b'event: part\ndata: {"text":"two"}\n\n',
        b"event: end\ndata: {}\n\n",
    ]


async def test_properties_that_are_no_headers_are_left_to_json(thumbs, native):
    parts = (
        services.Part(payload=b"x", content_type="text/html\r\nx: y", properties=(("a b", "c"), ("d", "e\r\nf: g"))),
    )

    async def reply(caller, request):
        return services.Reply(parts=parts)

    native._request_wait = reply
    response = await thumbs.post("/v1/services/thumbs/requests")
    assert response.headers["content-type"] == "application/octet-stream"
    assert not [name for name in response.headers if name in ("x", "f") or name.startswith("mom-property")]
    response = await thumbs.post("/v1/services/thumbs/requests", headers={"accept": REPLY})
    assert response.json()["parts"][0]["properties"] == [["a b", "c"], ["d", "e\r\nf: g"]]


async def test_a_workers_failure_reaches_the_caller_with_its_code(thumbs):
    asking = asyncio.ensure_future(thumbs.post("/v1/services/thumbs/requests"))
    task = await task_of(thumbs)
    refused = await thumbs.post(f"/v1/requests/{task['id']}/reply?error=E7", content=b"\xff")
    assert problem_of(refused)["code"] == "bad-request"
    await thumbs.post(f"/v1/requests/{task['id']}/reply?error=E7", content="no im\u00e4ge".encode())
    response = await asking
    problem = problem_of(response)
    assert (response.status_code, problem["code"], problem["worker_code"]) == (502, "service-failed", "E7")
    assert problem["detail"] == "no im\u00e4ge"


async def test_without_a_worker_or_in_time_a_request_fails(http, native):
    await http.put("/v1/services/thumbs")
    assert problem_of(await http.post("/v1/services/thumbs/requests"))["code"] == "no-workers"
    late = await http.post("/v1/services/thumbs/requests?patient&timeout=0.01")
    assert (late.status_code, problem_of(late)["code"]) == (504, "deadline-passed")


@pytest.mark.parametrize("how", [{"params": {"later": ""}}, {"headers": {"prefer": "respond-async, wait=3"}}])
async def test_a_reply_can_be_fetched_later(thumbs, how, native):
    asked = await thumbs.post("/v1/services/thumbs/requests", content=b"in", **how)
    assert asked.status_code == 202
    place = asked.headers["location"]
    assert place == f"/v1/requests/{asked.json()['id']}"
    assert (await thumbs.get(place)).json()["state"] == "waiting"
    assert (await thumbs.get(place + "/reply")).status_code == 202
    fetching = asyncio.ensure_future(thumbs.get(place + "/reply?wait=20"))
    task = await task_of(thumbs)
    await thumbs.post(f"/v1/requests/{task['id']}/reply", content=b"out", headers={"content-type": "text/plain"})
    response = await fetching
    assert (response.status_code, response.text, response.headers["content-type"]) == (200, "out", "text/plain")
    state = (await thumbs.get(place)).json()
    assert (state["state"], state["parts"]) == ("done", [{"text": "out", "content_type": "text/plain"}])


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [("cancelled", "cancelled", 410), ("expired", "deadline-passed", 504), ("failed", "service-failed", 502)],
)
async def test_a_request_without_a_reply_is_a_problem_when_it_is_fetched(thumbs, native, state, code, status):
    asked = await thumbs.post("/v1/services/thumbs/requests?later")
    id = asked.json()["id"]
    native.requests[id].state = state
    native.requests[id].detail = "so and so"
    assert (await thumbs.get(f"/v1/requests/{id}")).json()["state"] == state
    response = await thumbs.get(f"/v1/requests/{id}/reply")
    assert (response.status_code, problem_of(response)["code"]) == (status, code)


async def test_a_request_is_cancelled_by_its_caller_or_when_the_caller_goes(thumbs, server, native):
    id = (await thumbs.post("/v1/services/thumbs/requests?later")).json()["id"]
    assert (await thumbs.delete(f"/v1/requests/{id}")).status_code == 204
    assert native.requests[id].state == "cancelled"
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("POST /v1/services/thumbs/requests", b"x")
        await until(lambda: len(native.requests) == 2)
    (other,) = native.requests.keys() - {id}
    await until(lambda: native.requests[other].state == "cancelled")
    response = await thumbs.post(f"/v1/requests/{other}/reply", content=b"too late")
    assert problem_of(response)["code"] == "cancelled"
