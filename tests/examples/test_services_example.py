"""examples/services: two services, users, and a caller that knows nothing but HTTP."""

from ..processes.server import mombroker
from .example import EXAMPLES, example

SETTINGS = (EXAMPLES / "services" / "broker.toml").read_text()


def test_the_caller_asks_at_once_and_later_and_has_a_queue_of_its_own(new_server, tmp_path):
    # Cheap passwords: what they cost otherwise is their point.
    server = new_server(http="127.0.0.1:0", config=SETTINGS + "memory_kib = 64\ntime_cost = 1\n").start()
    for name in ("services", "ann", "bob"):
        added = ("user", "add", name, "--password-stdin", "--data", str(server.data))
        assert mombroker(*added, cwd=tmp_path, given="secret\n").returncode == 0
    url = f"mqtt://services:secret@127.0.0.1:{server.port}"
    with example("services/services.py", "--url", url, "--caller", "ann") as services:
        services.wait_for("serving thumbs and words")
        with example("services/caller.py", "--http", f"http://127.0.0.1:{server.http_port}") as caller:
            lines = caller.end()
        assert lines == [
            'words: {"the": 3, "and": 2, "quick": 1}',
            "asked thumbs, and went on: 202",
            "thumbs: P5 32 32 255 1037 bytes",
            "failed: 502 service-failed not-an-image the request is no portable graymap",
            'pulled: {"the": 3, "and": 2, "quick": 1}',
            "pushed: a thumbnail of 1037 bytes",
            "bob is told: 403 bob may not read ann.results",
        ]
        services.interrupt()
    assert server.stop() == 0
