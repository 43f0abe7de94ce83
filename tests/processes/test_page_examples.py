"""README and the pages about queues and services are true: their examples are run, and say what they say there."""

import shutil

import pytest

from .page_examples import MOSQUITTO, ROOT, blocks, run_examples, run_script
from .program import Program

missing = [tool for tool in ("curl", *MOSQUITTO) if shutil.which(tool) is None]

pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_every_example_of_the_page_about_the_native_api_does_what_it_says(new_server, tmp_path):
    assert run_examples(page("native-api.md"), new_server().start(), tmp_path / "examples") > 3


def test_every_example_of_the_page_about_queues_does_what_it_says(new_server, tmp_path):
    server = new_server(http="127.0.0.1:0").start()
    assert run_examples(page("queues.md"), server, tmp_path / "examples") > 25


def test_every_example_of_the_page_about_services_does_what_it_says(new_server, tmp_path):
    server = new_server(http="127.0.0.1:0").start()
    with Program("-m", "mombroker", "serve-echo", "echo", "-p", str(server.port)) as worker:
        worker.wait_for("serving echo")
        assert run_examples(page("services.md"), server, tmp_path / "examples") > 10


def test_the_readme_can_be_pasted_into_a_shell(new_server, tmp_path):
    server = new_server(http="127.0.0.1:0").start()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    queues, requests, http = blocks(readme, "sh")
    (client,) = blocks(readme, "python")
    with Program("-m", "mombroker", "serve-echo", "echo", "-p", str(server.port)) as worker:
        worker.wait_for("serving echo")
        done = run_script(f"set -e\n{queues}\n{requests}\n{http}", server, tmp_path)
        assert done.returncode == 0, done.stderr
        for expected in (
            "the queue jobs is there",
            "resize cat.png\nrotate dog.png\n",
            "\nhello\nhello",
            "202 Accepted",
        ):
            assert expected in done.stdout
        assert '"depth":0' in done.stdout.rpartition("{")[2], "the last command looks into the queue mail"
        program = client.replace("localhost:1883", f"127.0.0.1:{server.port}")
        with Program("-c", program) as python:
            assert python.end() == ["crop fish.png", "hello"]
