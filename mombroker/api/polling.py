"""Workers that poll: a request at a time over HTTP, say. Between two polls they count as there, for a while."""

import asyncio
from typing import TYPE_CHECKING

from mombroker.api.streams import task_of
from mombroker.core.named.service import Pending, Service, TaskWorker
from mombroker.operations.problems import NO_SUCH_SERVICE, Problem
from mombroker.operations.services import NextRequest, Tasks

if TYPE_CHECKING:
    from mombroker.api.caller import Caller
    from mombroker.api.context import ApiContext

BUSY_SECONDS = 60.0
"""How long a worker that has taken requests may be silent before they are given to others."""


class PollingWorker(TaskWorker):
    """All polls of one user for one service."""

    def __init__(self, key: str, caller: "Caller", service: Service) -> None:
        super().__init__(key, caller.identity.username, service, 0)
        self.polls: list[tuple[int, asyncio.Future[list[Pending]]]] = []
        self.timer: asyncio.TimerHandle | None = None

    def arrived(self, requests: list[Pending]) -> None:
        """Answer the polls, the longest waiting first."""
        while requests and self.polls:
            limit, future = self.polls.pop(0)
            if future.done():
                continue
            future.set_result(requests[:limit])
            self.credit -= limit - len(requests[:limit])
            requests = requests[limit:]

    def service_deleted(self) -> None:
        """There is nothing to wait for any more."""
        for _, future in self.polls:
            if not future.done():
                future.set_exception(Problem(NO_SUCH_SERVICE, f"the service {self.service.name} was deleted"))
        self.polls = []


class Polls:
    """The polling workers of a broker."""

    def __init__(self, context: "ApiContext") -> None:
        self._context = context
        self._workers: dict[str, PollingWorker] = {}

    async def next(self, caller: "Caller", service: Service, request: NextRequest) -> Tasks:
        """Take requests, waiting for the first one."""
        worker = self._worker(caller, service)
        if worker.timer is not None:
            worker.timer.cancel()
        future = self._context.future()
        worker.polls.append((request.limit, future))
        worker.credit += request.limit
        service.queue.pump(service.queue.queue)
        self._context.engine.wake()
        try:
            done, _ = await asyncio.wait({future}, timeout=request.wait)
        except asyncio.CancelledError:
            self._withdraw(worker, request.limit, future)
            raise
        finally:
            self._linger(worker, request.linger)
        if not done:
            self._withdraw(worker, request.limit, future)
            return Tasks(tasks=())
        return Tasks(tasks=tuple(task_of(pending) for pending in future.result() if pending.worker is worker))

    def _worker(self, caller: "Caller", service: Service) -> PollingWorker:
        key = f"poll:{caller.user}:{service.name}"
        worker = self._workers.get(key)
        if worker is None or worker.service is not service:
            worker = self._workers[key] = PollingWorker(key, caller, service)
            service.queue.add(worker)
        return worker

    def _withdraw(self, worker: PollingWorker, limit: int, future: "asyncio.Future[list[Pending]]") -> None:
        """A poll ends without an answer that anybody reads."""
        if future.done() and not future.cancelled():
            if future.exception() is None and not self._context.closing:
                self._context.enter()
                for pending in future.result():
                    worker.service.hand_back(pending)
                self._context.engine.wake()
            return
        worker.polls = [poll for poll in worker.polls if poll[1] is not future]
        worker.credit -= limit
        future.cancel()

    def _linger(self, worker: PollingWorker, seconds: float) -> None:
        """Count the worker as there for a while; for longer if it has requests to work on."""
        if worker.polls or self._workers.get(worker.key) is not worker:
            return
        if worker.timer is not None:
            worker.timer.cancel()
        wait = max(seconds, BUSY_SECONDS) if worker.running else seconds
        worker.timer = self._context.loop.call_later(wait, self._leave, worker)

    def _leave(self, worker: PollingWorker) -> None:
        if worker.polls or self._workers.get(worker.key) is not worker:
            return
        del self._workers[worker.key]
        if not self._context.closing and not worker.service.queue.deleted:
            self._context.enter().requests.leave(worker)
            self._context.engine.wake()

    def close(self) -> None:
        """No timer is left behind."""
        for worker in self._workers.values():
            if worker.timer is not None:
                worker.timer.cancel()
