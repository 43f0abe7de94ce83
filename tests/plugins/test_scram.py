"""The plugin scram: whoever knows the password is let in, and nobody learns anything else."""

import asyncio
import contextlib
import sys

import click
import pytest
import scramp
from click.testing import CliRunner

from mombroker.hooks import AuthContinue, AuthDone, ConnectRequest
from mombroker.model import Identity, Refusal
from mombroker.model.errors import PluginError
from mombroker.model.reasons import NOT_AUTHORIZED
from mombroker_plugins.scram import DECOY_KEY, Scram
from mombroker_plugins.scram_verifiers import MECHANISM, made_up, parse_verifier, verifier_of
from mombroker_plugins.user_records import UserError, UserRecords

ITERATIONS = 4096


@pytest.fixture
async def plugin(make, state):
    """The plugin, with the user ada whose password is correct."""
    await UserRecords(state).add("ada", str(verifier_of("ada", b"correct", ITERATIONS)), ("admin",))
    made = make(Scram, iterations=ITERATIONS)
    await made.mombroker_startup()
    return made


class Client:
    """A client's side of one exchange with the plugin."""

    def __init__(self, plugin, name="ada", password="correct", username=None):
        self.scram = scramp.ScramClient([MECHANISM], name, password)
        request = ConnectRequest("c", username, None, 5, "10.0.0.1")
        self.exchange = plugin.mombroker_enhanced_authentication(MECHANISM, request)

    async def challenge(self):
        """What the broker answers to the first message; the client has heard it."""
        answer = await self.exchange.step(self.scram.get_client_first().encode())
        if isinstance(answer, AuthContinue):
            self.scram.set_server_first(answer.data.decode())
        return answer

    async def run(self):
        """The verdict."""
        answer = await self.challenge()
        if isinstance(answer, AuthContinue):
            answer = await self.exchange.step(self.scram.get_client_final().encode())
        return answer


async def test_whoever_knows_the_password_is_let_in_and_gets_a_proof_in_return(plugin):
    client = Client(plugin)
    done = await client.run()
    assert isinstance(done, AuthDone)
    assert done.identity == Identity("c", "ada", frozenset({"admin"}), "10.0.0.1")
    client.scram.set_server_final(done.data.decode())  # raises if it proves nothing


def test_another_method_is_left_to_others(make):
    request = ConnectRequest("c", None, None, 5, "10.0.0.1")
    for method in ("SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "scram-sha-256", ""):
        assert make(Scram).mombroker_enhanced_authentication(method, request) is None


@pytest.mark.parametrize("who", [("ada", "wrong"), ("eve", "correct"), ("Ada", "correct")])
async def test_anybody_else_is_refused_in_the_same_words(plugin, who):
    answer = await Client(plugin, *who).run()
    assert answer == Refusal(NOT_AUTHORIZED, "the proof is not valid")


async def test_an_unknown_user_looks_like_one_who_is_there(plugin, make, log):
    def parts(answer):
        return dict(part.split("=", 1) for part in answer.data.decode().split(","))

    known, first, again, other = [
        parts(await Client(plugin, name).challenge()) for name in ("ada", "eve", "eve", "mallory")
    ]
    assert {*known} == {*first} == {"r", "s", "i"}
    assert known["i"] == first["i"] and len(known["s"]) == len(first["s"])
    assert first["s"] == again["s"] != other["s"]
    restarted = make(Scram, iterations=ITERATIONS)
    await restarted.mombroker_startup()
    assert parts(await Client(restarted, "eve").challenge())["s"] == first["s"]


async def test_the_secret_behind_made_up_salts_is_kept_and_is_no_user(plugin, state):
    assert len(state[DECOY_KEY]) == 32
    assert [name for name, _ in await UserRecords(state).all()] == ["ada"]
    assert made_up(b"1", "eve", 4096) != made_up(b"2", "eve", 4096)


async def test_a_proof_that_was_overheard_is_worth_nothing_in_another_exchange(plugin):
    heard = Client(plugin)
    first = heard.scram.get_client_first().encode()
    heard.scram.set_server_first((await heard.exchange.step(first)).data.decode())
    final = heard.scram.get_client_final().encode()
    assert isinstance(await heard.exchange.step(final), AuthDone)

    replayed = Client(plugin).exchange
    assert isinstance(await replayed.step(first), AuthContinue)
    assert isinstance(await replayed.step(final), Refusal)


async def test_an_exchange_has_one_end(plugin):
    client = Client(plugin)
    await client.challenge()
    final = client.scram.get_client_final().encode()
    assert isinstance(await client.exchange.step(final), AuthDone)
    assert isinstance(await client.exchange.step(final), Refusal)
    guesser = Client(plugin)
    await guesser.challenge()
    assert isinstance(await guesser.exchange.step(final), Refusal)
    assert isinstance(await guesser.exchange.step(guesser.scram.get_client_final().encode()), Refusal)


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"\xff",
        b"hello",
        b"n,,",
        b"n,,n=ada",
        b"n,,r=abc",
        b"n,,n=,r=abc",
        b"n,,n=a=x,r=abc",
        b"n,a=admin,n=ada,r=abc",
        b"p=tls-unique,,n=ada,r=abc",
        b"n,,m=x,n=ada,r=abc",
        b"n,,n=ada,r=" + b"x" * 5000,
        b"c=biws,r=abc,p=abc",
    ],
)
async def test_a_first_message_that_is_none_is_refused(plugin, data):
    assert await Client(plugin).exchange.step(data) == Refusal(NOT_AUTHORIZED, "the proof is not valid")


@pytest.mark.parametrize("data", [None, b"", b"\xff", b"c=biws", b"c=biws,r=abc,p=abc", b"n,,n=ada,r=abc"])
async def test_a_second_message_that_is_none_is_refused(plugin, data):
    client = Client(plugin)
    await client.challenge()
    assert await client.exchange.step(data) == Refusal(NOT_AUTHORIZED, "the proof is not valid")


async def test_the_username_of_the_connect_may_be_the_same_and_no_other(plugin):
    assert isinstance(await Client(plugin, username="ada").run(), AuthDone)
    assert isinstance(await Client(plugin, username="").run(), AuthDone)
    assert isinstance(await Client(plugin, username="bob").run(), Refusal)


async def test_a_changed_password_and_a_removed_user_count_at_once(plugin, state):
    await UserRecords(state).set_hash("ada", str(verifier_of("ada", b"new", ITERATIONS)))
    assert isinstance(await Client(plugin).run(), Refusal)
    assert isinstance(await Client(plugin, password="new").run(), AuthDone)
    await UserRecords(state).remove("ada")
    assert isinstance(await Client(plugin, password="new").run(), Refusal)


@pytest.mark.parametrize("hash", ["", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$eA", "SCRAM-SHA-256$4096:c2FsdA==$eA==:eA=="])
async def test_a_damaged_record_keeps_its_user_out_and_is_logged(plugin, state, log, hash):
    await UserRecords(state).set_hash("ada", hash)
    assert isinstance(await Client(plugin).run(), Refusal)
    assert log.lines[0][0] == "user cannot log in"


async def test_nothing_readable_is_kept_or_logged(plugin, state, log):
    await Client(plugin, password="wrong").run()
    assert b"correct" not in b"".join(state.values())
    assert b'"hash":"SCRAM-SHA-256$4096:' in state[b"ada"]
    assert "stored_key" not in repr(parse_verifier((await UserRecords(state).get("ada")).hash))


def test_a_verifier_is_that_of_the_standard():
    # RFC 7677, section 3: the user "user" with the password "pencil".
    import base64

    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    _, stored, server, _ = scramp.ScramMechanism(MECHANISM).make_auth_info("pencil", 4096, salt)
    kept = parse_verifier(
        f"{MECHANISM}$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        f"${base64.b64encode(stored).decode()}:{base64.b64encode(server).decode()}"
    )
    scram = scramp.ScramMechanism(MECHANISM).make_server(
        lambda name: (kept.salt, kept.stored_key, kept.server_key, kept.iterations),
        s_nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    )
    scram.set_client_first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert str(scram.get_server_first()) == (
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    scram.set_client_final(
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert str(scram.get_server_final()) == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.fixture
def run(state):
    """Runs a command line and returns what it printed; raises what it raised."""

    class Context:
        @contextlib.contextmanager
        def plugin_state(self, name):
            assert name == "scram"
            yield state

    def run(*arguments, stdin="secret\n"):
        group = click.Group()
        Scram.mombroker_cli(cli=group)
        result = CliRunner().invoke(group, ["scram", *arguments], input=stdin, obj=Context(), standalone_mode=False)
        if result.exception:
            raise result.exception
        return result.output

    return run


FEW = ("--iterations", "4096", "--password-stdin")


def test_users_are_added_changed_listed_and_removed(run, state):
    assert run("add", "ada", "--role", "admin", *FEW) == "added the user ada\n"
    before = asyncio.run(UserRecords(state).get("ada")).hash
    assert parse_verifier(before).iterations == 4096
    assert run("password", "ada", *FEW) == "changed the password of ada\n"
    assert asyncio.run(UserRecords(state).get("ada")).hash != before
    assert run("roles", "ada", "--role", "staff") == "ada has the roles staff\n"
    assert run("list").startswith("ada\tstaff\t20")
    assert run("remove", "ada") == "removed the user ada\n"
    assert run("list") == ""


def test_what_cannot_be_done_is_said_with_the_right_command(run):
    with pytest.raises(UserError, match="mombroker scram list"):
        run("password", "ada", *FEW)
    run("add", "ada", *FEW)
    with pytest.raises(UserError, match="mombroker scram password ada"):
        run("add", "ada", *FEW)
    with pytest.raises(UserError, match="password is empty"):
        run("add", "bob", *FEW, stdin="\n")
    with pytest.raises(UserError, match="as ada: add the user by that name"):
        run("add", "\u00aada", *FEW)
    with pytest.raises(click.BadParameter):
        run("add", "bob", "--iterations", "4095", "--password-stdin")


def test_without_the_extra_the_error_says_what_to_install(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "scramp", None)
    with pytest.raises(PluginError, match=r"pip install 'mombroker\[scram\]'"):
        make(Scram)
