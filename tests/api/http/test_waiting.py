"""Long polls: answered when there is something, and given up when nobody waits any more."""

import asyncio

import pytest

from mombroker.api.http.uploads import ClientGone
from mombroker.api.http.waiting import while_connected
from mombroker.operations import messages

from .conftest import client_of, problem_of, until
from .raw import Raw


async def test_a_pull_waits_for_a_message(http, native):
    await http.put("/v1/queues/jobs")
    pulling = asyncio.ensure_future(http.post("/v1/queues/jobs/pull?wait=20"))
    await until(lambda: native.pulling)
    await http.post("/v1/queues/jobs/messages", content=b"at last")
    assert (await pulling).json()["messages"][0]["text"] == "at last"


async def test_a_pull_that_waits_in_vain_is_answered_with_nothing(http):
    await http.put("/v1/queues/jobs")
    assert (await http.post("/v1/queues/jobs/pull?wait=0.01")).json() == {"messages": []}


async def test_a_client_that_goes_while_it_waits_takes_no_message_along(server, http, native):
    await http.put("/v1/queues/jobs")
    async with await Raw.open(server.ports[0]) as raw:
        raw.request("POST /v1/queues/jobs/pull?wait=300")
        await until(lambda: native.pulling)
    await until(lambda: not native.pulling)
    await http.post("/v1/queues/jobs/messages", content=b"kept")
    (message,) = (await http.post("/v1/queues/jobs/pull")).json()["messages"]
    assert message.get("deliveries", 1) == 1


async def test_messages_that_came_in_the_moment_the_client_went_are_given_back():
    """The one order of events that a socket cannot be made to show: both are there before anybody looks."""

    class Request:
        async def receive(self):
            return {"type": "http.disconnect"}

    class Context:
        stopping = asyncio.get_running_loop().create_future()

    async def work() -> messages.Messages:
        return messages.Messages(messages=())

    undone: list[object] = []

    async def undo(answer: object) -> None:
        undone.append(answer)

    with pytest.raises(ClientGone):
        await while_connected(Context(), Request(), work(), undo)
    assert undone == [messages.Messages(messages=())]


async def test_a_problem_ends_the_waiting(http):
    response = await http.post("/v1/queues/none/pull?wait=20")
    assert problem_of(response)["code"] == "no-such-queue"


async def test_a_broker_that_stops_answers_those_who_wait(serve, native):
    server = await serve()
    async with client_of(server) as http:
        await http.put("/v1/queues/jobs")
        pulling = asyncio.ensure_future(http.post("/v1/queues/jobs/pull?wait=300"))
        await until(lambda: native.pulling)
        await server.stop()
        response = await pulling
        assert (response.status_code, problem_of(response)["code"]) == (503, "shutting-down")
    assert native.leased == {}


async def test_two_pulls_that_wait_share_what_comes(http, native):
    await http.put("/v1/queues/jobs")
    pulling = [asyncio.ensure_future(http.post("/v1/queues/jobs/pull?wait=20")) for _ in range(2)]
    await until(lambda: native.pulling == 2)
    await http.post("/v1/queues/jobs/messages", content=b"one")
    await asyncio.wait(pulling, return_when=asyncio.FIRST_COMPLETED)
    await http.post("/v1/queues/jobs/messages", content=b"two")
    answers = [(await one).json()["messages"][0]["text"] for one in pulling]
    assert sorted(answers) == ["one", "two"]
