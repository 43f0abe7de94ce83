"""Expiry, dead letters, purge, delete, and what idle queues cost."""

from typing import Any

import pytest

from mombroker.core import Limits
from mombroker.core.named import deaths, upkeep
from mombroker.core.named.upkeep import IDLE_SECONDS
from mombroker.model.queues import Overflow, QueuePolicy
from mombroker.operations.problems import Problem

from .native import NativeWorld, texts


@pytest.mark.parametrize("waits", [1.0, 55.0, 300.0])
@pytest.mark.parametrize("how", ["policy", "message"])
@pytest.mark.parametrize("crash", [False, True])
def test_messages_expire_without_a_consumer(how: str, waits: float, crash: bool) -> None:
    world = NativeWorld()
    policy = {"message_ttl": waits} if how == "policy" else {}
    queue = world.create("q", "ann", dead_letter="dead", **policy)
    for number in range(5):
        options: dict[str, Any] = {"ttl": waits} if how == "message" else {}
        world.put(str(number), **options)
    world.advance(waits * 0.9)
    assert world.queue().count == 5
    if crash:
        world.crash()
    world.advance(waits * 0.1 + 2)
    queue = world.queue()
    assert queue.count == 0
    dead = world.pulled(10, "dead")
    assert texts(dead) == ["0", "1", "2", "3", "4"]
    assert world.queue("dead").meta(dead[0].ref).deaths[0][:2] == ("q", "expired")


def test_a_time_to_live_that_is_set_later_counts_for_what_is_there() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put("x")
    world.advance(100)
    world.enter()
    world.engine.named.change(queue, {"message_ttl": 110.0}, None)
    world.leave()
    world.advance(8)
    assert queue.count == 1
    world.advance(5)
    assert queue.count == 0


def test_a_plugin_cannot_name_a_queue_of_dead_letters_that_cannot_be() -> None:
    world = NativeWorld()
    world.policies.policy = QueuePolicy(dead_letter="svc:x")
    world.create("q", max_deliveries=1)
    world.policies.policy = QueuePolicy()
    world.serve("x")
    world.put("m")
    world.nack(*world.pulled(1))
    world.crash()
    assert world.engine.requests.services["x"].queue.count == 0


def test_an_expired_message_is_not_delivered() -> None:
    world = NativeWorld()
    world.create()
    world.put("old", ttl=5)
    world.put("new")
    world.now += 6
    assert world.drain() == ["new"]


def test_many_queues_with_a_backlog_cost_nothing_while_nothing_happens() -> None:
    world = NativeWorld()
    for number in range(20):
        world.create(f"q{number}", message_ttl=100_000.0)
        world.put("x", f"q{number}")
    world.advance(IDLE_SECONDS + 5)
    assert world.refs_in_memory() == 0
    reads = 0
    original = world.read

    def read(*args: Any) -> None:
        nonlocal reads
        reads += 1
        original(*args)

    world.read = read  # type: ignore[method-assign]
    world.advance(600)
    assert reads <= 20 * 12
    assert len(world.engine.timers._heap) < 100


def test_a_queue_with_clients_that_are_away_is_put_away_and_read_when_one_is_back() -> None:
    world = NativeWorld()
    queue = world.create()
    client = world.user("c", session_expiry=10_000)
    client.subscribe("$queue/q", qos=1)
    client.cut()
    world.put_many(["0", "1"])
    world.advance(IDLE_SECONDS + 5)
    assert not queue.attached and world.refs_in_memory() == 0
    world.put("2")
    client.connect(username="ann", clean=False, session_expiry=10_000)
    assert client.payloads() == ["0", "1", "2"]
    world.put("3")
    assert client.payloads() == ["3"]


def test_too_many_deliveries_make_a_dead_letter_with_its_history() -> None:
    world = NativeWorld()
    world.create("q", max_deliveries=3, dead_letter="dead")
    message_id = world.put("x", priority=4, key="k")
    for _ in range(3):
        world.nack(*world.pulled(1))
    assert world.pulled(1) == []
    dead = world.pulled(1, "dead")
    meta = world.queue("dead").meta(dead[0].ref)
    assert (meta.id, meta.priority, meta.key) == (message_id, 4, "k")
    assert meta.deaths == [("q", "max-deliveries", world.now, 3)]
    world.crash()
    dead = world.pulled(1, "dead")
    assert world.queue("dead").meta(dead[0].ref).deaths == meta.deaths


def test_without_a_queue_for_them_dead_letters_are_dropped_and_counted() -> None:
    world = NativeWorld()
    queue = world.create("q", max_deliveries=1)
    world.put("x")
    world.nack(*world.pulled(1))
    assert queue.count == 0 and queue.numbers.dropped == 1


def test_dead_letters_go_back_to_where_they_came_from() -> None:
    world = NativeWorld()
    world.create("q", dead_letter="dead")
    world.put_many(["0", "1"], priority=3)
    world.reject(*world.pulled(2))
    for lease in world.pulled(2, "dead"):
        world.enter()
        lease.queue.end_lease(lease)
        assert deaths.redrive(lease.queue, lease.ref)
        world.leave()
    leases = world.pulled(5)
    assert texts(leases) == ["0", "1"] and [lease.deliveries for lease in leases] == [1, 1]
    assert world.queue("dead").count == 0
    world.reject(*leases)
    dead = world.pulled(1, "dead")
    assert len(world.queue("dead").meta(dead[0].ref).deaths) == 2


def test_a_purge_leaves_what_is_out() -> None:
    world = NativeWorld()
    queue = world.create()
    world.put_many([str(number) for number in range(5)], priority=2)
    world.put("later", delay=50)
    client = world.user("c")
    client.auto = False
    leases = world.pulled(2)
    world.nack(leases[0], delay=100)
    client.subscribe("$queue/q", qos=1)
    assert client.payloads() == ["2", "3", "4"]
    world.enter()
    assert upkeep.purge(queue) == 2
    world.leave()
    assert queue.count == 4
    world.put("new")
    world.ack(leases[1])
    world.crash()
    assert world.drain() == ["2", "3", "4", "new"]


def test_a_deleted_queue_takes_its_consumers_along() -> None:
    world = NativeWorld()
    queue = world.create("q", "ann", "t")
    client = world.user("c", session_expiry=100)
    client.auto = False
    client.subscribe("$queue/q", qos=1)
    stream = world.stream(1)
    world.put_many(["0", "1", "2", "3"])
    taken = world.pull(1, wait=100, key="p")
    world.put_many(["4"] * 3, id="same")
    world.enter()
    world.engine.named.delete(queue)
    world.leave()
    assert stream.deleted and (taken.leases is not None or taken.deleted)
    assert world.engine.named.leases == {}
    client.auto = True
    client.cut()
    client.connect(username="ann", clean=False, session_expiry=100)
    assert client.subscribe("$queue/q", qos=1) == [0x87]
    world.create("q")
    assert world.queue().count == 0
    assert client.subscribe("$queue/q", qos=1) == [1]
    world.crash()
    assert world.drain() == []


def test_a_queue_that_nobody_uses_expires() -> None:
    world = NativeWorld()
    world.create("q", expires=30.0)
    world.put("x")
    world.advance(29)
    world.put("y")
    world.advance(29)
    assert "q" in world.engine.named.queues
    stream = world.stream(1)
    world.advance(100)
    world.end_stream(stream)
    world.advance(29)
    assert "q" in world.engine.named.queues
    world.advance(2)
    assert "q" not in world.engine.named.queues
    world.crash()
    assert "q" not in world.engine.named.queues


def test_making_a_queue_again_changes_nothing_and_another_one_is_refused() -> None:
    world = NativeWorld()
    queue = world.create("q", "ann", "a/b", max_messages=5)
    assert world.create("q", "ann", "a/b", max_messages=5) is queue
    for owner, filters, policy in [("bob", ["a/b"], 5), ("ann", ["a/c"], 5), ("ann", ["a/b"], 6)]:
        with pytest.raises(Problem) as problem:
            world.create("q", owner, *filters, max_messages=policy)
        assert problem.value.code == "queue-exists"
    world.crash()
    assert world.create("q", "ann", "a/b", max_messages=5).policy.max_messages == 5


@pytest.mark.parametrize("name", ["", "a/b", "-a", "x" * 129, "a b", "a+", "svc:x"])
def test_what_is_no_name_is_refused(name: str) -> None:
    world = NativeWorld()
    with pytest.raises(Problem):
        world.create(name)
    with pytest.raises(Problem):
        world.create("q", dead_letter=name or "q")
    assert "q" not in world.engine.named.queues


def test_the_policy_of_a_hook_fills_in_what_was_not_asked_for_also_later() -> None:
    world = NativeWorld()
    answers: list[Any] = []

    def ask(spec: Any, answer: Any) -> QueuePolicy:
        answers.append(answer)
        return QueuePolicy(max_messages=7, lease=5.0)

    world.policies.queue_policy = ask  # type: ignore[method-assign]
    queue = world.create("q", "ann", max_messages=3)
    assert (queue.policy.max_messages, queue.policy.lease, queue.policy.overflow) == (3, 5.0, Overflow.REJECT)
    world.enter()
    answers[0](QueuePolicy(max_messages=9, lease=6.0, dead_letter="dead"))
    world.leave()
    assert (queue.policy.max_messages, queue.policy.lease) == (3, 6.0)
    assert "dead" in world.engine.named.queues


def test_a_user_may_have_so_many_queues() -> None:
    world = NativeWorld(Limits(sys_interval=0, queues_per_user=1))
    world.create("q")
    world.create("p", "bob")
    with pytest.raises(Problem) as problem:
        world.create("r")
    assert problem.value.code == "quota-exceeded"
    world.enter()
    world.engine.named.delete(world.queue("q"))
    world.leave()
    world.create("r")


def test_ids_are_taken_once_within_the_window_also_across_a_crash() -> None:
    world = NativeWorld()
    queue = world.create("q", dedup_window=10.0)
    assert world.put("0", id="a") == "a"
    assert world.put("1", id="a") == ""
    world.crash()
    assert world.put("2", id="a") == ""
    world.advance(11)
    assert world.put("3", id="a") == "a"
    assert world.drain() == ["0", "3"]
    assert queue.numbers.duplicates == 1
    world.advance(20)
    from mombroker.model.unit import TABLE_DEDUP

    assert list(world.store.items(TABLE_DEDUP)) == []


def test_a_queue_is_in_use_until_its_last_message_is_settled() -> None:
    world = NativeWorld()
    world.create(expires=50.0)
    world.put("0")
    (lease,) = world.pulled(lease=200.0)
    world.advance(100)
    world.ack(lease)
    world.advance(40)
    assert "q" in world.engine.named.queues
    world.advance(11)
    assert "q" not in world.engine.named.queues


def test_a_lower_priority_does_not_overtake_what_has_just_been_redriven() -> None:
    world = NativeWorld()
    world.create("q", "ann", max_deliveries=1, dead_letter="dead")
    world.put("first", priority=9)
    world.nack(*world.pulled())
    (lease,) = world.pulled(1, "dead")
    world.hold_commits = True
    world.enter()
    lease.queue.end_lease(lease)
    assert deaths.redrive(lease.queue, lease.ref)
    world.leave()
    world.put("second", priority=9)
    world.put("third", priority=0)
    stream = world.stream(1)
    assert stream.leases == []
    world.commit_all()
    assert texts(stream.leases) == ["first"]


def test_a_purge_does_not_let_a_delayed_message_expire_before_its_time() -> None:
    world = NativeWorld()
    queue = world.create(message_ttl=30.0)
    world.put("0", delay=100.0)
    world.advance(101)
    (lease,) = world.pulled()
    world.enter()
    assert upkeep.purge(queue) == 0
    world.leave()
    world.nack(lease)
    world.advance(20)
    assert world.drain() == ["0"]
