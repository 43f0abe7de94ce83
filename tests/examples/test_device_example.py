"""examples/device: a 3.1.1 device is asked over HTTP, and asks a Python service."""

import httpx
import pytest

from .example import example


def test_a_device_without_mqtt_5_answers_over_http_and_asks_a_python_service(new_server):
    pytest.importorskip("paho.mqtt")
    server = new_server(http="127.0.0.1:0").start()
    with example("device/clock.py", "--url", f"mqtt://127.0.0.1:{server.port}") as clock:
        clock.wait_for("serving clock")
        with example("device/device.py", "--port", str(server.port)) as device:
            assert device.wait_for("the time is")[0].endswith("+00:00")
            device.wait_for("thermometer-7 answers")
            with httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}", trust_env=False) as http:
                place = "/v1/services/thermometer-7/requests"
                assert http.post(place).text == "21.5 C"
                assert http.post(place, content=b"F").text == "70.7 F"
                failed = http.post(place, content=b"K")
                assert failed.status_code == 502
                problem = failed.json()
                assert (problem["code"], problem["worker_code"]) == ("service-failed", "unknown-unit")
                assert problem["detail"] == "K is not measured here"
            device.interrupt()
        clock.interrupt()
    assert server.stop() == 0


def test_a_device_that_asks_a_service_which_is_not_there_is_told_so(new_server):
    pytest.importorskip("paho.mqtt")
    server = new_server().start()
    with example("device/device.py", "--port", str(server.port)) as device:
        assert "no-such-service" in device.wait_for("no time:")[0]
        device.interrupt()
