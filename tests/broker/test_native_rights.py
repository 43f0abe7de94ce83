"""Whose queues may be used for what, asked of the native API of a whole broker."""

from collections.abc import AsyncIterator

import pytest

from mombroker.api import Caller, NativeApi
from mombroker.broker import Broker
from mombroker.hooks import hookimpl
from mombroker.model import Identity, Overflow, QueuePolicy
from mombroker.operations.admin import DeleteUser, PutUser
from mombroker.operations.messages import Enqueue, OutMessage, Peek, Pull
from mombroker.operations.problems import Problem
from mombroker.operations.queues import ChangeQueue, CreateQueue, GetQueue, ListQueues, Policy, PutGrant
from mombroker.wiring.settings import load_settings

ANN = Caller(Identity("a", "ann"), "embedded")
BOB = Caller(Identity("b", "bob"), "embedded")
ROOT = Caller(Identity("r", "root", frozenset({"admin"})), "embedded")


class Named:
    """Lets queues called ``burying`` bury what does not fit, whatever their policy."""

    @hookimpl
    def mombroker_overflow(self, queue, message):
        return Overflow.DEAD_LETTER if queue.name == "burying" else None

    @hookimpl
    def mombroker_queue_policy(self, queue):
        return QueuePolicy(dead_letter=queue.name + ".x") if queue.kind == "named" and "endless" in queue.name else None


@pytest.fixture
async def api() -> AsyncIterator[NativeApi]:
    settings = load_settings(
        overrides={"mqtt.listen": ["127.0.0.1:0"], "http.listen": "off", "mqtt.queues_per_user": 2}
    )
    async with Broker(settings, durability="memory", plugins=[Named()]) as broker:
        assert broker.native is not None
        yield broker.native


async def refused(api: NativeApi, caller: Caller, request: object) -> str:
    with pytest.raises(Problem) as refusal:
        await api.call(caller, request)
    return refusal.value.code


async def test_a_queue_is_its_owners_and_those_it_has_let(api):
    await api.call(ANN, CreateQueue(queue="orders"))
    assert await refused(api, BOB, GetQueue(queue="orders")) == "forbidden"
    await api.call(ANN, PutGrant(user="bob", pattern="ord*", rights=("read",)))
    assert (await api.call(BOB, GetQueue(queue="orders"))).owner == "ann"
    assert await refused(api, BOB, Enqueue(queue="orders", messages=(OutMessage(text="x"),))) == "forbidden"
    assert [queue.queue for queue in (await api.call(BOB, ListQueues())).queues] == ["orders"]
    assert (await api.call(ROOT, GetQueue(queue="orders"))).owner == "ann"


async def test_dead_letters_go_to_somebody_elses_queue_only_with_the_right_to_write_there(api):
    await api.call(ANN, CreateQueue(queue="hers"))
    assert await refused(api, BOB, CreateQueue(queue="his", policy=Policy(dead_letter="hers"))) == "forbidden"
    assert await refused(api, BOB, GetQueue(queue="his")) == "no-such-queue"
    await api.call(BOB, CreateQueue(queue="his"))
    assert await refused(api, BOB, ChangeQueue(queue="his", policy=Policy(dead_letter="hers"))) == "forbidden"
    await api.call(ANN, PutGrant(user="bob", pattern="hers", rights=("write",)))
    await api.call(BOB, ChangeQueue(queue="his", policy=Policy(dead_letter="hers")))


async def test_a_queue_of_dead_letters_comes_along_whatever_the_quota(api):
    await api.call(ANN, CreateQueue(queue="one"))
    await api.call(ANN, CreateQueue(queue="two", policy=Policy(dead_letter="three")))
    assert (await api.call(ANN, GetQueue(queue="three"))).owner == "ann"
    assert await refused(api, ANN, CreateQueue(queue="four")) == "quota-exceeded"
    assert await refused(api, ANN, GetQueue(queue="four")) == "no-such-queue"


class Directory:
    """Takes every change."""

    async def list(self):
        return []

    async def put(self, name, password, roles):
        return None

    async def remove(self, name):
        return True


class Keeper:
    """Keeps users."""

    @hookimpl
    def mombroker_user_directory(self):
        return Directory()


@pytest.mark.parametrize("change", [PutUser(user="ann", password="new"), DeleteUser(user="ann")])
async def test_whoever_remembers_a_user_is_told_when_it_is_changed(change):
    async with Broker(listen=["127.0.0.1:0"], durability="memory", plugins=[Keeper()]) as broker:
        told = []
        broker.native.on_user_changed(told.append)
        assert await refused(broker.native, ANN, change) == "forbidden" and told == []
        await broker.native.call(ROOT, change)
        assert told == ["ann"]


async def test_a_policy_hook_cannot_have_queues_made_without_end(api):
    await api.call(ANN, CreateQueue(queue="endless"))
    assert [queue.queue for queue in (await api.call(ANN, ListQueues())).queues] == ["endless", "endless.x"]


async def test_an_overflow_hook_may_bury_what_the_policy_would_refuse(api):
    await api.call(ANN, CreateQueue(queue="burying", policy=Policy(max_messages=1, dead_letter="grave")))
    for text in ("first", "second"):
        await api.call(ANN, Enqueue(queue="burying", messages=(OutMessage(text=text),)))
        # Only what is in memory can be buried at once.
        await api.call(ANN, Peek(queue="burying"))
    held = await api.call(ANN, Pull(queue="burying", limit=5))
    buried = await api.call(ANN, Pull(queue="grave", limit=5, wait=5.0))
    assert [message.payload for message in buried.messages] == [b"first"]
    assert [message.payload for message in held.messages] == [b"second"]
