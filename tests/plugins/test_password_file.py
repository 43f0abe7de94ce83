"""The plugin password_file: what mosquitto_passwd writes is taken, and nothing weaker."""

import asyncio
import base64
import hashlib
import os
import shutil
import subprocess
import threading

import pytest
from argon2 import PasswordHasher

from mombroker.model import Identity
from mombroker.model.errors import ConfigurationError
from mombroker.model.reasons import BAD_USER_NAME_OR_PASSWORD
from mombroker_plugins.password_file import PasswordFile
from mombroker_plugins.password_lines import Hash

# Written by mosquitto_passwd 2.0.11.
ADA = (
    "ada:$7$101$xgVayO6hAy6VBtmj"
    "$ooqZZpnKKr+d4D4NtJ/vGn65AfiNxedtfflOe+IZEzguJBDRXdVEax1/OwGCHeJyV2OV0nV0yMEFunOYxL66gw=="
)
BOB = "bob:$6$2Lu25RnVMufTGAQQ$uOvUJDWDt1gJle4sKgWdCpN7onxHB3sOdGLR4JviNHzxfQ/4Ln3Kia92+rniRiStuJ5AC5kuEsV46YgbmKidlA=="


def line(name, password):
    digest = hashlib.pbkdf2_hmac("sha512", password, b"salt", 5)
    return f"{name}:$7$5${base64.b64encode(b'salt').decode()}${base64.b64encode(digest).decode()}"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "passwords"
    path.write_text(f"# ours\n\n{ADA}\n{BOB}\n")
    return path


@pytest.fixture
def plugin(make, file):
    """``plugin(...)`` is the plugin with the users ada, whose password is correct, and bob, whose is s3cret."""
    made = []

    def plugin(**options):
        made.append(make(PasswordFile, path=str(file), **options))
        return made[-1]

    yield plugin
    for one in made:
        one.mombroker_shutdown()


@pytest.fixture
def counted(monkeypatch):
    """Counts which hashes were checked the slow way."""
    checked = []
    slow = Hash.matches

    def matches(self, password):
        checked.append(self)
        return slow(self, password)

    monkeypatch.setattr(Hash, "matches", matches)
    return checked


async def login(plugin, connect, *credentials):
    answer = await plugin.mombroker_authenticate(connect(*credentials))
    return answer if answer is None or isinstance(answer, Identity) else answer.reason


def rewrite(file, text):
    """Write the file so that its time differs, however coarse the clock of the file system is."""
    before = file.stat().st_mtime_ns
    file.write_text(text)
    os.utime(file, ns=(before + 1_000_000_000, before + 1_000_000_000))


@pytest.mark.parametrize("credentials", [("ada", b"correct"), ("bob", b"s3cret")])
async def test_the_right_password_lets_a_user_in(plugin, connect, credentials):
    assert await login(plugin(), connect, *credentials) == Identity("c", credentials[0], address="127.0.0.1")


async def test_roles_are_those_of_all_and_those_of_the_user(plugin, connect):
    one = plugin(roles=["staff"], user_roles={"ada": ["admin"], "bob": []})
    assert (await login(one, connect, "ada", b"correct")).roles == {"staff", "admin"}
    assert (await login(one, connect, "bob", b"s3cret")).roles == {"staff"}


@pytest.mark.parametrize(
    "credentials",
    [
        ("ada", b"wrong"),
        ("ada", None),
        ("ada", b""),
        ("bob", b"correct"),
        ("eve", b"correct"),
        ("", b""),
        ("# ours", b""),
    ],
)
async def test_anything_else_is_refused_in_the_same_words(plugin, connect, credentials):
    assert await login(plugin(), connect, *credentials) == BAD_USER_NAME_OR_PASSWORD


async def test_a_client_without_a_username_is_left_to_others(plugin, connect):
    assert await login(plugin(), connect, None, None) is None


async def test_an_unknown_user_is_left_to_others_if_that_is_set(plugin, connect):
    one = plugin(unknown_users="pass")
    assert await login(one, connect, "eve", b"x") is None
    assert await login(one, connect, "ada", b"x") == BAD_USER_NAME_OR_PASSWORD


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(plugin, connect, counted):
    one = plugin()
    await login(one, connect, "eve", b"x")
    await login(one, connect, "ada", b"x")
    assert [hash.iterations for hash in counted] == [101, 101]


async def test_a_client_that_reconnects_is_recognised(plugin, connect, counted):
    one = plugin()
    for _ in range(3):
        assert isinstance(await login(one, connect, "ada", b"correct"), Identity)
    assert len(counted) == 1
    assert await login(one, connect, "ada", b"wrong") == BAD_USER_NAME_OR_PASSWORD


async def test_a_changed_file_counts_at_the_next_login(plugin, connect, file, log):
    one = plugin()
    assert isinstance(await login(one, connect, "ada", b"correct"), Identity)
    rewrite(file, line("ada", b"new") + "\n")
    assert await login(one, connect, "ada", b"correct") == BAD_USER_NAME_OR_PASSWORD
    assert isinstance(await login(one, connect, "ada", b"new"), Identity)
    assert await login(one, connect, "bob", b"s3cret") == BAD_USER_NAME_OR_PASSWORD
    assert [event for event, _ in log.lines] == ["password file read again"]


async def test_a_file_that_another_takes_the_place_of_counts_even_with_the_same_time(plugin, connect, file):
    one = plugin()
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    other = file.with_name("other")
    other.write_text(line("ada", b"new"))
    os.utime(other, ns=times)
    other.replace(file)
    assert isinstance(await login(one, connect, "ada", b"new"), Identity)


async def test_a_file_without_users_lets_nobody_in(plugin, connect, file):
    one = plugin()
    rewrite(file, "")
    assert await login(one, connect, "ada", b"correct") == BAD_USER_NAME_OR_PASSWORD


@pytest.mark.parametrize("spoil", [lambda file: rewrite(file, "ada:correct\n"), lambda file: file.unlink()])
async def test_a_file_that_is_spoilt_later_keeps_the_old_users_and_is_logged_once(plugin, connect, file, log, spoil):
    one = plugin()
    spoil(file)
    for _ in range(3):
        assert isinstance(await login(one, connect, "ada", b"correct"), Identity)
    assert [event for event, _ in log.lines] == ["password file not read again: the old users stay"]
    assert "correct" not in str(log.lines)
    rewrite(file, line("ada", b"new")) if file.exists() else file.write_text(line("ada", b"new"))
    assert isinstance(await login(one, connect, "ada", b"new"), Identity)


async def test_argon2id_of_newer_releases_is_taken(plugin, connect, file):
    file.write_text("ada:" + PasswordHasher(1, 8, 1).hash(b"correct"))
    assert isinstance(await login(plugin(), connect, "ada", b"correct"), Identity)
    assert await login(plugin(), connect, "ada", b"wrong") == BAD_USER_NAME_OR_PASSWORD


SALT = base64.b64encode(b"salt").decode()
DIGEST = base64.b64encode(bytes(64)).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ada:secret", "line 1: the password is in plain text.* hash the passwords .* mosquitto_passwd -U"),
        ("# x\n\nada:secret", "line 3"),
        ("ada:", "line 1: the password is in plain text"),
        ("ada:$ecret$", "in plain text"),
        ("ada", "line 1: it is not NAME:HASH"),
        (":x", "line 1: it is not NAME:HASH"),
        (f"ada:$5${SALT}${DIGEST}", "hashed in a way that is unknown"),
        (f"ada:$1${SALT}${DIGEST}", "hashed in a way that is unknown"),
        (f"ada:$6${SALT}$", "damaged"),
        (f"ada:$6$${DIGEST}", "damaged"),
        (f"ada:$6${SALT}$!!", "damaged"),
        (f"ada:$6${SALT}${SALT}", "not one of SHA-512"),
        (f"ada:$7$0${SALT}${DIGEST}", "iterations"),
        (f"ada:$7$-1${SALT}${DIGEST}", "iterations"),
        (f"ada:$7$99999999999999999999999${SALT}${DIGEST}", "iterations"),
        ("ada:$argon2id$v=19$oops", "argon2id hash is damaged"),
        (f"{ADA}\n{ADA}", "line 2: the user has a line already"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_line_and_without_the_password(make, tmp_path, text, message):
    path = tmp_path / "passwords"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as refused:
        make(PasswordFile, path=str(path))
    assert "ecret" not in str(refused.value) and SALT not in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(make, tmp_path):
    with pytest.raises(ConfigurationError, match=r"\[plugins.password_file\] path: .*nowhere: No such file"):
        make(PasswordFile, path=str(tmp_path / "nowhere"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="no text"):
        make(PasswordFile, path=str(tmp_path / "binary"))


async def test_no_more_passwords_are_checked_at_a_time_than_is_set(plugin, connect, monkeypatch):
    running, most = [], []
    both = threading.Barrier(2, timeout=60)

    def matches(self, password):
        running.append(1)
        most.append(len(running))
        both.wait()
        running.pop()
        return False

    monkeypatch.setattr(Hash, "matches", matches)
    one = plugin(max_concurrent=2)
    await asyncio.gather(*(login(one, connect, "ada", str(n).encode()) for n in range(8)))
    assert max(most) == 2


async def test_somebody_who_guesses_from_one_address_keeps_nobody_else_out(plugin, connect, monkeypatch):
    checked = []
    begun, go_on = threading.Event(), threading.Event()

    def matches(self, password):
        begun.set()
        assert go_on.wait(60)
        checked.append(password)
        return password == b"correct"

    monkeypatch.setattr(Hash, "matches", matches)
    one = plugin(max_concurrent=1)
    guesses = [asyncio.create_task(login(one, connect, "ada", b"guess %d" % number)) for number in range(50)]
    assert await asyncio.to_thread(begun.wait, 60)
    right = asyncio.create_task(login(one, connect, "ada", b"correct", "192.0.2.1"))
    for _ in range(10):
        await asyncio.sleep(0)
    go_on.set()
    assert isinstance(await right, Identity)
    assert checked.index(b"correct") <= 4
    assert await asyncio.gather(*guesses) == [BAD_USER_NAME_OR_PASSWORD] * 50


def test_nothing_of_a_hash_is_shown():
    assert repr(Hash("$7$5$salt$digest", 5, b"salt", b"digest")) == "Hash(iterations=5)"


@pytest.mark.skipif(not shutil.which("mosquitto_passwd"), reason="mosquitto_passwd is not installed")
@pytest.mark.parametrize("password", ["correct horse", "pässwörd", "x" * 500])
async def test_what_mosquitto_passwd_writes_is_understood(make, connect, tmp_path, password):
    path = tmp_path / "passwords"
    path.touch(mode=0o600)
    for options, user in ((["-H", "sha512"], "old"), (["-H", "sha512-pbkdf2"], "new"), ([], "usual")):
        command = ["mosquitto_passwd", *options, "-b", str(path), user, password]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    one = make(PasswordFile, path=str(path))
    for user in ("old", "new", "usual"):
        assert isinstance(await login(one, connect, user, password.encode()), Identity)
        assert await login(one, connect, user, b"wrong") == BAD_USER_NAME_OR_PASSWORD
    one.mombroker_shutdown()
