"""Services: asked and answered over MQTT and the native API, by workers that come, go and fail."""

import json
from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.model.unit import TABLE_REQUEST
from mombroker.operations.problems import Problem

from ..world import Client, Got
from .native import NativeWorld, Told


def worker(world: NativeWorld, name: str = "w", version: int = 5, **fields: Any) -> Client:
    """An MQTT client that works for the service."""
    client = world.user(name, version, **fields)
    assert client.subscribe("$service/s/request/+", qos=1) == [0]
    return client


def users(got: Got) -> dict[str, str]:
    """The user properties of a message."""
    return dict(got.properties.user)


def asker(world: NativeWorld, name: str = "a") -> Client:
    """A client that asks, with its reply space subscribed to."""
    client = world.user(name)
    assert client.subscribe(f"$mom/reply/{name}/#", qos=1) == [1]
    return client


def ask(client: Client, text: str, qos: int = 1, **fields: Any) -> int:
    """Ask over MQTT 5."""
    fields.setdefault("response_topic", f"$mom/reply/{client.client_id}/1")
    fields.setdefault("correlation_data", b"c")
    return client.publish("$service/s", text, qos=qos, **fields)


def request_of(client: Client) -> str:
    """The id of the request that a worker got last."""
    return client.got[-1].topic.rsplit("/", 1)[1]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_worker_of_any_version_answers_a_caller_of_mqtt_5(version: int, qos: int) -> None:
    world = NativeWorld()
    works = worker(world, version=version)
    asks = asker(world)
    packet_id = ask(asks, "question", qos, content_type="text/plain", user=[("a", "b")])
    if qos:
        assert asks.result(packet_id) == 0
    got = works.got[-1]
    request_id = request_of(works)
    assert got.topic == f"$service/s/request/{request_id}" and got.payload == b"question"
    if version == 5:
        assert got.properties.response_topic == f"$service/s/reply/{request_id}"
        assert got.properties.correlation_data == request_id.encode()
        assert got.properties.content_type == "text/plain"
        assert users(got)["a"] == "b" and float(users(got)["mom-deadline"]) == pytest.approx(world.now + 30)
    works.publish(f"$service/s/reply/{request_id}", "answer", qos=qos)
    answer = asks.got[-1]
    assert (answer.topic, answer.payload) == ("$mom/reply/a/1", b"answer")
    assert answer.properties.correlation_data == b"c" and "mom-error" not in users(answer)
    assert not world.engine.requests.pending and world.engine.requests.services["s"].queue.count == 0


def test_a_caller_of_mqtt_3_asks_by_topics() -> None:
    world = NativeWorld()
    works = worker(world)
    asks = world.user("a", 4)
    assert (
        asks.subscribe("$service/s/answer/one", "$service/s/answer/one/more", "$service/s/answer/one/error") == [0] * 3
    )
    asks.publish("$service/s/call/one", "question", qos=1)
    request_id = request_of(works)
    works.publish(f"$service/s/reply/{request_id}/more", "part", qos=1)
    works.publish(f"$service/s/reply/{request_id}", "end", qos=1)
    assert [(got.topic, got.payload) for got in asks.got] == [
        ("$service/s/answer/one/more", b"part"),
        ("$service/s/answer/one", b"end"),
    ]
    asks.publish("$service/s/call/one", "question", qos=1)
    works.publish(f"$service/s/reply/{request_of(works)}/error", '{"code": "bad", "detail": "no"}', qos=1)
    assert asks.got[-1].topic == "$service/s/answer/one/error"
    assert json.loads(asks.got[-1].payload) == {"code": "service-failed", "detail": "no", "worker_code": "bad"}
    asks.publish("$service/s/call/a b", "x", qos=0)
    asks.publish("$service/s/call/", "x", qos=0)
    assert not asks.closed


def test_parts_before_the_last_say_so() -> None:
    world = NativeWorld()
    works, asks = worker(world), asker(world)
    ask(asks, "question")
    request_id = request_of(works)
    for text in ("1", "2"):
        works.publish(f"$service/s/reply/{request_id}/more", text, qos=1)
    works.publish(f"$service/s/reply/{request_id}", "3", qos=1)
    assert [(got.payload, users(got).get("mom-more")) for got in asks.got] == [(b"1", "1"), (b"2", "1"), (b"3", None)]


@pytest.mark.parametrize(
    ("payload", "code", "detail"),
    [
        ('{"code": "x", "detail": "y"}', "x", "y"),
        ("plain", "error", "plain"),
        ("[1]", "error", "[1]"),
        ("{}", "error", ""),
    ],
)
def test_a_failure_of_the_worker_reaches_the_caller(payload: str, code: str, detail: str) -> None:
    world = NativeWorld()
    works, asks = worker(world), asker(world)
    ask(asks, "question")
    works.publish(f"$service/s/reply/{request_of(works)}/error", payload, qos=1)
    assert users(asks.got[-1]) == {"mom-error": "service-failed", "mom-worker-code": code}
    assert asks.got[-1].payload.decode() == detail


def test_without_a_worker_the_caller_is_told_at_once_unless_it_is_patient() -> None:
    world = NativeWorld()
    worker(world).cut()
    asks = asker(world)
    ask(asks, "impatient")
    # The first worker's session has ended with its connection, and the service has none.
    assert users(asks.got[-1])["mom-error"] == "no-workers"
    ask(asks, "patient", user=[("mom-patient", "1")])
    assert len(asks.got) == 1
    works = worker(world)
    assert works.payloads() == ["patient"]


def test_a_service_that_is_not_there_is_told_of() -> None:
    world = NativeWorld()
    asks = asker(world)
    packet_id = ask(asks, "x")
    assert asks.result(packet_id) == 0
    assert users(asks.got[-1])["mom-error"] == "no-such-service"


def test_a_deadline_passes_while_the_request_waits_and_while_it_runs() -> None:
    world = NativeWorld()
    works, asks = worker(world), asker(world)
    ask(asks, "running", user=[("mom-timeout", "2.5")])
    request_id = request_of(works)
    works.cut()
    ask(asks, "waiting", message_expiry=3, user=[("mom-patient", "1")])
    world.advance(2.6)
    assert [users(got)["mom-error"] for got in asks.got] == ["deadline-passed"]
    world.advance(0.6)
    assert [users(got)["mom-error"] for got in asks.got] == ["deadline-passed"] * 2
    works = worker(world)
    assert works.payloads() == [], "an expired request was handed to a worker"
    works.publish(f"$service/s/reply/{request_id}", "late", qos=1)
    assert len(asks.got) == 2 and not works.closed
    assert world.engine.requests.services["s"].queue.count == 0


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "soon", "1e9"])
def test_a_timeout_that_is_none_is_refused(timeout: str) -> None:
    world = NativeWorld()
    works, asks = worker(world), asker(world)
    packet_id = ask(asks, "x", user=[("mom-timeout", timeout)])
    assert asks.result(packet_id) == 0x99 and works.got == []


def test_a_worker_that_dies_hands_its_request_to_another() -> None:
    world = NativeWorld()
    first, asks = worker(world, "w1", session_expiry=100), asker(world)
    ask(asks, "question")
    second = worker(world, "w2")
    assert second.got == []
    first.cut()
    assert second.payloads() == ["question"]
    first.connect(username="ann", clean=False, session_expiry=100)
    assert first.publishes() == []


def test_a_worker_that_has_subscribed_twice_hands_its_request_to_another_too() -> None:
    world = NativeWorld()
    first, asks = worker(world, "w1"), asker(world)
    ask(asks, "question")
    assert first.subscribe("$service/s/request/+") == [0]
    assert len(first.got) == 1
    second = worker(world, "w2")
    first.cut()
    assert [got.payload for got in second.got] == [b"question"]


def test_a_worker_that_unsubscribes_hands_its_request_to_another() -> None:
    world = NativeWorld()
    first, asks = worker(world, "w1"), asker(world)
    ask(asks, "question")
    second = worker(world, "w2")
    first.unsubscribe("$service/s/request/+")
    assert [got.payload for got in second.got] == [b"question"]


def test_after_five_workers_have_gone_the_caller_is_told() -> None:
    world = NativeWorld()
    service = world.serve("s", key="w0")
    caller = world.ask("question")
    world.stop(service)
    for number in range(1, 5):
        works = world.serve("s", key=f"w{number}")
        assert len(works.requests) == 1 and caller.failure is None
        world.stop(works)
    assert caller.failure is not None and caller.failure[0] == "service-failed"
    assert world.serve("s", key="w9").requests == []


def test_outstanding_requests_are_bounded_by_the_receive_maximum() -> None:
    world = NativeWorld()
    works = worker(world, receive_maximum=2)
    callers = [world.ask(str(number)) for number in range(5)]
    assert [got.payload for got in works.got] == [b"0", b"1"]
    works.publish(f"$service/s/reply/{request_of(works)}", "done", qos=1)
    assert [got.payload for got in works.got] == [b"0", b"1", b"2"]
    assert callers[1].parts == [b"done"]


def test_only_the_worker_that_has_a_request_may_answer_it() -> None:
    world = NativeWorld()
    works, asks = worker(world), asker(world)
    other = world.user("x", username="eve")
    ask(asks, "question")
    other.publish(f"$service/s/reply/{request_of(works)}", "forged", qos=1)
    assert asks.got == []


def test_a_cancelled_request_leaves_the_queue_and_a_late_reply_is_ignored() -> None:
    world = NativeWorld()
    works = worker(world)
    caller = world.ask("question")
    request_id = request_of(works)
    world.enter()
    world.engine.requests.cancel(world.engine.requests.pending[request_id])
    world.leave()
    packet_id = works.publish(f"$service/s/reply/{request_id}", "late", qos=1)
    assert works.result(packet_id) == 0x10
    assert caller.parts == [] and caller.failure is None
    assert world.engine.requests.services["s"].queue.count == 0


def test_a_service_that_is_deleted_fails_what_waits() -> None:
    world = NativeWorld()
    works = world.serve("s", credit=1)
    running, waiting = world.ask("0"), world.ask("1")
    client = worker(world)
    world.enter()
    world.engine.requests.delete(world.engine.requests.services["s"])
    world.leave()
    assert works.deleted
    for caller in (running, waiting):
        assert caller.failure is not None and caller.failure[0] == "no-such-service"
    with pytest.raises(Problem):
        world.engine.requests.find("s")
    client.publish("$service/s/reply/1", "x", qos=1)
    assert not client.closed


def test_reply_spaces_are_private() -> None:
    world = NativeWorld()
    me = world.user("a/b+c#d%e")
    space = "$mom/reply/a%2Fb%2Bc%23d%25e/"
    assert me.subscribe(space + "#", space + "x/+", qos=1) == [1, 1]
    other = world.user("a")
    assert other.subscribe(space + "#", "$mom/#", "$mom/reply/+/x", "$mom/v1/x", "$mom/reply/a", qos=1) == [0x87] * 5
    assert (
        other.subscribe("$share/g/$mom/reply/a/#", "$share/g/$queue/q", "$share/g/$service/s/request/+") == [0x8F] * 3
    )
    worker(world)
    packet_id = ask(other, "x", response_topic=space + "1")
    assert other.result(packet_id) == 0x87
    packet_id = ask(other, "x", response_topic="$queue/q")
    assert other.result(packet_id) == 0x87
    for topic in (
        "$mom/reply/a/1",
        "$mom",
        "$SYS/x",
        "$service/s/answer/1",
        "$service/s/request/1",
        "$service//call/x",
    ):
        assert other.publish(topic, "x", qos=0) == 0
        packet_id = other.publish(topic, "x", qos=1)
        assert (other.result(packet_id) or 0) >= 0x80 or topic == "$mom", topic
        assert not other.closed


def test_a_publish_to_a_service_without_a_response_topic_is_refused() -> None:
    world = NativeWorld()
    worker(world)
    client = world.user("c")
    assert client.result(client.publish("$service/s", "x", qos=1)) == 0x99
    old = world.user("o", 4)
    old.publish("$service/s", "x", qos=0)
    assert not old.closed


def test_requests_for_later_survive_every_crash_until_they_are_answered() -> None:
    world = NativeWorld()
    world.serve("s", credit=0)
    request_id = world.ask_later("question", keep=1000)
    world.crash()
    later = world.engine.requests.later
    assert later.kept[request_id].state == "waiting"
    works = world.serve("s", credit=1)
    assert [pending.ref.message.payload for pending in works.requests if pending.ref] == [b"question"]
    assert later.kept[request_id].state == "running"
    world.reply(works.requests[0], "part", more=True)
    world.crash()
    works = world.serve("s", credit=1)
    assert len(works.requests) == 1
    world.hold_commits = True
    world.reply(works.requests[0], "answer")
    world.hold_commits = False
    world.crash()
    works = world.serve("s", credit=1)
    assert len(works.requests) == 1, "the reply was not on disk"
    world.reply(works.requests[0], "answer")
    world.crash()
    kept = world.engine.requests.later.kept[request_id]
    assert kept.state == "done" and kept.parts == 1, "a part of a worker that has gone is in the reply"
    assert world.serve("s", credit=1).requests == []
    world.advance(1100)
    assert world.engine.requests.later.kept == {}
    assert list(world.store.items(TABLE_REQUEST)) == []


def test_a_request_for_later_fails_at_its_deadline_and_that_is_kept() -> None:
    world = NativeWorld()
    world.serve("s", credit=0)
    request_id = world.ask_later("question", seconds=10, keep=100)
    world.crash()
    world.advance(11)
    kept = world.engine.requests.later.kept[request_id]
    assert (kept.state, kept.code) == ("failed", "deadline-passed")
    world.advance(101)
    assert world.engine.requests.later.kept == {}
    assert world.engine.requests.services["s"].queue.count == 0


@pytest.mark.parametrize("credit", [0, 1])
def test_a_request_for_later_that_the_store_refuses_was_never_made(credit: int) -> None:
    world = NativeWorld()
    world.serve("s", credit=credit)
    told = Told()
    world.full = True
    request_id = world.ask_later("question", told=told)
    assert told.fate == "refused"
    assert request_id not in world.engine.requests.later.kept
    with pytest.raises(Problem):
        world.ask_later("again")
    world.full = False
    world.advance(3)
    world.crash()
    assert world.engine.requests.later.kept == {} and not world.engine.requests.pending
    assert list(world.store.items(TABLE_REQUEST)) == []
    assert world.engine.requests.services["s"].queue.count == 0


def test_requests_that_wait_on_a_full_disk_are_answered_all_the_same() -> None:
    world = NativeWorld()
    works = world.serve("s", credit=1)
    world.create()
    world.full = True
    with pytest.raises(AssertionError):
        for _ in range(2):
            world.put("refused")
            assert not world.engine.barrier.refusing
    callers = [world.ask(str(number)) for number in range(3)]
    for number in range(3):
        world.reply(works.requests[number], f"answer {number}")
        world.enter()
        works.credit += 1
        works.service.queue.pump(works.service.queue.queue)
        world.leave()
    assert [caller.parts for caller in callers] == [[b"answer 0"], [b"answer 1"], [b"answer 2"]]


def test_too_many_services_of_one_user_are_refused() -> None:
    world = NativeWorld(Limits(sys_interval=0, queues_per_user=1))
    client = worker(world)
    assert client.subscribe("$service/other/request/+") == [0x97]
    assert not client.closed


def test_many_requests_spill_and_come_back_in_order() -> None:
    world = NativeWorld()
    works = world.serve("s", credit=0)
    callers = [world.ask(str(number)) for number in range(300)]
    world.enter()
    works.credit = 300
    works.service.queue.pump(works.service.queue.queue)
    world.leave()
    assert [pending.ref.message.payload for pending in works.requests if pending.ref] == [
        str(number).encode() for number in range(300)
    ]
    for pending in works.requests:
        world.reply(pending, "x")
    assert all(caller.done for caller in callers)


def test_half_a_reply_is_not_gone_on_with_by_another_worker() -> None:
    world = NativeWorld()
    first, asks = worker(world, "w1"), asker(world)
    ask(asks, "question")
    second = worker(world, "w2")
    first.publish(f"$service/s/reply/{request_of(first)}/more", "first half", qos=1)
    first.cut()
    assert asks.got[0].payload == b"first half" and users(asks.got[0]) == {"mom-more": "1"}
    assert users(asks.got[1]) == {"mom-error": "service-failed"}
    assert second.got == [] and len(asks.got) == 2
    assert world.engine.requests.services["s"].queue.count == 0


def test_a_caller_is_told_of_a_deadline_once_when_a_worker_gets_room_by_it() -> None:
    world = NativeWorld()
    world.serve(credit=1)
    running, waiting = world.ask("0", seconds=0.3), world.ask("1", seconds=0.3)
    world.advance(1)
    assert running.failure is not None and waiting.failure is not None
    assert {running.failure[0], waiting.failure[0]} == {"deadline-passed"}
