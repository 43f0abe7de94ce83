"""The plugin webhook: what the server says counts, and where it says nothing, the answer is no."""

import asyncio
import json
import threading

import pytest

from mombroker.hooks import ConnectRequest
from mombroker.model import Identity, Refusal
from mombroker.model.certificate import ClientCertificate
from mombroker.model.errors import ConfigurationError
from mombroker.model.reasons import NOT_AUTHORIZED, SERVER_UNAVAILABLE
from mombroker_plugins.webhook import Remembered, Webhook
from mombroker_plugins.webhook_asking import Verdict

from .web_server import WebServer

ADA = Identity("c", "ada", frozenset({"staff", "admin"}), "10.0.0.1")
ALLOW = {"result": "allow"}


class Decider:
    """A server; ``says`` is the verdict, or the bytes, of each path. ``asked`` has the questions."""

    def __init__(self):
        self.says = {"/who": ALLOW, "/may": ALLOW}
        self.status = 200
        self.asked = []
        self.headers = []
        self.gate = None
        self.server = WebServer(self._answer)

    def _answer(self, method, path, headers, body):
        assert method == "POST"
        self.headers.append(dict(headers))
        self.asked.append(json.loads(body))
        if self.gate is not None:
            assert self.gate.wait(60)
        said = self.says[path]
        return self.status, said if isinstance(said, bytes) else json.dumps(said).encode()


@pytest.fixture
def decider():
    made = Decider()
    yield made
    if made.gate is not None:
        made.gate.set()
    made.server.close()


@pytest.fixture
async def plugin(make, decider):
    made = []

    def plugin(**options):
        url = decider.server.url
        given = {"authenticate_url": f"{url}/who", "authorize_url": f"{url}/may", "timeout": 60}
        made.append(make(Webhook, **{**given, **options}))
        return made[-1]

    yield plugin
    for one in made:
        await one.mombroker_shutdown()


def request(password=b"correct", username="ada", **more):
    return ConnectRequest("c", username, password, 5, "10.0.0.1", **more)


async def may(plugin, action="publish", resource="t", identity=ADA):
    answer = plugin.mombroker_authorize(identity, action, resource)
    return await answer if hasattr(answer, "__await__") else answer


async def test_a_client_that_the_server_lets_in_is_whom_it_says(plugin, decider):
    one = plugin()
    assert await one.mombroker_authenticate(request()) == Identity("c", "ada", frozenset(), "10.0.0.1")
    decider.says["/who"] = {**ALLOW, "username": "bob", "roles": ["x"], "expires_at": 4e9, "more": 1}
    answer = await one.mombroker_authenticate(request())
    assert answer == Identity("c", "bob", frozenset({"x"}), "10.0.0.1")
    assert answer.expires_at == 4e9


async def test_the_server_is_told_what_the_client_has_sent(plugin, decider):
    certificate = ClientCertificate((("commonName", "pump"),), (("DNS", "p"),), serial="0A", fingerprint="ff", der=b"x")
    await plugin().mombroker_authenticate(
        request(port=7, keep_alive=60, will_topic="w", user_properties=(("a", "b"),), certificate=certificate)
    )
    assert decider.asked == [
        {
            "client_id": "c",
            "username": "ada",
            "password": "correct",
            "address": "10.0.0.1",
            "port": 7,
            "listener": "",
            "version": 5,
            "keep_alive": 60,
            "clean_start": True,
            "will_topic": "w",
            "user_properties": [["a", "b"]],
            "certificate": {
                "subject": [["commonName", "pump"]],
                "alternative_names": [["DNS", "p"]],
                "serial": "0A",
                "fingerprint": "ff",
            },
        }
    ]


@pytest.mark.parametrize(
    ("password", "told"),
    [(None, {"password": None}), (b"", {"password": ""}), (b"\xff", {"password": None, "password_base64": "/w=="})],
)
async def test_a_password_is_told_as_it_is(plugin, decider, password, told):
    await plugin().mombroker_authenticate(request(password))
    assert {name: value for name, value in decider.asked[0].items() if name.startswith("password")} == told


async def test_the_server_may_refuse_a_client_and_say_why_or_leave_it_to_others(plugin, decider):
    one = plugin()
    decider.says["/who"] = {"result": "deny", "message": "not today"}
    assert await one.mombroker_authenticate(request()) == Refusal(NOT_AUTHORIZED, "not today")
    decider.says["/who"] = {"result": "ignore"}
    assert await one.mombroker_authenticate(request()) is None


async def test_a_client_without_a_name_is_asked_about_too(plugin):
    assert (await plugin().mombroker_authenticate(request(None, None))).username is None


async def test_passwords_are_asked_about_each_time(plugin, decider):
    one = plugin()
    for _ in range(3):
        await one.mombroker_authenticate(request())
    assert len(decider.asked) == 3


NO_VERDICTS = [
    b"",
    b"oops",
    b"[]",
    b"{}",
    b"\xff",
    b'"allow"',
    b"true",
    {"result": "Allow"},
    {"result": True},
    {**ALLOW, "roles": "admin"},
    {**ALLOW, "username": 7},
    {**ALLOW, "expires_at": "never"},
    bytes(1 << 17),
]


@pytest.mark.parametrize("said", [*NO_VERDICTS, {**ALLOW, "username": ""}, {**ALLOW, "username": "a\nb"}])
async def test_what_is_no_verdict_lets_nobody_in(plugin, decider, log, said):
    decider.says["/who"] = said
    assert (await plugin().mombroker_authenticate(request())).reason == SERVER_UNAVAILABLE
    assert log.lines[0][0].startswith("client refused")
    assert "correct" not in str(log.lines)


@pytest.mark.parametrize("said", NO_VERDICTS)
async def test_what_is_no_verdict_allows_nothing_and_is_not_remembered(plugin, decider, said):
    one = plugin()
    decider.says["/may"] = said
    assert await may(one) is False
    decider.says["/may"] = ALLOW
    assert await may(one) is True


@pytest.mark.parametrize("status", [201, 204, 302, 401, 403, 404, 500])
async def test_another_status_is_a_no(plugin, decider, status):
    one = plugin()
    decider.status = status
    assert (await one.mombroker_authenticate(request())).reason == SERVER_UNAVAILABLE
    assert await may(one) is False


async def test_a_server_that_takes_too_long_is_a_no(plugin, decider):
    decider.gate = threading.Event()
    one = plugin(timeout=0.1)
    assert (await one.mombroker_authenticate(request())).reason == SERVER_UNAVAILABLE
    assert await may(one) is False


async def test_a_server_that_is_not_there_is_a_no(plugin, decider):
    one = plugin()
    decider.server.close()
    assert (await one.mombroker_authenticate(request())).reason == SERVER_UNAVAILABLE
    assert await may(one) is False


async def test_a_right_is_what_the_server_says(plugin, decider):
    one = plugin(cache_seconds=0)
    assert await may(one, "subscribe", "a/#") is True
    assert decider.asked == [
        {
            "client_id": "c",
            "username": "ada",
            "roles": ["admin", "staff"],
            "address": "10.0.0.1",
            "action": "subscribe",
            "resource": "a/#",
        }
    ]
    for result, answer in (("deny", False), ("ignore", None)):
        decider.says["/may"] = {"result": result}
        assert await may(one) is answer


@pytest.mark.parametrize(("result", "answer"), [("allow", True), ("deny", False), ("ignore", None)])
async def test_an_answer_about_a_right_is_remembered_for_a_while(plugin, decider, monkeypatch, result, answer):
    one = plugin(cache_seconds=60)
    now = [1000.0]
    monkeypatch.setattr(one._rights, "_clock", lambda: now[0])
    decider.says["/may"] = {"result": result}
    assert [await may(one) for _ in range(3)] == [answer] * 3
    assert len(decider.asked) == 1
    assert one.mombroker_authorize(ADA, "publish", "t") is answer  # at once
    now[0] += 60
    await may(one)
    assert len(decider.asked) == 2


async def test_an_answer_is_good_for_the_same_question_only(plugin, decider):
    one = plugin()
    for identity in (ADA, Identity("d", "ada", ADA.roles, "10.0.0.1"), Identity("c", "bob", ADA.roles, "10.0.0.1")):
        await may(one, identity=identity)
    await may(one, identity=Identity("c", "ada", frozenset(), "10.0.0.1"))
    await may(one, identity=Identity("c", "ada", ADA.roles, "10.0.0.2"))
    await may(one, action="receive")
    await may(one, resource="u")
    assert len(decider.asked) == 7


async def test_whoever_asks_the_same_meanwhile_waits_for_the_same_answer(plugin, decider):
    decider.gate = threading.Event()
    one = plugin()
    first, second, third = [asyncio.ensure_future(one.mombroker_authorize(ADA, "publish", "t")) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    decider.gate.set()
    assert await asyncio.gather(second, third) == [True, True]
    assert len(decider.asked) == 1


def test_no_more_answers_are_remembered_than_is_set():
    remembered = Remembered(60.0, 2)
    for name in ("a", "b", "c"):
        remembered.remember(name, Verdict(result="allow"))
    assert [remembered.find(name) is not None for name in ("a", "b", "c")] == [False, True, True]


async def test_no_more_questions_are_under_way_than_is_set_and_too_many_are_a_no(plugin, decider):
    decider.gate = threading.Event()
    one = plugin(max_concurrent=2, max_waiting=4)
    asked = [asyncio.ensure_future(one.mombroker_authenticate(request())) for _ in range(6)]
    done, waiting = await asyncio.wait(asked, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        more, waiting = await asyncio.wait(waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert [task.result().reason for task in done] == [SERVER_UNAVAILABLE] * 2
    async with asyncio.timeout(60):
        while len(decider.asked) < 2:
            await asyncio.sleep(0.001)
    assert len(decider.asked) == 2
    decider.gate.set()
    assert {(await task).username for task in waiting} == {"ada"}
    assert len(decider.asked) == 4


async def test_the_broker_shows_its_token(plugin, decider, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    await plugin(token_file=str(tmp_path / "token")).mombroker_authenticate(request())
    await plugin().mombroker_authenticate(request())
    assert [headers.get("Authorization") for headers in decider.headers] == ["Bearer s3cret", None]


async def test_what_it_is_not_set_to_ask_is_left_to_others(plugin, decider):
    assert plugin(authenticate_url="").mombroker_authenticate(request()) is None
    assert plugin(authorize_url="").mombroker_authorize(ADA, "publish", "t") is None
    assert decider.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"authenticate_url": "", "authorize_url": ""}, "say whom to ask"),
        ({"authenticate_url": "http://auth.example/"}, "not encrypted"),
        ({"authorize_url": "http://auth.example/"}, "not encrypted"),
        ({"authorize_url": "auth.example"}, "no address of a web page"),
        ({"authenticate_url": "https://auth.example/", "ca": "/nowhere"}, "ca: /nowhere: No such file"),
        ({"token_file": "/nowhere"}, "token_file: /nowhere: No such file"),
        ({"timeout": 0}, "timeout"),
    ],
)
async def test_settings_that_cannot_be_meant_are_refused(plugin, options, message):
    with pytest.raises(ConfigurationError, match=message):
        plugin(**options)


async def test_plain_addresses_elsewhere_have_to_be_wanted(plugin):
    assert plugin(authenticate_url="http://auth.example/", allow_plain=True)._authenticate.tls is None


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "ä"])
async def test_what_is_no_token_is_not_sent(plugin, tmp_path, token):
    (tmp_path / "token").write_text(token)
    with pytest.raises(ConfigurationError, match="it is no token"):
        plugin(token_file=str(tmp_path / "token"))
