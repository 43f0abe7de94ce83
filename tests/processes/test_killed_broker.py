"""What a newcomer tries first: kill -9 the broker, and look what it still knows."""

import signal

import pytest

from . import mosquitto
from .mosquitto import Sub, pub


@mosquitto.needed
@pytest.mark.conforms("MQTT-3.1.2-5")
def test_a_message_for_a_sleeping_subscriber_survives_kill_9(server):
    session = ["-c", "-i", "a", "-q", "1", "-t", "t/#"]
    Sub(server.port, *session).stop()
    pub(server.port, "-q", "1", "-t", "t/1", "-m", "still here")
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    server.start()
    with Sub(server.port, *session, form="%t %q %p") as back:
        assert back.messages(1) == ["t/1 1 still here"]


@mosquitto.needed
def test_everything_that_is_durable_survives_kill_9_together(server):
    for version, extra in (("31", []), ("311", []), ("5", ["-x", "3600"])):
        Sub(server.port, "-V", version, *extra, "-c", "-i", f"s{version}", "-q", "2", "-t", "all/#").stop()
    for qos in ("1", "2"):
        pub(server.port, "-V", "5", "-q", qos, "-t", f"all/{qos}", "-m", qos)
    pub(server.port, "-q", "1", "-r", "-t", "retained", "-m", "kept")
    pub(server.port, "-q", "1", "-r", "-t", "cleared", "-m", "gone")
    pub(server.port, "-q", "1", "-r", "-t", "cleared", "-n")
    for _ in range(2):
        server.kill()
        server.start()
    for version, extra in (("31", []), ("311", []), ("5", ["-x", "3600"])):
        session = ["-V", version, *extra, "-c", "-i", f"s{version}", "-q", "2", "-t", "all/#"]
        with Sub(server.port, *session, form="%t %q %p") as back:
            assert back.messages(2) == ["all/1 1 1", "all/2 2 2"]
    pub(server.port, "-q", "1", "-t", "cleared", "-m", "live")
    with Sub(server.port, "-t", "retained", "-t", "cleared", form="%t %r %p") as late:
        pub(server.port, "-q", "1", "-t", "cleared", "-m", "live")
        assert late.messages(2) == ["retained 1 kept", "cleared 0 live"]


@mosquitto.needed
def test_the_delayed_will_of_a_client_comes_even_if_the_broker_was_killed_meanwhile(server):
    sub = ["-V", "5", "-c", "-x", "2", "-i", "doomed", "-q", "1", "-t", "x"]
    victim = Sub(server.port, *sub, "--will-topic", "wills", "--will-payload", "sorry", "--will-qos", "1")
    Sub(server.port, "-V", "5", "-c", "-x", "3600", "-i", "heir", "-q", "1", "-t", "wills").stop()
    server.kill()
    victim.kill()
    server.start()
    with Sub(server.port, "-V", "5", "-c", "-x", "3600", "-i", "heir", "-q", "1", "-t", "wills", form="%p") as heir:
        assert heir.messages(1) == ["sorry"]
