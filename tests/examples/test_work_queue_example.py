"""examples/work-queue: letters that cannot be sent are tried again, become dead letters, and are sent at last."""

from ..processes.server import mombroker
from .example import example

DEAD = ["bob@example.invalid", "dan@example.invalid"]


def test_what_fails_three_times_is_a_dead_letter_until_it_is_sent_back(new_server, tmp_path):
    server = new_server().start()
    url = ("--url", f"mqtt://127.0.0.1:{server.port}")

    def queue(*arguments: str) -> str:
        done = mombroker("queue", *arguments, *url, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for _ in range(2):  # the second time everything is recognised
        with example("work-queue/producer.py", *url) as producer:
            assert producer.end() == ["4 letters are in the queue, and on disk"]
    with example("work-queue/worker.py", *url, "--name", "one") as worker:
        assert len(worker.wait_for("one sent a letter to", 2)) == 2
        for attempt in (1, 2, 3):
            worker.wait_for(f"attempt {attempt}: no such host", 2)
        worker.interrupt()
    server.kill()
    server.start()
    url = ("--url", f"mqtt://127.0.0.1:{server.port}")
    dead = queue("peek", "letters.dead")
    assert all(address in dead for address in DEAD)
    with example("work-queue/worker.py", *url, "--name", "two", "--repaired") as worker:
        worker.wait_for("two works")
        assert queue("redrive", "letters.dead") == "2 messages moved\n"
        assert sorted(worker.wait_for("two sent a letter to", 2)) == [f"two sent a letter to {one}" for one in DEAD]
        worker.interrupt()
    assert '"depth":0' in queue("info", "letters", "--json")
    assert server.stop() == 0
