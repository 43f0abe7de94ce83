"""Finding a message by the id that the broker gave it takes one look, however long the queue is."""

import mombroker
from mombroker.api.context import ApiContext
from mombroker.operations.messages import Enqueue, OutMessage


async def test_an_id_that_the_broker_gave_says_where_the_message_is(broker, monkeypatch):
    looks = []
    read = ApiContext.read

    async def seen(self, queue_id, first, max_records, max_bytes):
        looks.append(first)
        return await read(self, queue_id, first, max_records, max_bytes)

    async with mombroker.connect(f"mqtt://127.0.0.1:{broker.port}") as mom:
        queue = mom.queue("jobs")
        await queue.create()
        messages = tuple(OutMessage(text=str(number)) for number in range(40))
        ids = (await mom.call(Enqueue(queue="jobs", messages=messages))).ids
        monkeypatch.setattr(ApiContext, "read", seen)
        for number in (9, 10, 16, 31):
            looks.clear()
            assert (await queue.find(ids[number])).content() == str(number).encode()
            assert looks == [number], ids[number]
