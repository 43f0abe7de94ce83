"""The pages about queues and services are true: their examples are run, and say what they say there."""

import shutil

import pytest

from .page_examples import ROOT, run_examples
from .program import Program

TOOLS = ("curl", "mosquitto_pub", "mosquitto_sub", "mosquitto_rr")
missing = [tool for tool in TOOLS if shutil.which(tool) is None]

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
