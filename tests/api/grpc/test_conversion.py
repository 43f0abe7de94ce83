"""From protobuf to Structs and back, for every operation there is."""

import contextlib
import math

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc.conversion import Reader, Writer
from mombroker.operations.admin import PutUser
from mombroker.operations.messages import Death, Enqueue, InMessage, Messages, Nack, OutMessage, Publish, Pull
from mombroker.operations.problems import BAD_REQUEST, Problem
from mombroker.operations.queues import ChangeQueue, CreateQueue, ListQueues, Policy, PutGrant
from mombroker.operations.services import Part, Reply, Request

from .fake import INFO


def read(message, struct):
    """What the broker makes of a message."""
    return Reader(type(message), struct).read(message.SerializeToString())


def refused(message, struct):
    """What it says to one that is wrong."""
    with pytest.raises(Problem) as caught:
        read(message, struct)
    assert caught.value.code == BAD_REQUEST
    return caught.value.detail


def test_what_is_left_out_is_as_the_struct_says():
    assert read(pb.PullRequest(queue="q"), Pull) == Pull(queue="q")
    assert read(pb.ListQueuesRequest(), ListQueues) == ListQueues()
    assert read(pb.PublishRequest(topic="t"), Publish) == Publish(topic="t")
    assert read(pb.RequestRequest(service="s"), Request) == Request(service="s")


def test_zero_is_not_the_same_as_left_out_where_both_mean_something():
    assert read(pb.PublishRequest(topic="t", qos=0), Publish).qos == 0
    assert read(pb.NackRequest(leases=["l"]), Nack).delay is None
    assert read(pb.NackRequest(leases=["l"], delay=0.0), Nack).delay == 0.0
    policy = pb.Policy(max_messages=0, single_active=False, dead_letter="")
    assert read(pb.CreateQueueRequest(queue="q", policy=policy), CreateQueue).policy == Policy(
        max_messages=0, single_active=False, dead_letter=""
    )


def test_a_list_that_is_left_out_is_not_an_empty_one():
    assert read(pb.ChangeQueueRequest(queue="q"), ChangeQueue) == ChangeQueue(queue="q")
    empty = pb.ChangeQueueRequest(queue="q", bindings=pb.ChangeQueueRequest.Bindings())
    assert read(empty, ChangeQueue) == ChangeQueue(queue="q", bindings=())
    some = pb.ChangeQueueRequest(queue="q", bindings=pb.ChangeQueueRequest.Bindings(filters=["a/#"]))
    assert read(some, ChangeQueue) == ChangeQueue(queue="q", bindings=("a/#",))
    roles = pb.PutUserRequest(user="u", roles=pb.PutUserRequest.Roles(names=["admin"]))
    assert read(roles, PutUser) == PutUser(user="u", roles=("admin",))
    assert read(pb.PutUserRequest(user="u", password="p"), PutUser) == PutUser(user="u", password="p")


def test_enums_are_words():
    request = pb.CreateQueueRequest(queue="q", policy=pb.Policy(overflow=pb.OVERFLOW_DEAD_LETTER))
    assert read(request, CreateQueue).policy.overflow == "dead-letter"
    rights = pb.PutGrantRequest(user="u", pattern="*", rights=[pb.RIGHT_READ, pb.RIGHT_CONFIGURE])
    assert read(rights, PutGrant).rights == ("read", "configure")


@pytest.mark.parametrize(
    ("message", "struct", "place"),
    [
        (pb.CreateQueueRequest(queue="no/name"), CreateQueue, "$.queue"),
        (pb.CreateQueueRequest(), CreateQueue, "queue"),
        (pb.CreateQueueRequest(queue="q", policy=pb.Policy(overflow=0)), CreateQueue, "$.policy.overflow"),
        (pb.CreateQueueRequest(queue="q", policy=pb.Policy(overflow=99)), CreateQueue, "$.policy.overflow"),
        (pb.EnqueueRequest(queue="q"), Enqueue, "messages"),
        (pb.EnqueueRequest(queue="q", messages=[{}, {"priority": 10}]), Enqueue, "$.messages[1].priority"),
        (pb.EnqueueRequest(queue="q", messages=[{"ttl": math.nan}]), Enqueue, "$.messages[0].ttl"),
        (pb.EnqueueRequest(queue="q", messages=[{"delay": math.inf}]), Enqueue, "$.messages[0].delay"),
        (pb.PullRequest(queue="q", limit=0), Pull, "$.limit"),
        (pb.PullRequest(queue="q", wait=-1.0), Pull, "$.wait"),
        (pb.PutGrantRequest(user="u", pattern="*"), PutGrant, "rights"),
        (pb.PublishRequest(topic="t", qos=2), Publish, "$.qos"),
    ],
)
def test_what_is_out_of_range_is_refused_with_its_place(message, struct, place):
    assert place in refused(message, struct)


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"], ids=["noise", "cut", "no-utf-8"])
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(Problem, match=r"is no mombroker\.v1\.PullRequest") as caught:
        Reader(pb.PullRequest, Pull).read(data)
    assert caught.value.code == BAD_REQUEST


@given(st.binary(max_size=200))
def test_no_bytes_at_all_are_more_than_refused(data):
    with contextlib.suppress(Problem):
        assert isinstance(Reader(pb.EnqueueRequest, Enqueue).read(data), Enqueue)


contents = st.one_of(
    st.fixed_dictionaries({}, optional={"payload": st.binary(max_size=20)}),
    st.fixed_dictionaries({"text": st.text(max_size=20)}),
)
rest = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.text(max_size=9),
        "properties": st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3).map(tuple),
        "id": st.text(max_size=9),
        "priority": st.integers(0, 9),
        "key": st.text(max_size=9),
        "delay": st.floats(0, 1e6),
        "deliver_at": st.floats(0, 4e9),
        "ttl": st.floats(0, 1e6),
    },
)


@given(contents, rest)
def test_a_message_to_be_sent_arrives_with_all_its_fields(content, fields):
    pairs = fields.get("properties", ())
    sent = pb.OutMessage(**content, **fields | {"properties": [{"name": n, "value": v} for n, v in pairs]})
    (got,) = read(pb.EnqueueRequest(queue="q", messages=[sent]), Enqueue).messages
    assert got == OutMessage(**content, **fields)


def test_a_message_arrives_at_its_consumer_with_all_its_fields():
    death = Death(queue="q", reason="expired", at=1.5, deliveries=2)
    message = InMessage(
        id="i",
        queue="q",
        lease="l",
        topic="t",
        payload=b"\xff",
        content_type="c",
        properties=(("a", "1"), ("a", "2")),
        priority=9,
        key="k",
        deliveries=3,
        enqueued_at=1.25,
        expires_at=2.5,
        deliver_at=3.5,
        deaths=(death, death),
    )
    (got,) = pb.MessageList.FromString(Writer(pb.MessageList).write(Messages(messages=(message,)))).messages
    assert json_format.MessageToDict(got, preserving_proto_field_name=True) == {
        "id": "i",
        "queue": "q",
        "lease": "l",
        "topic": "t",
        "payload": "/w==",
        "content_type": "c",
        "properties": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}],
        "priority": 9,
        "key": "k",
        "deliveries": 3,
        "enqueued_at": 1.25,
        "expires_at": 2.5,
        "deliver_at": 3.5,
        "deaths": [{"queue": "q", "reason": "expired", "at": 1.5, "deliveries": 2}] * 2,
    }


def test_a_first_delivery_says_that_it_is_one():
    written = Writer(pb.InMessage).write(InMessage(id="i", queue="q"))
    assert pb.InMessage.FromString(written).deliveries == 1


def test_text_is_a_payload_on_its_way_out():
    written = Writer(pb.Reply).write(Reply(parts=(Part(text="ü"), Part(payload=b"\0"))))
    assert [part.payload for part in pb.Reply.FromString(written).parts] == ["ü".encode(), b"\0"]


def test_a_policy_goes_out_as_it_came_in():
    written = pb.QueueInfo.FromString(Writer(pb.QueueInfo).write(INFO))
    again = read(pb.CreateQueueRequest(queue="jobs", policy=written.policy), CreateQueue)
    assert again.policy == INFO.policy
    assert written.numbers.bytes == 2**40
