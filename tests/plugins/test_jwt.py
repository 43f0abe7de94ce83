"""The plugin jwt: signed tokens are believed as far as they go, and every other one is refused."""

import base64
import contextlib
import hashlib
import hmac
import json
import time

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mombroker.hooks import ConnectRequest
from mombroker.model import Identity
from mombroker.model.errors import ConfigurationError, PluginError
from mombroker.model.reasons import (
    BAD_USER_NAME_OR_PASSWORD,
    CLIENT_IDENTIFIER_NOT_VALID,
    NOT_AUTHORIZED,
    SERVER_UNAVAILABLE,
)
from mombroker_plugins import token_checking
from mombroker_plugins.json_web_tokens import JsonWebTokens
from mombroker_plugins.token_key_ring import BETWEEN, KeyRing
from mombroker_plugins.token_keys import Key, KeyProblem, jwks_keys

from .web_server import WebServer, server_context

SECRET = b"0123456789abcdef" * 4
KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
OTHERS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(algorithm, kid, key=None, **more):
    made = jwt.get_algorithm_by_name(algorithm).to_jwk((key or KEYS[algorithm]).public_key(), as_dict=True)
    return {**{name: value for name, value in made.items() if name != "key_ops"}, "kid": kid, **more}


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def token(algorithm="HS256", key=SECRET, kid=None, **claims):
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode({"sub": "ada", "exp": time.time() + 3600, **claims}, key, algorithm, headers)


def forged(header, claims, secret=None):
    """A token made by hand, signed with HMAC or not at all."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    signature = b"" if secret is None else hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def request(password, username=None, client_id="c", version=5, will_topic=None):
    given = password.encode() if isinstance(password, str) else password
    return ConnectRequest(client_id, username, given, version, "10.0.0.1", will_topic=will_topic)


@pytest.fixture
async def plugin(make, tmp_path):
    """``plugin(...)`` is the plugin with the secret, or with a key that is given as bytes."""
    made = []

    def plugin(**options):
        for name in ("secret_file", "public_key_file", "jwks_file"):
            if isinstance(options.get(name), bytes):
                (tmp_path / name).write_bytes(options[name])
                options[name] = str(tmp_path / name)
        if not {"secret_file", "public_key_file", "jwks_file", "jwks_url"} & {*options}:
            (tmp_path / "secret").write_bytes(SECRET + b"\n")
            options |= {"secret_file": str(tmp_path / "secret")}
        options.setdefault("algorithms", ["HS256"])
        made.append(make(JsonWebTokens, **options))
        return made[-1]

    yield plugin
    for one in made:
        await one.mombroker_shutdown()


async def login(plugin, *arguments, **options):
    answer = plugin.mombroker_authenticate(request(*arguments, **options))
    if answer is not None and hasattr(answer, "__await__"):
        answer = await answer
    return answer if answer is None or isinstance(answer, Identity) else answer.reason


async def test_a_signed_token_names_the_user_until_it_expires(plugin):
    end = int(time.time()) + 60
    answer = await login(plugin(roles=["device"]), token(exp=end, color="blue"))
    assert answer == Identity("c", "ada", frozenset({"device"}), "10.0.0.1")
    assert answer.expires_at == end
    assert answer.attributes["claims"]["color"] == "blue"


@pytest.mark.parametrize("algorithm", KEYS)
async def test_each_kind_of_public_key_is_taken(plugin, algorithm):
    one = plugin(algorithms=[algorithm], public_key_file=pem(KEYS[algorithm]))
    assert (await login(one, token(algorithm, KEYS[algorithm]))).username == "ada"
    assert await login(one, token(algorithm, OTHERS[algorithm])) == BAD_USER_NAME_OR_PASSWORD


async def test_a_certificate_is_a_public_key_too(plugin):
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("login.example", key_type=trustme.KeyType.ECDSA)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    one = plugin(algorithms=["ES256"], public_key_file=issued.cert_chain_pems[0].bytes())
    assert (await login(one, token("ES256", key))).username == "ada"


@pytest.mark.parametrize(
    "password", [None, b"", b"correct", b"a.b", b"a.b.c", b"a.b.c.d", b"\xff.\xff.\xff", b"..", b"." * 20_000]
)
async def test_what_is_no_token_is_left_to_others(plugin, password):
    assert await login(plugin(), password, "ada") is None


async def test_an_expired_token_is_refused_and_said_to_be(plugin):
    one = plugin()
    answer = one.mombroker_authenticate(request(token(exp=time.time() - 1)))
    assert (answer.reason, answer.message) == (BAD_USER_NAME_OR_PASSWORD, "the token has expired")


async def test_clocks_may_differ_as_far_as_is_set(plugin):
    one = plugin(leeway=60)
    end = int(time.time()) - 1
    assert (await login(one, token(exp=end))).expires_at == end + 60
    assert await login(one, token(exp=time.time() - 120)) == BAD_USER_NAME_OR_PASSWORD


@pytest.mark.parametrize(
    "claims",
    [
        {"nbf": time.time() + 3600},
        {"iat": time.time() + 3600},
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": float("inf")},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": ["ada"]},
        {"aud": "somebody"},
    ],
)
async def test_a_token_that_is_not_good_now_or_names_nobody_is_refused(plugin, claims):
    text = jwt.api_jws.encode(json.dumps({"sub": "ada", "exp": time.time() + 60, **claims}).encode(), SECRET, "HS256")
    assert await login(plugin(), text) == BAD_USER_NAME_OR_PASSWORD


async def test_a_token_without_an_end_is_refused_unless_that_is_set(plugin):
    endless = jwt.encode({"sub": "ada"}, SECRET, "HS256")
    assert await login(plugin(), endless) == BAD_USER_NAME_OR_PASSWORD
    assert (await login(plugin(require_expiry=False), endless)).expires_at == 0.0


async def test_a_wrong_key_is_refused(plugin, log):
    assert await login(plugin(), token(key=SECRET[::-1])) == BAD_USER_NAME_OR_PASSWORD
    assert log.lines == [("token refused", {"client_id": "c", "address": "10.0.0.1", "why": "InvalidSignatureError"})]


async def test_a_changed_token_is_refused(plugin):
    header, _, signature = token().split(".")
    other = encoded({"sub": "admin", "exp": time.time() + 60})
    assert await login(plugin(), f"{header}.{other}.{signature}") == BAD_USER_NAME_OR_PASSWORD


@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_an_unsigned_token_is_refused(plugin, none, signature):
    text = forged({"alg": none}, {"sub": "ada", "exp": time.time() + 60}) + signature
    for one in (plugin(), plugin(algorithms=["RS256"], public_key_file=pem(KEYS["RS256"]))):
        assert await login(one, text) == BAD_USER_NAME_OR_PASSWORD


async def test_another_algorithm_than_those_allowed_is_refused_although_the_key_is_right(plugin):
    assert await login(plugin(), token("HS512")) == BAD_USER_NAME_OR_PASSWORD
    one = plugin(algorithms=["RS512"], public_key_file=pem(KEYS["RS256"]))
    assert await login(one, token("RS256", KEYS["RS256"])) == BAD_USER_NAME_OR_PASSWORD
    assert (await login(one, token("RS512", KEYS["RS256"]))).username == "ada"


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("header", ["HS256", "RS256"])
async def test_a_public_key_is_never_taken_for_a_secret(plugin, algorithm, header):
    public = pem(KEYS[algorithm])
    one = plugin(algorithms=[algorithm, "RS256"], public_key_file=public)
    two = plugin(algorithms=[algorithm], jwks_file=json.dumps({"keys": [jwk(algorithm, "k")]}).encode())
    for secret in (public, public.rstrip(), json.dumps(jwk(algorithm, "k")).encode()):
        text = forged({"alg": header, "kid": "k"}, {"sub": "ada", "exp": time.time() + 60}, secret)
        assert await login(one, text) == BAD_USER_NAME_OR_PASSWORD
        assert await login(two, text) == BAD_USER_NAME_OR_PASSWORD


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}])
async def test_a_token_that_wants_what_is_not_understood_is_not_let_in(plugin, header):
    text = jwt.encode({"sub": "ada", "exp": time.time() + 60}, SECRET, "HS256", {"crit": ["exp"]})
    assert await login(plugin(), text) in (None, BAD_USER_NAME_OR_PASSWORD)
    text = forged({"alg": "HS256", **header}, {"sub": "ada", "exp": time.time() + 60}, SECRET)
    assert await login(plugin(), text) in (None, BAD_USER_NAME_OR_PASSWORD)


async def test_a_token_must_be_for_us_and_from_whom_we_believe(plugin):
    one = plugin(issuer="https://login.example", audience="mqtt")
    right = {"iss": "https://login.example", "aud": ["other", "mqtt"]}
    assert (await login(one, token(**right))).username == "ada"
    for wrong in ({"aud": "other"}, {"aud": []}, {"aud": None}, {"iss": "https://evil.example"}, {"iss": None}):
        claims = {name: value for name, value in {**right, **wrong}.items() if value is not None}
        assert await login(one, token(**claims)) == BAD_USER_NAME_OR_PASSWORD


async def test_the_username_of_the_connect_must_be_that_of_the_token_unless_it_does_not_matter(plugin):
    one = plugin()
    for name in (None, "", "ada"):
        assert (await login(one, token(), name)).username == "ada"
    assert await login(one, token(), "bob") == BAD_USER_NAME_OR_PASSWORD
    assert (await login(plugin(check_username=False), token(), "bob")).username == "ada"


async def test_the_token_may_be_the_username(plugin):
    one = plugin(sent_as="username")
    assert (await login(one, b"unused", token())).username == "ada"
    assert await login(one, token(), "ada") is None
    assert await login(one, None, token(key=SECRET[::-1])) == BAD_USER_NAME_OR_PASSWORD


async def test_the_client_identifier_must_be_the_one_in_the_token_if_that_is_set(plugin):
    one = plugin(client_id_claim="device.id")
    assert (await login(one, token(device={"id": "c"}))).client_id == "c"
    for claims in ({"device": {"id": "d"}}, {"device": {}}, {"device": "c"}, {}):
        assert await login(one, token(**claims)) == CLIENT_IDENTIFIER_NOT_VALID
    assert (await login(one, token(), client_id="http:ada", version=0)).username == "ada"


async def test_name_and_roles_come_from_the_claims_that_are_set(plugin):
    one = plugin(username_claim="https://x.example/name", roles_claim="realm.roles", roles=["all"])
    answer = await login(one, token(**{"https://x.example/name": "bob", "realm": {"roles": ["a", "b"]}}))
    assert (answer.username, answer.roles) == ("bob", {"all", "a", "b"})
    words = await login(plugin(roles_claim="scope"), token(scope="read write"))
    assert words.roles == {"read", "write"}
    assert (await login(plugin(roles_claim="scope"), token())).roles == frozenset()
    assert await login(plugin(roles_claim="scope"), token(scope=[1])) == BAD_USER_NAME_OR_PASSWORD


async def test_a_token_says_where_its_bearer_may_publish_and_subscribe(plugin):
    one = plugin(publish_claim="pub", subscribe_claim="sub_to")
    ada = await login(one, token(pub=["a/+", "b"], sub_to="a/# c"))

    def may(action, resource, identity=ada):
        return one.mombroker_authorize(identity, action, resource)

    assert [may("publish", topic) for topic in ("a/1", "b", "a/1/2", "c")] == [True, True, False, False]
    assert [may("subscribe", topic) for topic in ("a/#", "a/1/+", "$share/g/c", "#", "b", "$share/g/b")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert [may("receive", topic) for topic in ("a", "a/b/c", "b")] == [True, True, False]
    assert [may("read", "queue:a"), may("admin", "broker")] == [None, None]
    nobody = await login(one, token())
    assert [may("publish", "a/1", nobody), may("subscribe", "c", nobody)] == [False, False]
    assert may("publish", "z", Identity("x", "of another plugin")) is None
    assert await login(one, token(pub=["a/#/b"])) == BAD_USER_NAME_OR_PASSWORD


async def test_without_such_claims_a_token_has_no_opinion_on_topics(plugin):
    one = plugin()
    assert one.mombroker_authorize(await login(one, token(pub=["a"])), "publish", "b") is None
    only = plugin(publish_claim="pub")
    assert only.mombroker_authorize(await login(only, token(pub=["a"])), "subscribe", "b") is None


async def test_a_will_on_a_topic_that_the_token_does_not_allow_is_refused(plugin):
    one = plugin(publish_claim="pub")
    assert (await login(one, token(pub=["a"]), will_topic="a")).username == "ada"
    assert await login(one, token(pub=["a"]), will_topic="b") == NOT_AUTHORIZED


async def test_a_key_set_gives_each_token_its_key(plugin):
    keys = [jwk("RS256", "r"), jwk("ES256", "e", alg="ES256"), jwk("EdDSA", "d", use="sig"), {"kty": "none"}, 7]
    one = plugin(algorithms=["RS256", "ES256", "EdDSA"], jwks_file=json.dumps({"keys": keys}).encode())
    for algorithm, kid in (("RS256", "r"), ("ES256", "e"), ("EdDSA", "d"), ("RS256", None)):
        assert (await login(one, token(algorithm, KEYS[algorithm], kid))).username == "ada"
    assert await login(one, token("RS256", KEYS["RS256"], "e")) == BAD_USER_NAME_OR_PASSWORD
    assert await login(one, token("RS256", KEYS["RS256"], "unknown")) == BAD_USER_NAME_OR_PASSWORD


def test_keys_of_a_set_that_are_not_for_this_are_left_out():
    allowed = frozenset({"RS256", "ES256"})
    good = jwk("RS256", "good")
    private = jwt.get_algorithm_by_name("RS256").to_jwk(KEYS["RS256"], as_dict=True)
    small = jwk("RS256", "small", rsa.generate_private_key(65537, 1024))
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode(), "kid": "secret"}
    bad = [
        secret,
        private,
        small,
        jwk("EdDSA", "d"),
        {**good, "use": "enc"},
        {**good, "key_ops": ["encrypt"]},
        {**good, "alg": "RS512"},
        {**good, "alg": 7},
        {**good, "n": "!"},
        {"kty": "EC", "crv": "P-999"},
    ]
    assert [key.id for key in jwks_keys(json.dumps({"keys": [*bad, good]}).encode(), allowed)] == ["good"]
    for entry in bad:
        with pytest.raises(KeyProblem, match="no public key"):
            jwks_keys(json.dumps({"keys": [entry]}).encode(), allowed)


@pytest.fixture
def published():
    """A server with a key set that the test changes."""
    keys = {"keys": [jwk("RS256", "first")]}
    state = {"status": 200, "body": json.dumps(keys).encode()}
    server = WebServer(lambda *_: (state["status"], state["body"]))
    server.state = state
    yield server
    server.close()


def clock_of(plugin, monkeypatch):
    """The clock of a plugin's keys, as a list that the test sets."""
    now = [1000.0]
    monkeypatch.setattr(plugin._checker._ring, "_clock", lambda: now[0])
    return now


async def test_keys_are_fetched_at_the_start_and_not_for_every_client(plugin, published):
    one = plugin(algorithms=["RS256"], jwks_url=published.url + "/keys", timeout=60)
    await one.mombroker_startup()
    for _ in range(3):
        assert (await login(one, token("RS256", KEYS["RS256"], "first"))).username == "ada"
    assert len(published.calls) == 1


async def test_an_unknown_key_is_asked_for_once_a_minute_at_the_most(plugin, published, monkeypatch):
    one = plugin(algorithms=["RS256"], jwks_url=published.url, timeout=60)
    now = clock_of(one, monkeypatch)
    await one.mombroker_startup()
    new = token("RS256", OTHERS["RS256"], "second")
    published.state["body"] = json.dumps({"keys": [jwk("RS256", "second", OTHERS["RS256"])]}).encode()
    for _ in range(3):
        assert await login(one, new) == BAD_USER_NAME_OR_PASSWORD
    assert len(published.calls) == 1
    now[0] += BETWEEN
    assert (await login(one, new)).username == "ada"
    assert await login(one, token("RS256", KEYS["RS256"], "first")) == BAD_USER_NAME_OR_PASSWORD
    assert len(published.calls) == 2


@pytest.mark.parametrize(
    "change", [{"status": 500}, {"body": b"oops"}, {"body": b'{"keys": []}'}, {"body": bytes(2 << 20)}]
)
async def test_old_keys_stay_when_new_ones_cannot_be_had(plugin, published, monkeypatch, log, change):
    one = plugin(algorithms=["RS256"], jwks_url=published.url, timeout=60)
    now = clock_of(one, monkeypatch)
    await one.mombroker_startup()
    published.state.update(change)
    now[0] += BETWEEN
    assert await login(one, token("RS256", OTHERS["RS256"], "second")) == BAD_USER_NAME_OR_PASSWORD
    assert len(published.calls) == 2
    assert (await login(one, token("RS256", KEYS["RS256"], "first"))).username == "ada"
    assert [event for event, _ in log.lines] == ["keys for tokens not read: the old ones stay", "token refused"]


async def test_a_broker_without_keys_tells_clients_to_come_back(plugin, published, monkeypatch):
    published.state["status"] = 503
    one = plugin(algorithms=["RS256"], jwks_url=published.url, timeout=60)
    now = clock_of(one, monkeypatch)
    await one.mombroker_startup()
    good = token("RS256", KEYS["RS256"], "first")
    assert await login(one, good) == SERVER_UNAVAILABLE
    assert await login(one, b"no token") is None
    published.state["status"] = 200
    now[0] += BETWEEN
    assert (await login(one, good)).username == "ada"


async def test_keys_are_read_anew_after_a_while_without_anybody_waiting_for_it(plugin, tmp_path, monkeypatch):
    one = plugin(algorithms=["ES256"], public_key_file=pem(KEYS["ES256"]), refresh_seconds=100)
    ring = one._checker._ring
    now = [ring._read_at]
    monkeypatch.setattr(ring, "_clock", lambda: now[0])
    (tmp_path / "public_key_file").write_bytes(pem(OTHERS["ES256"]))
    new = token("ES256", OTHERS["ES256"])
    now[0] += 99
    assert await login(one, new) == BAD_USER_NAME_OR_PASSWORD
    assert ring._reading is None
    now[0] += 1
    assert await login(one, new) == BAD_USER_NAME_OR_PASSWORD
    await ring._reading
    assert (await login(one, new)).username == "ada"


async def test_a_key_server_is_asked_over_tls_with_an_authority_of_ones_own(plugin, tmp_path, log):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    body = json.dumps({"keys": [jwk("RS256", "first")]}).encode()
    with contextlib.closing(WebServer(lambda *_: (200, body), server_context(tmp_path / "server.pem"))) as server:
        options = {"algorithms": ["RS256"], "jwks_url": server.url, "timeout": 60}
        one = plugin(**options, jwks_ca=str(tmp_path / "ca.pem"))
        await one.mombroker_startup()
        assert (await login(one, token("RS256", KEYS["RS256"]))).username == "ada"
        stranger = plugin(**options)
        await stranger.mombroker_startup()
        assert await login(stranger, token("RS256", KEYS["RS256"])) == SERVER_UNAVAILABLE


async def test_whoever_gives_up_waiting_for_keys_takes_them_from_nobody(log):
    import asyncio
    import threading

    go = threading.Event()

    def load():
        assert go.wait(60)
        return (Key("k", b"", frozenset({"HS256"})),)

    ring = KeyRing(load, 300.0, log)
    impatient, patient = asyncio.create_task(ring.look_again()), asyncio.create_task(ring.look_again())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    go.set()
    assert await patient
    assert [key.id for key in ring.candidates(None, "HS256")] == ["k"]
    await ring.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithms": ["none"], "secret_file": SECRET}, "none"),
        ({"algorithms": [], "secret_file": SECRET}, "algorithms"),
        ({"secret_file": SECRET, "public_key_file": b""}, "say where the key is"),
        ({"secret_file": ""}, "say where the key is"),
        ({"algorithms": ["HS256", "RS256"], "secret_file": SECRET}, "never taken for a secret"),
        ({"algorithms": ["HS256"], "public_key_file": pem(KEYS["RS256"])}, "never taken for a secret"),
        ({"algorithms": ["HS256"], "jwks_url": "https://login.example/"}, "never taken for a secret"),
        ({"algorithms": ["RS256"], "secret_file": SECRET}, "never taken for a secret"),
        ({"algorithms": ["RS256"], "jwks_url": "http://login.example/"}, "not encrypted"),
        ({"algorithms": ["RS256"], "jwks_url": "https://x.example/", "jwks_ca": "/nowhere"}, "jwks_ca: /nowhere"),
        ({"secret_file": b"short"}, "too short: write at least 32 bytes"),
        ({"algorithms": ["HS512"], "secret_file": SECRET[:63]}, "at least 64 bytes"),
        ({"secret_file": pem(KEYS["RS256"])}, "PEM, which is no secret"),
        ({"secret_file": "/nowhere/secret"}, "secret_file: /nowhere/secret: No such file"),
        ({"algorithms": ["RS256"], "public_key_file": b"oops"}, "no public key and no certificate"),
        ({"algorithms": ["RS256"], "public_key_file": pem(KEYS["ES256"])}, "no public key for the algorithms"),
        ({"algorithms": ["RS256"], "jwks_file": b"[]"}, "no JSON Web Key Set"),
        ({"algorithms": ["RS256"], "jwks_file": b"oops"}, "no JSON Web Key Set"),
        ({"algorithms": ["RS256"], "jwks_file": bytes((1 << 20) + 1)}, "more than"),
    ],
)
async def test_settings_that_cannot_be_meant_are_refused(plugin, options, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        plugin(**options)
    assert SECRET.decode() not in str(refused.value)


def test_without_the_extra_the_error_says_what_to_install(make, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "jwt", None)
    monkeypatch.delitem(sys.modules, token_checking.__name__)
    with pytest.raises(PluginError, match=r"pip install 'mombroker\[jwt\]'"):
        make(JsonWebTokens, algorithms=["HS256"], secret_file=str(tmp_path / "secret"))
