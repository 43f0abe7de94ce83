"""The synchronous twin, over a real broker in a thread."""

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import mombroker
from mombroker.client import (
    ClientClosed,
    Consumption,
    Later,
    Mom,
    Problem,
    Publisher,
    Queue,
    ServiceError,
    Subscription,
)
from mombroker.client.sync import (
    SyncConsumption,
    SyncLater,
    SyncMom,
    SyncPublisher,
    SyncQueue,
    SyncSubscription,
    connect_sync,
)


def test_publish_and_subscribe(mom_sync):
    with mom_sync.subscribe("a", qos=1) as messages:
        assert messages.granted == (1,)
        assert mom_sync.publish("a", b"1")
        assert mom_sync.publish_many("a", [b"2", b"3"]) == 2
        with mom_sync.publisher("a") as publisher:
            publisher.send(b"4")
            assert publisher.sent == 1
        assert [next(messages).payload for _ in range(4)] == [b"1", b"2", b"3", b"4"]
        assert messages.dropped == 0
    assert list(messages) == []


def test_manual_acknowledgement(mom_sync):
    messages = mom_sync.subscribe("a", qos=1, manual_ack=True)
    threading.Timer(0, lambda: mom_sync.publish("a", b"1", retain=True)).start()
    message = next(messages)
    assert messages.ack(message)
    assert not messages.ack(message)
    messages.close()


def test_queues(mom_sync):
    queue = mom_sync.queue("q")
    queue.create(dead_letter="dead")
    assert queue.change(max_messages=100).policy.max_messages == 100
    id = queue.put("one", priority=3)
    assert queue.put_many([b"two", b"three"]) == 2
    with queue.publisher() as publisher:
        publisher.send(b"four")
    assert queue.find(id).payload == b"one"
    assert len(queue.peek()) == queue.info().numbers.depth == 4
    first, second = queue.pull(2)
    assert (first.id, first.text, first.properties, first.deliveries) == (id, "one", {}, 1)
    first.extend(30)
    first.ack()
    second.nack(delay=0)
    assert queue.ack(queue.pull(1, wait=10)) == 1
    assert queue.nack(queue.pull(1), delay=0) == 1
    with queue.consume(credit=1) as messages:
        for message in messages:
            message.nack(dead_letter=True)
            if message.payload == b"four":
                break
    dead = mom_sync.queue("dead")
    assert dead.redrive() >= 1
    assert queue.purge() >= 1
    assert queue.delete() == 0
    with pytest.raises(Problem):
        queue.info()


def test_requests_and_services(mom_sync):
    @mom_sync.service("upper")
    def upper(request):
        if not request.payload:
            raise ServiceError("empty", "say something")
        return request.text.upper()

    assert mom_sync.request("upper", "abc", timeout=10).text == "ABC"
    assert [part.payload for part in mom_sync.request_parts("upper", "x")] == [b"X"]
    with pytest.raises(Problem) as caught:
        mom_sync.request("upper")
    assert caught.value.worker_code == "empty"
    later = mom_sync.request_later("upper", "later")
    assert later.wait(10)
    assert later.result().text == "LATER"
    assert mom_sync.later(later.id).state().state == "done"
    assert mom_sync.fetch(later.id).state == "done"
    later.cancel()


def test_a_worker_can_be_waited_for_and_closed(mom_sync):
    worker = mom_sync.serve("s", lambda request: b"")
    threading.Timer(0, worker.close).start()
    worker.wait()
    mom_sync.serve_forever()


def test_many_threads_may_use_one_client(mom_sync):
    mom_sync.serve("echo", lambda request: request.payload)
    with ThreadPoolExecutor(8) as threads:
        replies = threads.map(lambda number: mom_sync.request("echo", b"%d" % number).payload, range(100))
        assert list(replies) == [b"%d" % number for number in range(100)]


def test_it_can_be_opened_and_closed_without_a_block(mombroker_broker):
    mom = connect_sync(mombroker_broker.url, client_id="me")
    with pytest.raises(ClientClosed):
        mom.publish("a")
    for _ in range(2):
        mom.open()
        with pytest.raises(ClientClosed):
            mom.open()
        mom.publish("a")
        assert (mom.client_id, mom.connected) == ("me", True)
        mom.close()
        mom.close()
    with pytest.raises(ClientClosed):
        mom.publish("a")


def test_no_thread_is_left_behind(mombroker_broker):
    before = set(threading.enumerate())
    with connect_sync(mombroker_broker.url) as mom:
        mom.serve("s", lambda request: b"")
        mom.request("s")
    assert {thread for thread in set(threading.enumerate()) - before if thread.name == "mombroker-client"} == set()
    with pytest.raises(Exception, match="no connection"), connect_sync("mqtt://127.0.0.1:1"):
        pass
    assert {thread for thread in set(threading.enumerate()) - before if thread.name == "mombroker-client"} == set()


def test_a_thread_that_waits_for_messages_is_let_go_when_the_client_closes(mombroker_broker):
    with connect_sync(mombroker_broker.url) as mom, ThreadPoolExecutor(1) as threads:
        messages = mom.subscribe("a")
        with messages:
            waiting = threads.submit(lambda: list(messages))
            mom.publish("b")
        assert waiting.result(10) == []


@pytest.mark.parametrize(
    ("twin", "original", "left_out"),
    [
        (SyncMom, Mom, {"serving", "address"}),
        (SyncQueue, Queue, set()),
        (SyncLater, Later, set()),
        (SyncPublisher, Publisher, {"acknowledged"}),
        (SyncConsumption, Consumption, {"open"}),
        (SyncSubscription, Subscription, {"open", "received", "stop", "ack_current"}),
    ],
)
def test_the_twin_has_every_name_of_the_original(twin, original, left_out):
    names = {name for name, _ in inspect.getmembers(original) if not name.startswith("_")}
    assert names - left_out <= {name for name, _ in inspect.getmembers(twin)} | {"topic", "granted", "dropped"}


def test_the_public_names_are_there_without_being_imported_first():
    assert mombroker.connect_sync is connect_sync
    assert {"connect", "connect_sync", "Mom", "Problem"} <= set(dir(mombroker))
    with pytest.raises(AttributeError):
        _ = mombroker.nonsense
