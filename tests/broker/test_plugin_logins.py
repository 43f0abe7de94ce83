"""Whole brokers that a settings file gives a way to ask who clients are."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest
import scramp

from mombroker.broker import Broker
from mombroker.model.reasons import CONTINUE_AUTHENTICATION, NOT_AUTHORIZED, REAUTHENTICATE
from mombroker.mqtt import Auth, ConnAck, Connect, Disconnect
from mombroker.wiring.settings import load_settings
from mombroker_plugins.scram_verifiers import verifier_of
from mombroker_plugins.user_records import UserRecords

from .client import TIMEOUT, Client, properties

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


class ScramUser:
    """A client that authenticates itself with SCRAM."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.final = b""

    async def authenticate(self, password: str, again: bool = False) -> int:
        """Go through an exchange and return the reason that it ends with."""
        scram = scramp.ScramClient(["SCRAM-SHA-256"], "ada", password)
        first = properties(auth_method="SCRAM-SHA-256", auth_data=str(scram.get_client_first()).encode())
        self.client.send(Auth(REAUTHENTICATE, first) if again else Connect("c", 5, True, 0, None, None, None, first))
        challenge = await self.client.expect(Auth)
        assert challenge.properties is not None and challenge.properties.auth_data is not None
        scram.set_server_first(challenge.properties.auth_data.decode())
        self.final = str(scram.get_client_final()).encode()
        end = await self.prove(self.final)
        if end.reason == 0:
            assert not isinstance(end, Disconnect)
            assert end.properties is not None and end.properties.auth_data is not None
            scram.set_server_final(end.properties.auth_data.decode())
        return end.reason

    async def prove(self, final: bytes) -> ConnAck | Auth | Disconnect:
        """Send the last message, and return what comes."""
        proof = properties(auth_method="SCRAM-SHA-256", auth_data=final)
        self.client.send(Auth(CONTINUE_AUTHENTICATION, proof))
        end = await self.client.receive()
        assert isinstance(end, (ConnAck, Auth, Disconnect))
        return end


@pytest.fixture
async def scram(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker with the user ada, whose password is correct."""
    async with broker_of(tmp_path, "[plugins.scram]\niterations = 4096\n") as broker:
        records = UserRecords(broker.open_state("scram"))
        await records.add("ada", str(verifier_of("ada", b"correct", 4096)), ())
        yield broker


async def test_a_client_authenticates_itself_with_scram_and_does_so_again(scram: Broker):
    async with await Client.open(scram.port) as client:
        user = ScramUser(client)
        assert await user.authenticate("correct") == 0
        assert await user.authenticate("correct", again=True) == 0
        assert await client.publish("t", b"x", qos=1) in (0, 0x10)
        assert await user.authenticate("wrong", again=True) == NOT_AUTHORIZED
        await client.expect_eof()


async def test_scram_refuses_a_wrong_password_a_plain_one_and_a_replayed_proof(scram: Broker):
    async with await Client.open(scram.port) as client:
        user = ScramUser(client)
        assert await user.authenticate("correct") == 0
        heard = user.final
        start = properties(auth_method="SCRAM-SHA-256", auth_data=b"n,,n=ada,r=abc")
        client.send(Auth(REAUTHENTICATE, start))
        await client.expect(Auth)
        assert (await user.prove(heard)).reason == NOT_AUTHORIZED
    async with await Client.open(scram.port) as client:
        assert await ScramUser(client).authenticate("wrong") == NOT_AUTHORIZED
    async with await Client.open(scram.port) as client:
        assert (await client.connect("c", username="ada", password=b"correct")).reason == NOT_AUTHORIZED


async def test_a_web_server_decides_who_comes_in_and_where_they_publish(tmp_path: Path):
    questions: list[dict[str, object]] = []

    async def decide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        question = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
        questions.append(question)
        good = question["password"] == "correct" if "password" in question else question["resource"] == "good"
        body = json.dumps({"result": "allow" if good else "deny"}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(decide, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = f'[plugins.webhook]\nauthenticate_url = "{url}"\nauthorize_url = "{url}"\n'
        async with broker_of(tmp_path, settings) as broker:
            async with await Client.connected(broker.port, username="ada", password=b"correct") as client:
                assert await client.publish("good", qos=1) in (0, 0x10)
                assert await client.publish("bad", qos=1) == NOT_AUTHORIZED
            async with await Client.open(broker.port) as client:
                assert (await client.connect(username="ada", password=b"wrong")).reason == NOT_AUTHORIZED
    assert [question.get("resource") for question in questions] == [None, "good", "bad", None]
