"""The router against a naive one, whatever is bound and unbound in between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mombroker.core.bindings import Binding, merge
from mombroker.core.queue import Consumer, Queue
from mombroker.core.router import MEMO_BYTES, MEMO_SIZE, Router
from mombroker.model.errors import MombrokerError
from mombroker.model.queues import QueuePolicy, QueueSpec
from mombroker.model.unit import record_head
from mombroker.mqtt import ProtocolError
from mombroker.mqtt.topics import matches

LEVELS = ["a", "b", "", "$x"]
TOPICS = st.lists(st.sampled_from(LEVELS), min_size=1, max_size=3).map("/".join).filter(bool)
FILTERS = st.one_of(
    st.lists(st.sampled_from([*LEVELS, "+"]), min_size=1, max_size=3).map("/".join).filter(bool),
    st.lists(st.sampled_from([*LEVELS, "+"]), max_size=2).map(lambda levels: "/".join([*levels, "#"])),
)


def queue(number: int) -> Queue:
    return Queue(number, QueueSpec(f"q{number}", "session", True), QueuePolicy(), Consumer())


@settings(max_examples=300)
@given(st.lists(st.one_of(st.tuples(FILTERS, st.integers(1, 3)), TOPICS), max_size=30))
def test_routes_agree_with_a_naive_router_after_every_change(steps: list[tuple[str, int] | str]) -> None:
    router = Router()
    queues = {number: queue(number) for number in range(1, 4)}
    bound: dict[tuple[str, int], Binding] = {}
    asked: set[str] = set()
    for step in steps:
        if isinstance(step, str):
            asked.add(step)
        elif step in bound:
            router.unbind(bound.pop(step))
        else:
            bound[step] = Binding(step[0], queues[step[1]], None, 1)
            router.bind(bound[step])
        assert router.count == len(bound)
        for topic in asked:
            route = router.route(topic.encode())
            wanted = [binding for binding in bound.values() if matches(binding.filter, topic)]
            assert {id(binding) for binding in route.bindings} == {id(binding) for binding in wanted}
            assert len(route.bindings) == len(wanted)
            found = [target.queue.id for target in route.targets]
            assert sorted(found) == sorted({binding.queue.id for binding in wanted})
    for binding in bound.values():
        router.unbind(binding)
    assert router._root.is_empty() and not router._exact


def test_the_memo_is_bounded() -> None:
    router = Router()
    for number in range(MEMO_SIZE + 10):
        router.route(b"t/%d" % number)
    assert len(router.memo) <= MEMO_SIZE


def test_the_memo_is_bounded_in_bytes_too() -> None:
    router = Router()
    for number in range(2000):
        router.route(b"%d" % number + b"x" * 60_000)
    assert sum(map(len, router.memo)) <= MEMO_BYTES
    assert router.route(b"t") is router.route(b"t")


def test_what_is_not_bound_cannot_be_unbound() -> None:
    router = Router()
    for filter in ("a", "a/+", "a/#"):
        with pytest.raises(MombrokerError):
            router.unbind(Binding(filter, queue(1), None, 0))


def test_what_is_no_topic_name_has_no_route() -> None:
    router = Router()
    for raw in (b"", b"\xff", b"a/#", b"\0"):
        with pytest.raises(ProtocolError):
            router.route(raw)
    assert router.memo == {}


def test_more_identifiers_than_a_record_can_hold_are_left_out_rather_than_fail_the_publisher() -> None:
    subscribed = queue(1)
    bindings = [Binding(f"{number}/#", subscribed, None, 1, subscription_id=268_435_455) for number in range(14_000)]
    merged = merge(bindings)
    assert 65_000 < len(merged.encoded_id) <= 65_535
    assert len(record_head(1, merged.encoded_id)) == 3 + len(merged.encoded_id)
