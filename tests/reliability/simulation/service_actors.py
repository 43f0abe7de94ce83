"""Services in the simulated world: callers that wait or fetch later, workers that stream or speak MQTT, and die."""

from random import Random
from typing import TYPE_CHECKING

from mombroker.core import Connection, Engine, Transport
from mombroker.core.barrier import Outcome
from mombroker.core.named.later import ENDED, Kept, part_from, part_key
from mombroker.core.named.service import Caller, Pending, Service, TaskWorker
from mombroker.core.queue import Ref
from mombroker.model.message import Message
from mombroker.model.unit import TABLE_REQUEST
from mombroker.mqtt import Connect, Decoder, Publish, Subscribe, SubscribeFilter, encode
from mombroker.operations.problems import Problem

from .actors import Action
from .found import Found
from .service_oracle import Question, ServiceOracle

if TYPE_CHECKING:
    from .run import Run

USER = "ann"


class Told(Outcome):
    """Tells the oracle what has become of a unit."""

    def __init__(self, oracle: ServiceOracle, serial: int, question: Question | None) -> None:
        super().__init__(question is None)
        self.oracle = oracle
        self.serial = serial
        self.question = question

    def kept(self) -> None:
        self.oracle.kept(self.serial)

    def refused(self) -> None:
        if self.question is not None:
            self.oracle.refused(self.question)


class Waits(Caller):
    """A caller that waits for the reply."""

    def __init__(self, services: "Services", number: int) -> None:
        self.services = services
        self.number = number
        self.over = False

    def _tell(self) -> ServiceOracle:
        if self.over:
            raise Found(f"request {self.number} is told more after its end")
        self.services.oracle.at(self.services.world.engine.now)
        return self.services.oracle

    def answered(self, payload: bytes, properties: bytes, more: bool) -> None:
        self._tell().told(self.number, payload, more)
        self.over = not more

    def failed(self, code: str, detail: str, worker_code: str) -> None:
        self._tell().told_failure(self.number, code, worker_code)
        self.over = True


class StreamWorker(TaskWorker):
    """A worker of the native API."""

    def __init__(self, services: "Services", key: str, service: Service, credit: int) -> None:
        super().__init__(key, USER, service, credit)
        self.services = services
        self.tasks: list[str] = []
        self.gone = False

    def give(self, pending: Pending, ref: Ref) -> None:
        super().give(pending, ref)
        self.tasks.append(pending.id)
        self.services.given(pending.id, ref.message.payload, self.key)

    def arrived(self, requests: list[Pending]) -> None:
        if self.gone:
            raise Found(f"{self.key} is given requests of a service that is gone")

    def service_deleted(self) -> None:
        self.gone = True


class MqttWorker(Transport):
    """An MQTT client that works for a service; one object for each of its connections."""

    def __init__(self, services: "Services", client_id: str, service: str) -> None:
        self.services = services
        self.key = "client:" + client_id
        self.tasks: list[str] = []
        self.decoder = Decoder(False, 4)
        self.over = False
        engine = services.enter()
        self.connection: Connection = engine.open_connection(self, "10.0.0.8", 8, "sim")
        self.send(encode(Connect(client_id, 4, True, 0, USER, None, None, None), 4))
        self.send(encode(Subscribe(1, [SubscribeFilter(f"$service/{service}/request/+", 1)]), 4))
        self.service = service

    def send(self, data: bytes) -> None:
        """Bytes for the broker, which reads them at once."""
        if not self.over:
            engine = self.services.enter()
            engine.feed(self.connection, data)
            engine.wake()

    def reply(self, request_id: str, payload: bytes, suffix: str) -> None:
        """Publish a reply, a part of one, or a failure."""
        self.send(encode(Publish.create(f"$service/{self.service}/reply/{request_id}{suffix}", payload), 4))

    def write(self, data: bytes) -> None:
        if self.over:
            return
        self.decoder.feed(data)
        packet = self.decoder.next()
        while packet is not None:
            if isinstance(packet, Publish):
                request_id = packet.topic.decode().rsplit("/", 1)[1]
                self.tasks.append(request_id)
                self.services.given(request_id, packet.payload(), self.key)
            packet = self.decoder.next()

    def buffered(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """It is never asked to send more."""

    def resume_reading(self) -> None:
        """It is never asked to send less."""

    def close(self) -> None:
        if not self.over:
            self.over = True
            self.services.oracle.gone(self.key, False)

    def abort(self) -> None:
        self.close()


class Services:
    """Everything that is done to services in a run, and their oracle."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.world = run.world
        self.oracle = ServiceOracle()
        self.names = ["s0", "s1"][: run.setup.choice((0, 0, 1, 2)) if run.config.named else 0]
        self.workers: list[StreamWorker | MqttWorker] = []
        self.callers: list[tuple[Pending, Waits]] = []
        self.number = 0
        self.patience: set[int] = set()
        self.world.when_up.append(self.started)

    def actions(self) -> list[tuple[float, str, Action]]:
        if not self.names:
            return []
        return [
            (1.5, "become a worker", self.work),
            (0.6, "a worker goes", self.leave),
            (4.0, "ask", self.ask),
            (2.5, "ask for later", self.ask_later),
            (6.0, "reply", self.reply),
            (0.4, "reply for somebody else", self.meddle),
            (0.5, "give up waiting", self.give_up),
            (1.5, "fetch", self.fetch),
            (0.5, "cancel", self.cancel),
            (0.1, "delete a service", self.delete),
        ]

    # -- what happens around it

    def enter(self) -> Engine:
        """The engine, for an operation."""
        engine = self.world.enter()
        self.oracle.at(engine.now)
        return engine

    def died(self) -> None:
        """The broker is dead."""
        self.oracle.at(self.world.engine.now)
        self.oracle.crashed()
        for worker in self.workers:
            if isinstance(worker, MqttWorker):
                worker.over = True
        self.workers.clear()
        self.callers.clear()

    def started(self) -> None:
        """Another broker is there."""
        self.oracle.at(self.world.now)
        later = self.world.engine.requests.later.kept
        for question in self.oracle.questions.values():
            kept = later.get(question.id)
            if kept is None:
                self.oracle.after_start(question, "", "", "")
            else:
                self.oracle.after_start(question, kept.state, kept.code, kept.worker_code)

    def trace(self, what: str) -> None:
        """For whoever replays a failure."""
        if self.run.trace is not None:
            self.run.trace(f"    {what}")

    def given(self, request_id: str, payload: bytes, worker: str) -> None:
        """A worker has been given a request."""
        self.oracle.at(self.world.engine.now)
        number = int(payload)
        self.trace(f"{worker} gets request {number}, {request_id}")
        question = self.oracle.questions.get(number)
        if question is not None and not question.id:
            question.id = request_id
        self.oracle.given(number, worker, worker.startswith("client:"))

    def question_of(self, request_id: str) -> Question | None:
        """The request with this id."""
        for question in self.oracle.questions.values():
            if question.id == request_id:
                return question
        return None

    # -- workers

    def work(self, rng: Random) -> None:
        """Somebody begins to work for a service."""
        engine = self.enter()
        name = rng.choice(self.names)
        if len(self.workers) > 3:
            return
        if rng.random() < 0.4:
            taken = {worker.key for worker in self.workers}
            free = [f"nw{number}" for number in range(3) if f"client:nw{number}" not in taken]
            self.workers.append(MqttWorker(self, free[0] if free else "nw9", name))
            return
        service = engine.requests.create(name, USER)
        worker = StreamWorker(self, f"stream:{engine.new_id():x}", service, rng.choice((1, 3, 50)))
        self.workers.append(worker)
        service.queue.add(worker)
        engine.wake()

    def leave(self, rng: Random) -> None:
        """A worker goes, whatever it has."""
        if self.workers:
            self._end_worker(self.workers.pop(int(rng.random() * len(self.workers))), rng.random() < 0.7)

    def _end_worker(self, worker: StreamWorker | MqttWorker, at_rest: bool) -> None:
        if isinstance(worker, StreamWorker):
            engine = self.enter()
            self.oracle.gone(worker.key, False)
            if not worker.gone:
                engine.requests.leave(worker)
            engine.wake()
            return
        if at_rest:
            self.world.end_turn()
        engine = self.enter()
        if not worker.over:
            worker.over = True
            self.oracle.gone(worker.key, self.world.turn_wanted)
            engine.connection_lost(worker.connection)
            engine.wake()

    def reply(self, rng: Random) -> None:
        """A worker answers a request that it has, or had."""
        busy = [worker for worker in self.workers if worker.tasks]
        if busy:
            worker = rng.choice(busy)
            index = int(rng.random() * len(worker.tasks))
            self.answer(worker, index, rng.choice(("", "", "", "more", "error")), b"%d" % rng.randrange(1000))

    def answer(self, worker: StreamWorker | MqttWorker, index: int, how: str, payload: bytes) -> None:
        """Answer in full, in part, or with a failure."""
        request_id = worker.tasks[index]
        if how != "more":
            del worker.tasks[index]
        engine = self.enter()
        question = self.question_of(request_id)
        pending = engine.requests.pending.get(request_id)
        known = pending is not None and pending.worker is not None and pending.worker.key == worker.key
        if isinstance(worker, MqttWorker) and (worker.over or worker.connection.blocked):
            return
        self.trace(f"{worker.key} answers {request_id}: {how} {payload!r}, {known}")
        if question is None or self.oracle.may_answer(question.number, worker.key, known) is None:
            if isinstance(worker, MqttWorker):
                worker.reply(request_id, payload, "")
            return
        before = len(question.told)
        if how == "error":
            serial = self.oracle.failed(question, payload.decode())
        else:
            serial = self.oracle.answered(question, payload, how == "more")
        if isinstance(worker, MqttWorker):
            told = b'{"code": "%s", "detail": "no"}' % payload if how == "error" else payload
            worker.reply(request_id, told, f"/{how}" if how else "")
        else:
            assert pending is not None
            if how == "error":
                engine.requests.fail(pending, "service-failed", "no", payload.decode())
            else:
                engine.requests.reply(pending, payload, b"", how == "more")
            worker.credit += how != "more"
        if not question.later and how != "error" and len(question.told) == before:
            raise Found(f"request {question.number} was answered, and its caller was told nothing")
        self.tell(engine, serial)

    def tell(self, engine: Engine, serial: int, question: Question | None = None) -> None:
        """Have the oracle told what becomes of the open unit."""
        engine.barrier.tell(Told(self.oracle, serial, question))
        engine.wake()

    def meddle(self, rng: Random) -> None:
        """A worker answers a request that another one has."""
        busy = [worker for worker in self.workers if worker.tasks]
        if len(self.workers) < 2 or not busy:
            return
        engine = self.enter()
        owner = rng.choice(busy)
        other = rng.choice([worker for worker in self.workers if worker is not owner])
        request_id = rng.choice(owner.tasks)
        question = self.question_of(request_id)
        if question is None or question.worker != owner.key or other.key == owner.key:
            return
        if isinstance(other, MqttWorker):
            before = list(question.told), question.state
            if other.connection.blocked:
                return
            other.reply(request_id, b"666", "")
            if (list(question.told), question.state) != before:
                raise Found(f"{other.key} could answer request {question.number}, which {owner.key} has")
            return
        try:
            engine.requests.running(request_id, other.key)
        except Problem:
            self.oracle.counts["replies of others refused"] += 1
            return
        raise Found(f"{other.key} may answer request {question.number}, which {owner.key} has")

    # -- callers

    def _message(self, engine: Engine, name: str) -> Message:
        self.number += 1
        return Message(f"$service/{name}", b"%d" % self.number, 1, False, b"", engine.now)

    def ask(self, rng: Random) -> None:
        """Ask, and wait for the reply."""
        engine = self.enter()
        name = rng.choice(self.names)
        service = engine.requests.services.get(name)
        if service is None:
            return
        message = self._message(engine, name)
        seconds = rng.choice((0.3, 2.0, 30.0))
        waits = Waits(self, self.number)
        question = self.oracle.asked(self.number, name, seconds, False)
        workers = service.workers()
        try:
            pending = engine.requests.ask(service, message, waits, USER, seconds, rng.random() < 0.5)
        except Problem as problem:
            self.oracle.not_taken(question, problem.code, workers)
            return
        question.id = pending.id
        self.trace(f"request {self.number}: {pending.id}, {seconds} s")
        self.callers.append((pending, waits))
        engine.wake()

    def give_up(self, rng: Random) -> None:
        """A caller goes, and wants no reply any more."""
        self.callers = [caller for caller in self.callers if not caller[1].over]
        if not self.callers:
            return
        pending, waits = self.callers.pop(int(rng.random() * len(self.callers)))
        engine = self.enter()
        question = self.oracle.questions[waits.number]
        if engine.requests.pending.get(pending.id) is pending:
            self.oracle.cancelled(question)
            waits.over = True
            engine.requests.cancel(pending)
            engine.wake()

    def ask_later(self, rng: Random) -> None:
        """Ask for a reply that is fetched later."""
        engine = self.enter()
        name = rng.choice(self.names)
        service = engine.requests.services.get(name)
        if service is None or engine.barrier.refusing:
            return
        message = self._message(engine, name)
        seconds, keep = rng.choice((2.0, 30.0, 300.0)), rng.choice((20.0, 10_000.0))
        question = self.oracle.asked(self.number, name, seconds, True, keep)
        pending = engine.requests.ask_later(service, message, USER, seconds, keep)
        question.id = pending.id
        self.trace(f"request {self.number} for later: {pending.id}, {seconds} s")
        self.tell(engine, question.asked, question)

    def _some_later(self, rng: Random) -> tuple[Question, Kept | None] | None:
        found = [question for question in self.oracle.questions.values() if question.later]
        if not found:
            return None
        question = found[-1 - min(int(rng.expovariate(0.3)), len(found) - 1)]
        return question, self.world.engine.requests.later.kept.get(question.id)

    def fetch(self, rng: Random) -> None:
        """Fetch the reply to an earlier request."""
        self.enter()
        found = self._some_later(rng)
        if found is not None:
            self.look(*found)

    def look(self, question: Question, kept: Kept | None) -> None:
        """Compare what the broker has of a request with what is known; the parts only when they are on disk."""
        if kept is None:
            self.oracle.seen(question, "", "", "", None)
            return
        parts: list[bytes] | None = None
        if kept.state == "done" and len(question.past) == 1:
            parts = []
            for number in range(kept.parts):
                value = self.world.disk.store.get(TABLE_REQUEST, part_key(kept.id, number)).result()
                parts.append(part_from(value)[0] if value is not None else b"missing")
        self.oracle.seen(question, kept.state, kept.code, kept.worker_code, parts)

    def cancel(self, rng: Random) -> None:
        """Cancel an earlier request, or throw its reply away."""
        engine = self.enter()
        found = self._some_later(rng)
        if found is None or found[1] is None:
            return
        question, kept = found
        self.look(question, kept)
        if kept.state in ENDED:
            serial = self.oracle.thrown_away(question)
            engine.requests.later.drop(kept)
        else:
            serial = self.oracle.cancelled(question)
            pending = engine.requests.pending.get(kept.id)
            if pending is not None:
                engine.requests.cancel(pending)
            kept.cancelled()
        self.tell(engine, serial)

    def delete(self, rng: Random) -> None:
        """Delete a service: its requests end."""
        self.world.end_turn()
        engine = self.enter()
        service = engine.requests.services.get(rng.choice(self.names))
        if service is None:
            return
        engine.requests.delete(service)
        serial = self.oracle.next()
        for question in self.oracle.questions.values():
            kept = engine.requests.later.kept.get(question.id)
            if question.later and kept is not None and kept.service == service.name:
                self.look(question, kept)
        self.workers = [worker for worker in self.workers if worker.service not in (service, service.name)]
        self.oracle.counts["services deleted"] += 1
        self.tell(engine, serial)

    # -- the end

    def settle(self, round: int) -> None:
        """Answer everything that is still open."""
        if not self.names:
            return
        if round == 0:
            for worker in self.workers:
                self._end_worker(worker, True)
            self.workers.clear()
            for name in self.names:
                engine = self.enter()
                service = engine.requests.create(name, USER)
                worker = StreamWorker(self, f"stream:{engine.new_id():x}", service, 10_000)
                self.workers.append(worker)
                service.queue.add(worker)
                engine.wake()
        for worker in self.workers:
            while worker.tasks:
                self.answer(worker, 0, "", b"at last")

    def check(self) -> None:
        """Every request has an end, and what is kept of it is what was told."""
        if not self.names:
            return
        for seconds in (400.0, 3.0, 3.0):
            self.world.advance(seconds)
            self.world.rest()
        self.enter()
        for question in list(self.oracle.questions.values()):
            if question.later:
                self.look(question, self.world.engine.requests.later.kept.get(question.id))
        self.oracle.check()
        requests = self.world.engine.requests
        if requests.pending:
            raise Found(f"requests are pending that have ended: {list(requests.pending)}")
        for service in requests.services.values():
            if service.queue.count or service.queue.held_count:
                raise Found(f"{service.name} has {service.queue.count} requests, and all have ended")
        known = set(requests.later.kept)
        for key, _ in self.world.disk.store.items(TABLE_REQUEST):
            if key.partition(b"@")[0].decode() not in known:
                raise Found(f"the disk keeps {key!r} of a request that is not there")

    def counts(self) -> dict[str, int]:
        """What was done."""
        return dict(self.oracle.counts)
