"""A power cut at any moment takes nothing that was acknowledged; and the checker would notice if it did."""

from collections import Counter

import pytest

from tests.reliability.powerloss.books import Books
from tests.reliability.powerloss.command import main
from tests.reliability.powerloss.examining import Point, verdicts
from tests.reliability.powerloss.images import plan
from tests.reliability.powerloss.inprocess import look
from tests.reliability.powerloss.observed import Observed, judge
from tests.reliability.powerloss.recording import INTERVAL, Recording, record, why_not

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(600),
]

SEED = 1
IMAGES = 200


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Recording:
    """A broker and its clients, recorded."""
    return record(tmp_path_factory.mktemp("recording"), SEED, publishes=250)


def test_whatever_a_power_cut_leaves_the_broker_starts_and_has_all_that_it_acknowledged(recording):
    ids = plan(recording.records, SEED, IMAGES)
    found = list(verdicts(recording, ids, serve_every=IMAGES // 2))
    assert [verdict for verdict in found if verdict.faults] == []
    assert [verdict.id for verdict in found] == ids
    assert sum(verdict.served for verdict in found) == 2
    assert sum(verdict.new for verdict in found) > IMAGES * 0.8


def test_with_durability_interval_a_power_cut_takes_nothing_that_is_older_than_the_last_commit(tmp_path):
    lazy = record(tmp_path, SEED, publishes=250, durability=INTERVAL)
    found = list(verdicts(lazy, plan(lazy.records, SEED, 50), serve_every=0))
    assert [verdict for verdict in found if verdict.faults] == []
    point = Point(lazy)
    point.go_on(len(lazy.records))
    assert any(message.must for message in point.books.messages.values()), "nothing could be relied on"


def test_the_clients_of_the_recording_did_all_kinds_of_things(recording):
    point = Point(recording)
    point.go_on(len(recording.records))
    books = point.books
    assert sum(message.accepted for message in books.messages.values()) > 100
    assert sum(bool(values[0][1]) for values in books.retained.values()) > 2
    assert any(entry.there for entry in books.entries["jobs"].values())
    assert any(entry.there is False for entry in books.entries["jobs"].values())
    assert Counter(books.users.values()) == {True: 2}
    assert {client.session for client in books.clients.values()} == {True}


def test_syncs_that_do_not_happen_are_noticed(tmp_path):
    lying = record(tmp_path, SEED, publishes=60, skip="12/3")
    found = verdicts(lying, plan(lying.records, SEED, 300), serve_every=0)
    assert next((verdict.faults for verdict in found if verdict.faults), None), "300 images, and nothing was noticed"


def test_a_single_sync_that_does_not_happen_is_noticed_right_after_it(tmp_path):
    lying = record(tmp_path, SEED, publishes=60, skip="30")
    at = [number for number, one in enumerate(lying.records) if one.operation.name == "LIE"]
    # Each of the two processes has told one. Up to the next sync, which makes good for it.
    end = next(n for n, one in enumerate(lying.records) if n > at[0] and one.operation.name == "SYNC_END")
    ids = plan(lying.records, SEED, 200, at[0], end)
    found = verdicts(lying, ids, serve_every=0)
    assert next((verdict.faults for verdict in found if verdict.faults), None), "200 images, and nothing was noticed"


@pytest.fixture(scope="module")
def end(recording, tmp_path_factory) -> tuple[Books, Observed]:
    """The books at the end of the recording, and what a broker has that is started then."""
    point = Point(recording)
    point.go_on(len(recording.records))
    place = tmp_path_factory.mktemp("end")
    for path, content in recording.followed().items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    seen = look(place, point.books, recording.now)
    assert judge(point.books, seen) == []
    return point.books, seen


def altered(seen: Observed, **changes: object) -> Observed:
    """What was observed, but for some of it."""
    return Observed(**{**vars(seen), **changes})


def test_the_judge_misses_what_is_lost_and_sees_what_is_back(end):
    books, seen = end
    assert "the session of awake is lost" in judge(books, altered(seen, present={**seen.present, "awake": False}))
    assert "the user user0 is lost" in judge(books, altered(seen, users=set()))
    topic = next(topic for topic, values in books.retained.items() if values[0][1])
    assert any(fault.startswith(f"retained {topic} is None") for fault in judge(books, altered(seen, retained={})))
    assert "the queue jobs is lost" in judge(books, altered(seen, queues={**seen.queues, "jobs": None}))
    jobs = seen.queues["jobs"] or []
    gone = next(id for id, entry in books.entries["jobs"].items() if entry.there is False)
    back = altered(seen, queues={**seen.queues, "jobs": [*jobs, (gone, 1)]})
    assert judge(books, back) == [f"jobs: {gone} is back"]
    lost = altered(seen, queues={**seen.queues, "jobs": jobs[1:]})
    assert judge(books, lost) == [f"jobs: {jobs[0][0]} is lost"]
    topic = next(topic for topic, got in seen.probes.items() if got["awake"])
    deaf = altered(seen, probes={**seen.probes, topic: Counter()})
    assert f"the subscription of awake to {topic} is lost" in judge(books, deaf)


def test_the_judge_counts_messages(end):
    books, seen = end
    got = seen.got["asleep"]
    assert got, "nothing was waiting"
    for content, qos in got:
        key = content.split()[0].decode()
        if key not in books.clients["asleep"].settled:
            lost = altered(seen, got={**seen.got, "asleep": [other for other in got if other[0] != content]})
            assert f"asleep has lost {key} (QoS {qos})" in judge(books, lost)
        if qos == 2:
            twice = altered(seen, got={**seen.got, "asleep": [*got, (content, qos)]})
            assert any(fault.startswith(f"asleep got {key} (QoS 2) 2 times") for fault in judge(books, twice))
        spoilt = altered(seen, got={**seen.got, "asleep": [(content[:-1] + b"!", qos)]})
        assert any("has changed" in fault for fault in judge(books, spoilt))


def test_a_failure_can_be_replayed_from_what_was_kept(tmp_path, capsys):
    options = ["--seed", "2", "--images", "300", "--publishes", "60", "--served", "0", "--skip", "12/3"]
    assert main([*options, "--keep", str(tmp_path)]) == 1
    said = capsys.readouterr().out.splitlines()
    command = next(line for line in said if "--replay" in line).split()
    assert main(command[command.index("--replay") :]) == 1
    assert list((tmp_path / "recording-2").glob("image-*/var/lib/mombroker/data.mdb"))
