"""Every resource, as curl would use it."""

import base64

import pytest

from mombroker.api.http.routes import ROUTES
from mombroker.operations import messages
from mombroker.operations.catalogue import OPERATIONS

BATCH = {"content-type": "application/vnd.mombroker.messages+json"}


def test_every_operation_can_be_reached():
    reached = {name for methods in ROUTES.values() for endpoint in methods.values() for name in endpoint.operations}
    assert reached == set(OPERATIONS)


def test_every_field_of_an_operation_comes_from_the_path_the_query_the_body_or_the_content():
    for path, methods in ROUTES.items():
        for endpoint in methods.values():
            names = set(endpoint.parameters.kind.__struct_fields__)
            in_path = {part.strip("{}").partition(":")[0] for part in path.split("/") if part.startswith("{")}
            assert in_path <= names, path
            required = [name for name in names - in_path if name in endpoint.parameters.kind.__struct_defaults__]
            assert required == [], path


async def test_a_queue_is_made_looked_at_changed_and_deleted(http):
    made = await http.put("/v1/queues/jobs", json={"policy": {"max_messages": 10}, "bindings": ["a/#"]})
    assert made.status_code == 200
    assert made.json()["queue"] == "jobs"
    assert (await http.get("/v1/queues/jobs")).json() == made.json()
    changed = await http.patch("/v1/queues/jobs", json={"policy": {"lease": 5}})
    assert changed.json()["policy"] == {"max_messages": 10, "lease": 5}
    assert changed.json()["bindings"] == ["a/#"]
    assert (await http.delete("/v1/queues/jobs", params={"if_empty": ""})).json() == {"count": 0}
    assert (await http.get("/v1/queues/jobs")).status_code == 404


async def test_a_queue_needs_no_body(http):
    assert (await http.put("/v1/queues/jobs")).status_code == 200


async def test_queues_are_listed_by_pattern(http):
    for name in ("a.1", "a.2", "b"):
        await http.put(f"/v1/queues/{name}")
    listed = (await http.get("/v1/queues", params={"pattern": "a.*", "limit": 1})).json()
    assert ([queue["queue"] for queue in listed["queues"]], listed["more"]) == (["a.1"], True)


async def test_a_raw_body_is_a_message_and_the_parameters_are_its_options(http, native):
    await http.put("/v1/queues/jobs")
    sent = await http.post(
        "/v1/queues/jobs/messages",
        params={"priority": 5, "id": "x/1", "key": "k", "delay": 0.5, "ttl": 60},
        headers={"content-type": "image/png", "Mom-Property-Colour": "bl\u00e5".encode()},
        content=b"\x89PNG",
    )
    assert (sent.status_code, sent.json()) == (201, {"ids": ["x/1"], "duplicates": []})
    assert native.enqueued == [
        messages.OutMessage(
            payload=b"\x89PNG",
            content_type="image/png",
            properties=(("colour", "bl\u00e5"),),
            id="x/1",
            priority=5,
            key="k",
            delay=0.5,
            ttl=60.0,
        )
    ]
    assert (await http.get("/v1/queues/jobs/messages/x/1")).json()["priority"] == 5


async def test_what_curl_says_of_a_body_by_itself_is_not_passed_on(http, native):
    await http.put("/v1/queues/jobs")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    await http.post("/v1/queues/jobs/messages", headers=headers, content=b"hello")
    assert native.enqueued[0].content_type == ""


async def test_a_batch_is_json_with_its_own_content_type(http, native):
    await http.put("/v1/queues/jobs")
    body = b'{"messages":[{"text":"one"},{"payload":"/w==","priority":9}]}'
    sent = await http.post("/v1/queues/jobs/messages", headers=BATCH, content=body)
    assert len(sent.json()["ids"]) == 2
    assert [message.content() for message in native.enqueued] == [b"one", b"\xff"]


async def test_messages_are_pulled_extended_nacked_and_acked(http):
    await http.put("/v1/queues/jobs")
    for content in (b"one", b"\xff\x00", b""):
        await http.post("/v1/queues/jobs/messages", content=content)
    first, second, third = (await http.post("/v1/queues/jobs/pull", params={"limit": 10})).json()["messages"]
    assert (first["text"], third["text"]) == ("one", "")
    assert base64.b64decode(second["payload"]) == b"\xff\x00"
    leases = [message["lease"] for message in (first, second, third)]
    assert (await http.post("/v1/leases/extend", json={"leases": leases, "seconds": 5})).json() == {"settled": 3}
    assert (await http.post("/v1/leases/nack", json={"leases": leases[:1], "delay": 0})).json() == {"settled": 1}
    assert (await http.post("/v1/leases/ack", json={"leases": leases[1:2]})).json() == {"settled": 1}
    assert (await http.delete(f"/v1/leases/{leases[2]}")).json() == {"settled": 1}
    (again,) = (await http.get("/v1/queues/jobs/messages", params={"limit": 5})).json()["messages"]
    assert (again["text"], again["deliveries"]) == ("one", 2)
    assert "lease" not in again
    assert (await http.delete("/v1/queues/jobs/messages")).json() == {"count": 1}
    assert (await http.post("/v1/queues/jobs/pull")).json() == {"messages": []}
    assert (await http.post("/v1/queues/jobs/redrive", params={"limit": 7})).json() == {"count": 7}


@pytest.mark.parametrize(
    ("path", "topic"),
    [("a/b", "a/b"), ("/a", "/a"), ("a//b/", "a//b/"), ("a%2Fb", "a/b"), ("gr%C3%BCn%20x", "gr\u00fcn x")],
)
async def test_a_topic_is_the_rest_of_the_path(http, native, path, topic):
    answer = await http.post(f"/v1/topics/{path}?qos=0&retain&ttl=9", content=b"21.5", headers={"Mom-Property-A": "b"})
    assert answer.json() == {"matched": True}
    assert native.published == [
        messages.Publish(topic=topic, payload=b"21.5", qos=0, retain=True, ttl=9.0, properties=(("a", "b"),))
    ]


async def test_grants_are_given_listed_and_taken_back(http):
    assert (await http.put("/v1/grants/bob/jobs.*", json={"rights": ["read", "write"]})).status_code == 204
    (grant,) = (await http.get("/v1/grants")).json()["grants"]
    assert (grant["user"], grant["pattern"], grant["rights"]) == ("bob", "jobs.*", ["read", "write"])
    assert (await http.delete("/v1/grants/bob/jobs.*")).status_code == 204
    assert (await http.get("/v1/grants")).json() == {"grants": []}


async def test_the_broker_is_administered(http):
    (client,) = (await http.get("/v1/clients?connected&limit=5")).json()["clients"]
    assert client["client_id"] == "thermometer/1"
    assert (await http.delete("/v1/clients/thermometer/1?forget")).status_code == 204
    assert (await http.get("/v1/retained", params={"filter": "a/#"})).json()["retained"][0]["topic"] == "a/b"
    assert (await http.delete("/v1/retained/a/b")).status_code == 204
    assert (await http.get("/v1/users")).json()["users"][0] == {"user": "ann", "roles": []}
    assert (await http.put("/v1/users/carl", json={"password": "x", "roles": ["r"]})).status_code == 204
    assert (await http.delete("/v1/users/ann")).status_code == 204
    assert (await http.get("/v1/statistics")).json()["version"] == "0"
    services = await http.put("/v1/services/thumbs")
    assert services.json()["service"] == "thumbs"
    assert len((await http.get("/v1/services")).json()["services"]) == 1
    assert (await http.delete("/v1/services/thumbs")).status_code == 204


async def test_health_and_readiness_need_no_login(http, native, troubles):
    native.anonymous = False
    assert (await http.get("/health")).json() == {"status": "alive"}
    assert (await http.get("/ready")).json() == {"status": "ready"}
    assert (await http.head("/ready")).status_code == 200
