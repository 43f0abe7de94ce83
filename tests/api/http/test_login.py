"""Who a request comes from, and from where it may come."""

import asyncio
import base64

import httpx
import pytest

from mombroker.api.http.guard import Guard
from mombroker.api.tokens import PER_USER, Tokens
from mombroker.operations.problems import Problem

from ..fake_native import Caller, Identity
from .conftest import client_of, problem_of

ANN = ("ann", "secret")


async def test_without_credentials_a_request_is_anonymous_if_the_broker_allows_it(http, native):
    assert (await http.get("/v1/grants")).status_code == 200
    assert native.calls[0][0].identity.username is None
    assert (native.calls[0][0].identity.address, native.calls[0][0].transport) == ("127.0.0.1", "http")
    native.anonymous = False
    response = await http.get("/v1/grants")
    assert (response.status_code, problem_of(response)["code"]) == (401, "not-logged-in")
    assert response.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("auth", [ANN, ("bob", "s\u00e4fe".encode())])
async def test_a_user_logs_in_with_basic(http, native, auth):
    assert (await http.get("/v1/grants", auth=auth)).status_code == 200
    assert native.calls[0][0].identity.username == auth[0]


@pytest.mark.parametrize(
    "given",
    [
        "Basic " + base64.b64encode(b"ann:wrong").decode(),
        "Basic " + base64.b64encode(b"mallory:secret").decode(),
        "Basic " + base64.b64encode(b"ann").decode(),
        "Basic " + base64.b64encode(b":secret").decode(),
        "Basic " + base64.b64encode(b"\xff:secret").decode(),
        "Basic ****",
        "Basic",
        "Bearer nonsense",
        "Bearer",
        "Digest username=ann",
        "nonsense",
    ],
)
async def test_credentials_that_are_no_good_are_refused_although_anonymous_ones_are_let_in(http, native, given):
    response = await http.get("/v1/grants", headers={"authorization": given})
    assert (response.status_code, problem_of(response)["code"]) == (401, "not-logged-in")
    assert "www-authenticate" in response.headers
    assert native.calls == []


async def test_a_token_stands_for_the_user_until_it_is_revoked(http, native):
    response = await http.post("/v1/tokens", auth=ANN)
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["expires_in"] == 3600.0
    bearer = {"authorization": f"Bearer {response.json()['token']}"}
    assert (await http.get("/v1/grants", headers=bearer)).status_code == 200
    assert native.calls[-1][0].identity.username == "ann"
    assert native.logins == ["ann"]
    assert (await http.delete("/v1/tokens/current", headers=bearer)).status_code == 204
    assert (await http.get("/v1/grants", headers=bearer)).status_code == 401
    assert (await http.delete("/v1/tokens/current", headers=bearer)).status_code == 401


async def test_a_token_is_not_given_for_a_token_nor_to_nobody(http):
    token = (await http.post("/v1/tokens", auth=ANN)).json()["token"]
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        assert (await http.post("/v1/tokens", headers=headers)).status_code == 401
    assert (await http.delete("/v1/tokens/current", auth=ANN)).status_code == 401


def test_a_token_runs_out():
    now = [100.0]
    tokens = Tokens(10.0, lambda: now[0])
    caller = Caller(Identity("http:ann", "ann"), "http")
    token = tokens.issue(caller, "ann")
    now[0] = 109.9
    assert tokens.find(token) is caller
    now[0] = 110.0
    assert tokens.find(token) is None
    assert not tokens.revoke(token)


def test_a_token_does_not_outlive_the_login_that_it_was_given_for():
    now, date = [100.0], [1_700_000_000.0]
    tokens = Tokens(10.0, lambda: now[0], lambda: date[0])
    caller = Caller(Identity("http:ann", "ann", expires_at=1_700_000_004.0), "http")
    assert tokens.lifetime_for(caller) == 4.0
    first, second = tokens.issue(caller, "ann"), tokens.issue(caller, "ann")
    date[0] += 4.0
    assert tokens.find(first) is None
    now[0] = 104.0
    assert not tokens.revoke(second)
    unlimited = Caller(Identity("http:ann", "ann"), "http")
    assert tokens.lifetime_for(unlimited) == 10.0


def test_the_oldest_token_of_a_user_gives_way_and_others_keep_theirs():
    tokens = Tokens(10.0, lambda: 0.0)
    caller = Caller(Identity("http:ann", "ann"), "http")
    others = tokens.issue(caller, "bob")
    first = tokens.issue(caller, "ann")
    second, *_ = [tokens.issue(caller, "ann") for _ in range(PER_USER)]
    assert tokens.find(first) is None
    assert tokens.find(second) is caller and tokens.find(others) is caller


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example"},
        {"host": "evil.example:8080"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "10.0.0.1"},
    ],
)
async def test_a_page_of_another_site_cannot_use_the_api_through_a_browser(http, native, headers):
    for method, path in (("POST", "/v1/topics/a"), ("GET", "/v1/queues/q/stream"), ("DELETE", "/v1/queues/q")):
        response = await http.request(method, path, headers=headers)
        assert (response.status_code, problem_of(response)["code"]) == (403, "forbidden")
    assert native.logins == []
    assert "access-control-allow-origin" not in response.headers


async def test_the_brokers_own_page_can_use_the_api(http, server):
    own = f"127.0.0.1:{server.ports[0]}"
    for headers in ({"origin": f"http://{own}"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
        assert (await http.post("/v1/topics/a", headers=headers)).status_code == 200
    for host in ("localhost:99", "LOCALHOST", "127.0.0.9:1", "[::1]:1"):
        assert (await http.get("/v1/grants", headers={"host": host})).status_code == 200


async def test_a_link_from_elsewhere_leads_to_the_documentation(http):
    assert (await http.get("/docs", headers={"sec-fetch-site": "cross-site"})).status_code == 200


async def test_a_proxy_in_front_may_use_its_own_name_if_that_is_set(serve):
    server = await serve(hosts=("mom.example",))
    async with client_of(server) as http:
        assert (await http.get("/v1/grants", headers={"host": "mom.example"})).status_code == 200
        assert (await http.get("/v1/grants", headers={"host": "evil.example"})).status_code == 403


def test_any_name_may_lead_to_an_address_that_others_can_reach():
    scope = {"type": "http", "path": "/v1/x", "headers": [(b"host", b"mom.example")]}
    Guard(()).check({**scope, "server": ("192.0.2.7", 80)})
    with pytest.raises(Problem, match="no name of this machine"):
        Guard(()).check({**scope, "server": ("127.0.0.1", 80)})


async def test_requests_at_the_same_time_keep_their_callers_apart(server, native):
    async with client_of(server) as http:
        users = [ANN, ("bob", "s\u00e4fe".encode())] * 20
        responses: list[httpx.Response] = await asyncio.gather(
            *(
                http.put(f"/v1/grants/{number}/p", json={"rights": ["read"]}, auth=user)
                for number, user in enumerate(users)
            )
        )
        assert {response.status_code for response in responses} == {204}
    owners = {int(user): grant.owner for (user, _), grant in native.grants.items()}
    assert owners == {number: user[0] for number, user in enumerate(users)}


def test_all_tokens_of_a_user_end_at_once_and_others_keep_theirs():
    tokens = Tokens(10.0, lambda: 0.0)
    anns = [tokens.issue(Caller(Identity("http:ann", "ann"), "http"), "ann") for _ in range(2)]
    bobs = tokens.issue(Caller(Identity("http:bob", "bob"), "http"), "bob")
    tokens.revoke_user("ann")
    assert [tokens.find(token) for token in anns] == [None, None]
    assert tokens.find(bobs) is not None
