"""mosquitto_pub and mosquitto_sub, in all the versions and qualities of service that they speak."""

import json
import threading

import pytest

from . import mosquitto
from .mosquitto import Sub, pub

pytestmark = mosquitto.needed

VERSIONS = ["31", "311", "5"]
versions = pytest.mark.parametrize("version", VERSIONS)


@versions
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_a_message_arrives_in_every_version_at_every_qos(port, version, qos):
    topic = f"plain/{version}/{qos}"
    with Sub(port, "-V", version, "-q", qos, "-t", f"plain/{version}/+", "-C", "3", form="%t %q %r %p") as sub:
        for number in range(3):
            pub(port, "-V", version, "-q", qos, "-t", topic, "-m", f"message {number}")
        assert sub.messages(3) == [f"{topic} {qos} 0 message {number}" for number in range(3)]
        assert sub.wait() == 0


@versions
@pytest.mark.parametrize("publisher", VERSIONS)
def test_versions_mix(port, version, publisher):
    with Sub(port, "-V", version, "-q", "2", "-t", f"mix/{version}/{publisher}") as sub:
        pub(port, "-V", publisher, "-q", "2", "-t", f"mix/{version}/{publisher}", "-m", "hello")
        assert sub.messages(1) == [f"mix/{version}/{publisher} hello"]


@pytest.mark.parametrize(("published", "subscribed", "arrives"), [(0, 2, 0), (1, 2, 1), (2, 1, 1), (2, 0, 0)])
def test_the_lower_qos_of_publish_and_subscription_counts(port, published, subscribed, arrives):
    topic = f"min/{published}/{subscribed}"
    with Sub(port, "-q", str(subscribed), "-t", topic, form="%q") as sub:
        pub(port, "-q", str(published), "-t", topic, "-m", "x")
        assert sub.messages(1) == [str(arrives)]


@versions
def test_a_retained_message_is_kept_replaced_and_cleared(port, version):
    topic = f"retained/{version}"
    sub = ["-V", version, "-t", topic]
    pub(port, "-V", version, "-r", "-q", "1", "-t", topic, "-m", "old")
    pub(port, "-V", version, "-r", "-q", "1", "-t", topic, "-m", "new")
    with Sub(port, *sub, form="%r %p") as one:
        assert one.messages(1) == ["1 new"]
    pub(port, "-V", version, "-r", "-q", "1", "-t", topic, "-n")
    with Sub(port, *sub, form="%r %p") as two:
        pub(port, "-V", version, "-q", "1", "-t", topic, "-m", "live")
        assert two.messages(1) == ["0 live"]


@versions
def test_the_will_of_a_client_that_is_killed_is_published_and_that_of_one_that_leaves_is_not(port, version):
    will = ["-V", version, "-t", f"will/in/{version}", "--will-topic", f"will/out/{version}"]
    will += ["--will-qos", "1", "--will-retain"]
    with Sub(port, "-V", version, "-q", "1", "-t", f"will/out/{version}", form="%q %p") as watcher:
        assert mosquitto.run("mosquitto_sub", port, *will, "--will-payload", "left in order", "-E").returncode == 0
        victim = Sub(port, *will, "--will-payload", "was killed")
        victim.kill()
        assert watcher.messages(1) == ["1 was killed"]
    with Sub(port, "-V", version, "-t", f"will/out/{version}", form="%r %p") as late:
        assert late.messages(1) == ["1 was killed"]


@versions
@pytest.mark.parametrize("qos", ["1", "2"])
def test_a_durable_session_gets_what_came_while_it_was_away(port, version, qos):
    name = f"durable-{version}-{qos}"
    session = ["-V", version, "-c", "-i", name, "-q", qos, "-t", f"{name}/#"]
    if version == "5":
        session += ["-x", "3600"]
    with Sub(port, *session):
        pass
    for number in range(50):
        pub(port, "-V", version, "-q", qos, "-t", f"{name}/{number}", "-m", str(number))
    with Sub(port, *session, form="%q %p") as back:
        assert back.messages(50) == [f"{qos} {number}" for number in range(50)]


def test_a_client_may_leave_in_order_and_ask_for_its_will(port):
    # What mosquitto_sub does with MQTT 5 when it gets SIGTERM: DISCONNECT with reason 0x04.
    with Sub(port, "-V", "5", "-t", "will/asked", form="%p") as watcher:
        with Sub(port, "-V", "5", "-t", "will/in", "--will-topic", "will/asked", "--will-payload", "as asked"):
            pass
        assert watcher.messages(1) == ["as asked"]


def test_many_lines_keep_their_order(port):
    lines = [f"line {number}" for number in range(2000)]
    with Sub(port, "-V", "5", "-q", "2", "-t", "lines", form="%p") as sub:
        pub(port, "-V", "5", "-q", "2", "-t", "lines", "-l", given="\n".join(lines) + "\n")
        assert sub.messages(2000) == lines


def test_a_large_file_arrives_whole(port, tmp_path):
    text = "".join(f"{number:09}" for number in range(300_000))
    (tmp_path / "large").write_text(text)
    with Sub(port, "-q", "1", "-t", "large", form="%l %p") as sub:
        pub(port, "-q", "1", "-t", "large", "-f", str(tmp_path / "large"))
        assert sub.messages(1) == [f"{len(text)} {text}"]


def test_properties_travel_with_the_message(port):
    given = ["-D", "publish", "content-type", "text/plain", "-D", "publish", "correlation-data", "c-1"]
    given += ["-D", "publish", "response-topic", "answers/here", "-D", "publish", "message-expiry-interval", "300"]
    given += ["-D", "publish", "payload-format-indicator", "1"]
    given += ["-D", "publish", "user-property", "b", "2", "-D", "publish", "user-property", "a", "1"]
    with Sub(port, "-V", "5", "-q", "1", "-t", "properties", form="%j") as sub:
        pub(port, "-V", "5", "-q", "1", "-t", "properties", "-m", "x", *given)
        got = json.loads(sub.messages(1)[0])
    # mosquitto_sub 2.0 spells a few names in ways of its own.
    shown = json.dumps(got["properties"])
    assert all(word in shown for word in ("text/plain", "c-1", "answers/here")), got
    assert shown.index('"b"') < shown.index('"a"')
    assert 200 <= got["properties"]["message-expiry-interval"] <= 300
    assert got["properties"]["payload-format-indicator"] == 1


def test_a_shared_subscription_gives_each_message_to_one_member(port):
    share = ["-V", "5", "-q", "1", "-t", "$share/group/shared/#"]
    changed = threading.Condition()
    with Sub(port, *share, form="%p", changed=changed) as one, Sub(port, *share, form="%p", changed=changed) as two:
        pub(port, "-V", "5", "-q", "1", "-t", "shared/t", "-l", given="".join(f"{n}\n" for n in range(100)))
        parts = mosquitto.gathered([one, two], 100)
        assert all(parts)
        assert sorted([*parts[0], *parts[1]], key=int) == [str(number) for number in range(100)]


def test_a_request_is_answered_on_its_response_topic(port):
    with Sub(port, "-V", "5", "-t", "requests", form="%R %D %p") as service:
        asked = mosquitto.ask(port, "-t", "requests", "-e", "answers/42", "-m", "6 times 7")
        service.messages(1)
        response_topic = service.messages(1)[0].split()[0]
        assert response_topic == "answers/42"
        pub(port, "-V", "5", "-t", response_topic, "-m", "42")
        assert asked.communicate(timeout=mosquitto.TIMEOUT)[0] == "42\n"
        assert asked.returncode == 0


def test_what_the_broker_refuses_mosquitto_pub_reports(port):
    done = mosquitto.run("mosquitto_pub", port, "-V", "5", "-q", "1", "-t", "$SYS/broker/uptime", "-m", "x")
    why = "forbidden: nobody may publish to '$SYS/broker/uptime'"
    assert done.stderr == f"Warning: Publish 1 failed: Not authorized.\n{why}\n"


def test_the_statistics_have_the_names_that_mosquitto_users_know(port):
    with Sub(port, "-t", "$SYS/#", "-C", "20") as sub:
        topics = {line.split(" ", 2)[0] for line in sub.messages(20)}
    assert topics >= {"$SYS/broker/version", "$SYS/broker/uptime", "$SYS/broker/clients/connected"}
