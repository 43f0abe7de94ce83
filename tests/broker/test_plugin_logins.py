"""Whole brokers that a settings file gives a way to ask who clients are."""

import time
from pathlib import Path

import httpx
import jwt
import pytest

from mombroker.broker import Broker
from mombroker.model.reasons import NOT_AUTHORIZED
from mombroker.mqtt import Disconnect
from mombroker.wiring.settings import load_settings

from .client import TIMEOUT, Client

SECRET = b"0123456789abcdef" * 2
BROKER = """
[mqtt]
listen = ["127.0.0.1:0"]
[http]
listen = "127.0.0.1:0"
[storage]
durability = "memory"
"""


def broker_of(folder: Path, settings: str) -> Broker:
    """A broker with these settings added to a file."""
    file = folder / "mombroker.toml"
    file.write_text(BROKER + settings)
    return Broker(load_settings(file))


@pytest.fixture
def tokens(tmp_path: Path) -> Broker:
    (tmp_path / "secret").write_bytes(SECRET)
    return broker_of(tmp_path, f'[plugins.jwt]\nalgorithms = ["HS256"]\nsecret_file = "{tmp_path}/secret"\n')


def token(seconds: float) -> bytes:
    return jwt.encode({"sub": "ada", "exp": time.time() + seconds}, SECRET, "HS256").encode()


@pytest.mark.parametrize("version", [4, 5])
async def test_a_client_is_let_in_with_a_token_and_disconnected_when_it_expires(tokens: Broker, version: int):
    async with tokens as broker:
        # On a slow machine a short-lived token may have expired before it is seen: then one that lives longer will do.
        for seconds in (2, 8, 40):
            async with await Client.open(broker.port, version) as client:
                if (await client.connect("c", username="ada", password=token(seconds))).reason:
                    continue
                if version == 5:
                    assert (await client.expect(Disconnect)).reason == NOT_AUTHORIZED
                await client.expect_eof()
                return
        pytest.fail("no token was good for long enough")


async def test_a_token_logs_in_over_http_and_its_bearer_token_dies_with_it(tokens: Broker):
    async with tokens as broker:
        url = f"http://127.0.0.1:{broker.http_port}"
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, trust_env=False) as http:
            given = await http.post("/v1/tokens", auth=("ada", token(100)))
            assert given.status_code == 201 and given.json()["expires_in"] <= 100
            bearer = {"authorization": f"Bearer {given.json()['token']}"}
            assert (await http.get("/v1/queues", headers=bearer)).status_code == 200
            assert (await http.get("/v1/queues", auth=("ada", token(-1)))).status_code == 401
            assert (await http.get("/v1/queues", auth=("bob", token(100)))).status_code == 401
