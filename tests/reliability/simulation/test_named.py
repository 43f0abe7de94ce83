"""The oracles of named queues and services can tell a lie, and say nothing where there is none."""

from collections.abc import Callable, Iterator

import pytest

from mombroker.core import Limits
from mombroker.core.named.leases import Lease
from tests.reliability.simulation import run as running
from tests.reliability.simulation.config import Config
from tests.reliability.simulation.found import Found
from tests.reliability.simulation.named_actors import Queues
from tests.reliability.simulation.named_copies import GONE, Rules
from tests.reliability.simulation.named_oracle import Delivery, NamedOracle, Wanted
from tests.reliability.simulation.run import Run
from tests.reliability.simulation.service_actors import Services, Waits
from tests.reliability.simulation.weather import Weather

STEPS = 300


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only queues, services, and the weather."""
    alone = [lambda run: [Weather(run)], lambda run: [Queues(run), Services(run)]]
    monkeypatch.setattr(running, "FACTORIES", alone)


def runs(count: int, plant: Callable[[Queues, Services], None]) -> Iterator[str]:
    """What is found in so many worlds with a lie planted in each."""
    for seed in range(count):
        run = Run(seed, config=Config(seed, Limits(sys_interval=0), ()))
        queues = next(actor for actor in run.actors if isinstance(actor, Queues))
        services = next(actor for actor in run.actors if isinstance(actor, Services))
        plant(queues, services)
        try:
            run.go(STEPS)
        except Found as found:
            yield str(found)


def nothing(queues: Queues, services: Services) -> None:
    """No lie at all."""


def units_lost(queues: Queues, services: Services) -> None:
    """The disk says of some units that they are written, and has lost them."""
    queues.world.disk.lies = set(range(5, 10_000, 9))


def leases_doubled(queues: Queues, services: Services) -> None:
    """Every message is given to two consumers."""
    leased = queues.leased

    def twice(lease: Lease) -> None:
        leased(lease)
        leased(lease)

    queues.leased = twice  # type: ignore[method-assign]


def acks_forgotten(queues: Queues, services: Services) -> None:
    """Every acknowledgement is taken for a negative one."""
    acked = queues.oracle.acked
    queues.oracle.given_back = lambda token, delay, counted=True: acked(token)  # type: ignore[method-assign]


def order_lost(queues: Queues, services: Services) -> None:
    """The priorities of messages are taken the other way round."""
    put = queues.oracle.put

    def other_way(place: object, wanted: Wanted, repetition: bool) -> int:
        turned = Wanted(**{**vars(wanted), "priority": 9 - wanted.priority})
        return put(place, turned, repetition)  # type: ignore[arg-type]

    queues.oracle.put = other_way  # type: ignore[method-assign]


def deliveries_miscounted(queues: Queues, services: Services) -> None:
    """A delivery is said to be one more than it is."""
    delivered = queues.oracle.delivered

    def more(place: object, delivery: Delivery) -> None:
        count = delivery.count + 1 if delivery.count else 0
        delivered(place, Delivery(**{**vars(delivery), "count": count}))  # type: ignore[arg-type]

    queues.oracle.delivered = more  # type: ignore[method-assign]


def ends_doubled(queues: Queues, services: Services) -> None:
    """Callers are told twice that their request has failed."""
    failed = Waits.failed
    told = services.oracle.told_failure

    def twice(number: int, code: str, worker_code: str) -> None:
        told(number, code, worker_code)
        caller = next(waits for _, waits in services.callers if waits.number == number)
        caller.over = True
        failed(caller, code, "", worker_code)

    services.oracle.told_failure = twice  # type: ignore[method-assign]


def replies_swapped(queues: Queues, services: Services) -> None:
    """A caller gets a part of another reply."""
    told = services.oracle.told
    services.oracle.told = lambda number, payload, more: told(number, payload + b"!", more)  # type: ignore[method-assign]


def requests_doubled(queues: Queues, services: Services) -> None:
    """A request is given to two workers."""
    given = services.given

    def twice(request_id: str, payload: bytes, worker: str) -> None:
        given(request_id, payload, worker)
        given(request_id, payload, "another")

    services.given = twice  # type: ignore[method-assign]


def test_nothing_is_found_without_a_lie() -> None:
    assert list(runs(40, nothing)) == []


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (units_lost, ""),
        (leases_doubled, "has it until"),
        (acks_forgotten, "which is in nowhere"),
        (order_lost, "of a higher priority"),
        (deliveries_miscounted, "came back"),
        (ends_doubled, "told more after its end"),
        (replies_swapped, "was answered"),
        (requests_doubled, "is given request"),
    ],
)
def test_a_lie_is_found(plant: Callable[[Queues, Services], None], expected: str) -> None:
    assert next((reason for reason in runs(40, plant) if expected in reason), None) is not None


def test_a_message_that_was_kept_and_never_came_is_lost() -> None:
    oracle = NamedOracle()
    oracle.kept(oracle.created("q", Rules()))
    place = oracle.place("q")
    assert place is not None
    oracle.kept(oracle.put(place, Wanted(1, 10), False))
    with pytest.raises(Found, match="message 1 of q is lost"):
        oracle.check_empty()


def test_a_crash_leaves_open_whether_an_unacknowledged_message_is_there() -> None:
    oracle = NamedOracle()
    oracle.kept(oracle.created("q", Rules()))
    place = oracle.place("q")
    assert place is not None
    oracle.put(place, Wanted(1, 10), False)
    oracle.crashed()
    assert place.copies[1].life.places == {place, GONE}
    oracle.check_empty()


def test_an_acknowledged_message_must_not_come_again_after_a_crash() -> None:
    oracle = NamedOracle()
    oracle.kept(oracle.created("q", Rules()))
    place = oracle.place("q")
    assert place is not None
    oracle.kept(oracle.put(place, Wanted(1, 10), False))
    oracle.delivered(place, Delivery(1, "q", "t1", "pull:a", 30.0, 1))
    oracle.kept(oracle.acked("t1"))
    oracle.crashed()
    with pytest.raises(Found, match="which is in nowhere"):
        oracle.delivered(place, Delivery(1, "q", "t2", "pull:a", 30.0, 1))
