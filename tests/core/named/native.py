"""What the native API does to the core, done by a test: queues made, messages put in, taken out and settled.

Everything runs on :class:`World`; what an API layer would promise its caller is recorded with the unit that it is in.
"""

from typing import Any

from mombroker.core import Limits
from mombroker.core.barrier import Outcome
from mombroker.core.named import intake
from mombroker.core.named.consumers import Pull, StreamConsumer
from mombroker.core.named.leases import Lease
from mombroker.core.named.meta import Meta
from mombroker.core.named.queue import NamedQueue
from mombroker.core.named.service import Caller, Pending, Service, TaskWorker
from mombroker.model.message import Message

from ..world import Client, Policies, World


class Told(Outcome):
    """What has become of the unit that an operation went into: None, ``"kept"`` or ``"refused"``."""

    def __init__(self, carried: bool = False) -> None:
        super().__init__(carried)
        self.fate: str | None = None

    def kept(self) -> None:
        assert self.fate is None, "told twice"
        self.fate = "kept"

    def refused(self) -> None:
        assert self.fate is None, "told twice"
        self.fate = "refused"


class Taken(Pull):
    """A pull; ``leases`` is None until it is answered."""

    leases: list[Lease] | None = None
    deleted = False

    def arrived(self, leases: list[Lease]) -> None:
        assert self.leases is None and not self.deleted, "answered twice"
        self.leases = leases

    def queue_deleted(self) -> None:
        assert self.leases is None and not self.deleted, "answered twice"
        self.deleted = True


class Stream(StreamConsumer):
    """A stream that keeps its leases."""

    def __init__(self, key: str, username: str | None, credit: int, lease_seconds: float) -> None:
        super().__init__(key, username, credit, lease_seconds)
        self.leases: list[Lease] = []
        self.deleted = False

    def arrived(self, leases: list[Lease]) -> None:
        assert leases, "nothing has arrived"
        self.leases += leases

    def queue_deleted(self) -> None:
        self.deleted = True


class Doing(TaskWorker):
    """A worker of the native API that keeps its requests."""

    def __init__(self, key: str, username: str | None, service: Service, credit: int) -> None:
        super().__init__(key, username, service, credit)
        self.requests: list[Pending] = []
        self.deleted = False

    def arrived(self, requests: list[Pending]) -> None:
        self.requests += requests

    def service_deleted(self) -> None:
        self.deleted = True


class Asked(Caller):
    """A caller that keeps what it is told."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.done = False
        self.failure: tuple[str, str, str] | None = None

    def answered(self, payload: bytes, properties: bytes, more: bool) -> None:
        assert not self.done and self.failure is None, "told of a part after the end"
        self.parts.append(payload)
        self.done = not more

    def failed(self, code: str, detail: str, worker_code: str) -> None:
        assert not self.done and self.failure is None, "told of a failure after the end"
        self.failure = (code, detail, worker_code)


def texts(leases: list[Lease] | None) -> list[str]:
    """The payloads of messages on a lease."""
    assert leases is not None, "the pull has not been answered"
    return [lease.ref.message.payload.decode() for lease in leases]


class NativeWorld(World):
    """A world with named queues and services in it."""

    def __init__(self, limits: Limits | None = None, **given: Any) -> None:
        super().__init__(limits, **given)

    @property
    def policies(self) -> Policies:
        """The hooks, which a test may tell what to answer."""
        assert isinstance(self.hooks, Policies)
        return self.hooks

    def enter(self) -> None:
        """Set the engine's clock, as whoever calls it does."""
        self.engine.now = self.now

    def leave(self) -> None:
        """Let the engine finish its turn, and everything happen that is not held."""
        self.engine.wake()
        self.run()
        self.check_counts()

    # -- queues

    def create(self, name: str = "q", owner: str = "ann", *filters: str, **policy: Any) -> NamedQueue:
        """Make a queue."""
        self.enter()
        given = {"overflow": "reject", **policy}
        queue = self.engine.named.create(name, owner, given, list(filters))
        self.leave()
        return queue

    def queue(self, name: str = "q") -> NamedQueue:
        """A queue that is there."""
        return self.engine.named.queues[name]

    def put(self, text: str | bytes, name: str = "q", told: Told | None = None, **options: Any) -> str:
        """Put a message into a queue as the API does, unless it would be refused; returns its id."""
        self.enter()
        queue = self.queue(name)
        meta = Meta()
        expires_at = self.now + options.pop("ttl") if "ttl" in options else 0.0
        if "delay" in options:
            meta.deliver_at = self.now + options.pop("delay")
        for option, value in options.items():
            setattr(meta, option, value)
        payload = text.encode() if isinstance(text, str) else text
        message = Message(f"$queue/{name}", payload, 1, False, b"", self.now, expires_at)
        refused = intake.refusal(queue, message, meta)
        assert not refused, refused
        message_id = intake.enqueue(queue, message, meta)
        queue.pump(queue.queue)
        if told is not None:
            self.engine.barrier.tell(told)
        self.leave()
        return message_id

    def put_many(self, texts: list[str], name: str = "q", **options: Any) -> None:
        """Put many messages in, in one turn."""
        self.enter()
        queue = self.queue(name)
        for text in texts:
            meta = Meta()
            for option, value in options.items():
                setattr(meta, option, value)
            message = Message(f"$queue/{name}", text.encode(), 1, False, b"", self.now)
            intake.enqueue(queue, message, meta)
        queue.pump(queue.queue)
        self.leave()

    def pull(
        self, limit: int = 1, wait: float = 0.0, name: str = "q", lease: float = 0.0, key: str = "pull:ann"
    ) -> Taken:
        """Pull messages; its ``leases`` are there once it is answered."""
        self.enter()
        queue = self.queue(name)
        taken = Taken(key, "ann", limit, lease, self.now + wait)
        queue.pulls.append(taken)
        queue.attach()
        self.leave()
        return taken

    def pulled(self, limit: int = 1, name: str = "q", lease: float = 0.0) -> list[Lease]:
        """Pull what there is now."""
        taken = self.pull(limit, 0.0, name, lease)
        assert taken.leases is not None, "a pull that does not wait was not answered"
        return taken.leases

    def stream(self, credit: int, name: str = "q", key: str = "stream:1", lease: float = 0.0) -> Stream:
        """Begin a stream."""
        self.enter()
        stream = Stream(key, "ann", credit, lease)
        self.queue(name).add(stream)
        self.leave()
        return stream

    def end_stream(self, stream: Stream, name: str = "q") -> None:
        """End it."""
        self.enter()
        stream.ended = True
        self.queue(name).remove(stream)
        self.leave()

    def ack(self, *leases: Lease, told: Told | None = None) -> None:
        """Settle messages."""
        self.enter()
        for lease in leases:
            assert not lease.ended, "the lease has ended"
            lease.queue.end_lease(lease)
            lease.queue.ack(lease.ref)
        self._settled(leases, told)

    def nack(self, *leases: Lease, delay: float = 0.0, told: Told | None = None) -> None:
        """Give messages back."""
        self.enter()
        for lease in leases:
            assert not lease.ended, "the lease has ended"
            lease.queue.end_lease(lease)
            lease.queue.nack(lease.ref, delay, "nack")
        self._settled(leases, told)

    def reject(self, *leases: Lease) -> None:
        """Make dead letters of messages."""
        self.enter()
        for lease in leases:
            lease.queue.end_lease(lease)
            lease.queue.reject(lease.ref, "rejected")
        self._settled(leases, None)

    def _settled(self, leases: tuple[Lease, ...], told: Told | None) -> None:
        for queue in {id(lease.queue): lease.queue for lease in leases}.values():
            queue.pump(queue.queue)
        if told is not None:
            self.engine.barrier.tell(told)
        self.leave()

    def drain(self, name: str = "q") -> list[str]:
        """Take everything out that is to be had, and settle it."""
        found: list[str] = []
        while True:
            leases = self.pulled(100, name)
            if not leases:
                return found
            found += texts(leases)
            self.ack(*leases)

    def check_counts(self) -> None:
        """What a queue, its lanes and its owner say of its size is the same; so is what is held."""
        totals: dict[str, tuple[int, int]] = {}
        for queue in self.engine.named.queues.values():
            count = sum(lane.count for lane in queue.all_lanes())
            size = sum(lane.bytes for lane in queue.all_lanes())
            assert (queue.count, queue.bytes) == (count, size), f"{queue.name}: {queue.count}, lanes {count}"
            held = sum(len(lane) for lane in queue.held.values())
            assert held == queue.held_count, f"{queue.name} holds {held}, says {queue.held_count}"
            assert queue.numbers.acked >= 0
            for message, size_so_far in [totals.get(queue.owner.name, (0, 0))]:
                totals[queue.owner.name] = (message + queue.count, size_so_far + queue.bytes)
        for owner in self.engine.named.owners.values():
            assert (owner.messages, owner.bytes) == totals.get(owner.name, (0, 0)), owner.name

    # -- services

    def serve(self, name: str = "s", credit: int = 10, key: str = "stream:w") -> Doing:
        """Be a worker."""
        self.enter()
        service = self.engine.requests.create(name, "ann")
        worker = Doing(key, "ann", service, credit)
        service.queue.add(worker)
        self.leave()
        return worker

    def stop(self, worker: Doing) -> None:
        """Be none any more."""
        self.enter()
        self.engine.requests.leave(worker)
        self.leave()

    def ask(self, text: str, name: str = "s", seconds: float = 30.0, patient: bool = False) -> Asked:
        """Ask a service."""
        self.enter()
        caller = Asked()
        requests = self.engine.requests
        message = Message(f"$service/{name}", text.encode(), 1, False, b"", self.now)
        requests.ask(requests.find(name), message, caller, "ann", seconds, patient)
        self.leave()
        return caller

    def ask_later(
        self, text: str, name: str = "s", seconds: float = 3600.0, keep: float = 86_400.0, told: Told | None = None
    ) -> str:
        """Ask a service, for a reply that is fetched later; returns the request's id."""
        self.enter()
        requests = self.engine.requests
        message = Message(f"$service/{name}", text.encode(), 1, False, b"", self.now)
        pending = requests.ask_later(requests.find(name), message, "ann", seconds, keep)
        if told is not None:
            self.engine.barrier.tell(told)
        self.leave()
        return pending.id

    def reply(self, pending: Pending, text: str, more: bool = False) -> None:
        """Answer a request."""
        self.enter()
        assert pending.worker is not None
        self.engine.requests.reply(
            self.engine.requests.running(pending.id, pending.worker.key), text.encode(), b"", more
        )
        self.leave()

    def user(self, client_id: str, version: int = 5, username: str | None = "ann", **fields: Any) -> Client:
        """A client that is logged in as a user and connected."""
        client = self.client(client_id, version)
        connack = client.connect(username=username, **fields)
        assert connack is None or connack.reason == 0
        return client
