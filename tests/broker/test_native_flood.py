"""A client that asks for more than it may have under way at a time is told so, and concerns nobody else."""

import asyncio

import pytest

import mombroker
from mombroker.api import mom_topics
from mombroker.client import Problem
from mombroker.operations.messages import Pull


async def test_one_operation_too_many_is_overloaded_and_the_others_go_on(broker, monkeypatch):
    monkeypatch.setattr(mom_topics, "MOST_AT_A_TIME", 20)
    url = f"mqtt://127.0.0.1:{broker.port}"
    async with mombroker.connect(url) as greedy, mombroker.connect(url) as modest:
        queue = modest.queue("jobs")
        await queue.create()
        pulls = [asyncio.ensure_future(greedy.call(Pull(queue="jobs", wait=60.0))) for _ in range(21)]
        done, waiting = await asyncio.wait(pulls, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        assert len(done) == 1
        with pytest.raises(Problem, match="overloaded"):
            done.pop().result()
        assert await queue.put_many(str(number) for number in range(20)) == 20
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*waiting)
        assert sorted(int(answer.messages[0].content()) for answer in answers) == list(range(20))
        greedy_again = await greedy.queue("jobs").info()
        assert greedy_again.numbers.leased == 20
