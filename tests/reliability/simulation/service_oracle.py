"""What services owe to callers and workers, kept apart from the broker: each request has exactly one end, which is told
to its caller; nobody but the worker that has it can answer; and what is asked *later* is kept, with its reply."""

from collections import Counter
from dataclasses import dataclass, field

from .found import Found

MOST_WORKERS = 5
"""After so many have gone with a request its caller is told."""

OPEN = ("open",)
THROWN = ("thrown away",)
Version = tuple[object, ...]


@dataclass
class Question:
    """A request. ``past`` are (serial, how it is from then on), the first one on disk; of a request whose caller waits
    there is only one that counts, the last. ``worker`` is who has it, ``tries`` how many have had it and gone."""

    number: int
    service: str
    deadline: float
    later: bool
    keep: float = 0.0
    id: str = ""
    past: list[tuple[int, Version]] = field(default_factory=lambda: [(0, OPEN)])
    worker: str = ""
    tries: int = 0
    unseen: int = 0
    parts: list[bytes] = field(default_factory=list)
    told: list[bytes] = field(default_factory=list)
    void_at: float = 0.0
    asked: int = 0
    asked_at: float = 0.0
    fate: str = "open"
    orphaned: bool = False

    @property
    def state(self) -> Version:
        """How it is now."""
        return self.past[-1][1]


class ServiceOracle:
    """All requests of a broker, over its restarts."""

    def __init__(self) -> None:
        self.now = 0.0
        self.latest = 0.0
        self.serial = 0
        self.questions: dict[int, Question] = {}
        self.counts: Counter[str] = Counter()

    def at(self, now: float) -> None:
        """It is so late now."""
        self.now = now
        self.latest = max(self.latest, now)

    def next(self) -> int:
        """A number for what is done next."""
        self.serial += 1
        return self.serial

    # -- asking

    def asked(self, number: int, service: str, seconds: float, later: bool, keep: float = 0.0) -> Question:
        """A request is being made."""
        question = self.questions[number] = Question(number, service, self.now + seconds, later, keep)
        question.asked = self.next()
        question.asked_at = self.now
        if later:
            question.past = [(0, THROWN), (question.asked, OPEN)]
        self.counts["requests for later" if later else "requests"] += 1
        return question

    def not_taken(self, question: Question, code: str, workers: int) -> None:
        """The broker says at once that it will not be answered."""
        del self.questions[question.number]
        if code == "no-workers" and workers:
            raise Found(f"request {question.number} is told that nobody serves {question.service}; {workers} do")
        self.counts["requests refused at once"] += 1

    def kept(self, serial: int) -> None:
        """All that was done until then is on disk."""
        for question in self.questions.values():
            if question.fate == "open" and question.later and question.asked <= serial:
                question.fate = "kept"
                self.counts["requests for later acknowledged"] += 1
            while len(question.past) > 1 and question.past[1][0] <= serial:
                question.past.pop(0)

    def refused(self, question: Question) -> None:
        """The store had no room for a request that was to be kept."""
        question.fate = "refused"
        question.worker = ""
        question.past = [(0, THROWN)]

    # -- working

    def given(self, number: int, worker: str, late: bool) -> None:
        """A worker has been given a request; ``late``: at some moment of the turn that ends now."""
        question = self._known(number)
        if late and question.state != OPEN:
            return  # it has ended in the same turn
        if OPEN not in [version for _, version in question.past[-1:]] or question.fate == "refused":
            raise Found(f"{worker} is given request {number}, which is {question.state}, {question.fate}")
        if question.deadline <= self.now:
            raise Found(f"{worker} is given request {number} {self.now - question.deadline:.3f} s after its deadline")
        if question.worker:
            raise Found(f"{worker} is given request {number}, which {question.worker} has")
        if question.tries >= MOST_WORKERS:
            raise Found(f"{worker} is given request {number} after {question.tries} workers have gone with it")
        question.worker = worker
        question.parts = []
        self.counts["requests given to workers"] += 1

    def gone(self, worker: str, unseen: bool) -> None:
        """A worker has gone: what it had is for others."""
        for question in self.questions.values():
            if question.worker == worker:
                question.worker = ""
                question.tries += 1
                if question.told and not question.later:
                    # Half a reply cannot be gone on with: this is the end.
                    question.orphaned = True
            elif unseen and question.state == OPEN:
                question.unseen += 1

    def may_answer(self, number: int, worker: str, known: bool) -> Question | None:
        """A worker answers; ``known`` tells whether the broker takes that."""
        question = self._known(number)
        has_it = question.worker == worker and question.state == OPEN
        if known and not has_it:
            raise Found(f"{worker} may answer request {number}, which {question.worker or 'nobody'} has")
        if not known:
            if has_it and question.deadline > self.now and not question.orphaned:
                raise Found(f"{worker} may not answer request {number}, and has it")
            if has_it:
                question.worker = ""
            return None
        return question

    def answered(self, question: Question, payload: bytes, more: bool) -> int:
        """A worker's part of a reply was taken."""
        question.parts.append(payload)
        self.counts["parts of replies"] += 1
        serial = self.next()
        if not more:
            question.worker = ""
            self._end(question, serial, ("done", *question.parts))
        return serial

    def failed(self, question: Question, code: str) -> int:
        """A worker's failure was taken."""
        serial = self.next()
        question.worker = ""
        self._end(question, serial, ("failed", "service-failed", code))
        return serial

    def cancelled(self, question: Question) -> int:
        """Its caller does not want the reply."""
        serial = self.next()
        question.worker = ""
        self._end(question, serial, ("cancelled",))
        return serial

    def thrown_away(self, question: Question) -> int:
        """Its caller does not want what was kept."""
        serial = self.next()
        question.past.append((serial, THROWN))
        return serial

    def _end(self, question: Question, serial: int, end: Version) -> None:
        question.past.append((serial, end))
        question.void_at = self.now + question.keep

    # -- what a caller that waits is told

    def told(self, number: int, payload: bytes, more: bool) -> None:
        """A part of the reply has come."""
        question = self._known(number)
        question.told.append(payload)
        if question.told != question.parts[: len(question.told)]:
            raise Found(f"request {number} got {question.told}, and was answered {question.parts}")
        if not more and question.state[0] != "done":
            raise Found(f"request {number} got the end of a reply, and is {question.state}")

    def told_failure(self, number: int, code: str, worker_code: str) -> None:
        """There will be no reply."""
        question = self._known(number)
        state = question.state
        if state[0] in ("failed", "cancelled", "done") and state != ("failed", code, worker_code):
            raise Found(f"request {number} is told that it has failed, {code}, and is {state}")
        if state == OPEN:
            self._check_failure(question, code)
            question.worker = ""
            self._end(question, self.next(), ("failed", code, worker_code))
        self.counts["failures told"] += 1

    def _check_failure(self, question: Question, code: str) -> None:
        number = question.number
        if code == "deadline-passed" and question.deadline > self.latest:
            raise Found(f"the deadline of request {number} is said to have passed, and has not")
        if code == "service-failed" and not question.orphaned and question.tries + question.unseen < MOST_WORKERS:
            if not question.told:
                raise Found(f"request {number} is said to have failed after {question.tries} workers")
        if code not in ("deadline-passed", "service-failed", "no-such-service"):
            raise Found(f"request {number} has failed with {code}")

    # -- requests for later, as the broker has them

    def seen(self, question: Question, state: str, code: str, worker_code: str, parts: list[bytes] | None) -> None:
        """The broker tells how a request for later is; ``state`` is empty if it knows none. ``parts`` are None if they
        were not looked at."""
        number = question.number
        possible = [version for _, version in question.past[-1:]]
        if not state:
            if question.state != THROWN:
                if question.fate == "kept" and not self._may_be_void(question):
                    raise Found(f"request {number}, asked for later, is lost; it was {question.state}")
                # That it was thrown away may not be on disk yet.
                question.past.append((self.next(), THROWN))
            return
        if question.fate == "refused" and state not in ("failed", "cancelled"):
            raise Found(f"request {number} was refused, and is {state}")
        if state == "failed" and question.state == OPEN:
            self._check_failure(question, code)
            question.worker = ""
            self._end(question, self.next(), ("failed", code, worker_code))
            return
        if state in ("waiting", "running"):
            if OPEN not in possible:
                raise Found(f"request {number} is {state}, and was {question.state}")
            return
        told: Version = ("failed", code, worker_code) if state == "failed" else (state,)
        if state == "done":
            told = ("done", *parts) if parts is not None else question.state
        if told not in possible:
            raise Found(f"request {number} is {told}, and was {question.state}")
        self.counts["kept replies checked"] += 1

    def _may_be_void(self, question: Question) -> bool:
        """Whether its time may be over. When it ended is known only if a worker has answered."""
        ended = question.state[0] in ("done", "cancelled")
        first = question.asked_at + question.keep
        # A clock that went back may have had it end before it was asked.
        return (question.void_at if ended else min(first, question.void_at or first)) <= self.latest

    def crashed(self) -> None:
        """The broker has died: whoever waits knows, and what was asked for later is one of several things."""
        for number, question in list(self.questions.items()):
            if not question.later:
                del self.questions[number]
                continue
            question.worker = ""
            question.parts = []
            question.tries = 0
            question.unseen = MOST_WORKERS
            if question.fate == "open":
                question.fate = "perhaps"

    def after_start(self, question: Question, state: str, code: str, worker_code: str) -> None:
        """Another broker is there: which of the versions it has is known now."""
        versions = [version for _, version in question.past]
        told: Version | None = None
        for version in versions:
            if not state and version == THROWN or state in ("waiting", "running") and version == OPEN:
                told = version
            elif state and version[0] == state and (state != "failed" or version == ("failed", code, worker_code)):
                told = version
        if told is None:
            if not state and self._may_be_void(question):
                told = THROWN
            elif state == "failed" and OPEN in versions:
                self._check_failure(question, code)
                told = ("failed", code, worker_code)
                question.void_at = self.now + question.keep
            else:
                raise Found(f"after a crash request {question.number} is {state or 'gone'}, and was {versions}")
        question.past = [(0, told)]
        if question.fate == "perhaps" and told != THROWN:
            question.fate = "kept"

    def check(self) -> None:
        """Time enough has passed for every request to have ended."""
        for question in self.questions.values():
            if question.state == OPEN and question.deadline + 1.0 < self.now and question.fate != "refused":
                raise Found(f"request {question.number} has never ended: {question}")

    def _known(self, number: int) -> Question:
        question = self.questions.get(number)
        if question is None:
            raise Found(f"somebody is told of request {number}, which nobody has made, or is over")
        return question
