"""Calls to web servers: answered, or given up in time, and never led astray."""

import contextlib
import socket
import threading

import pytest
import trustme

from mombroker_plugins.web_calls import CallFailed, call, target_of

from .web_server import WebServer, server_context


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def serve(reply, tls=None):
            server = WebServer(reply, tls)
            stack.callback(server.close)
            return server

        yield serve


def get(url, **options):
    return call(target_of(url, options.pop("ca", "")), "GET", {}, **{"seconds": 60.0, **options})


def test_an_answer_comes_with_its_status(serve):
    server = serve(lambda method, path, headers, body: (404, f"{method} {path} {headers['accept']}".encode()))
    answer = call(target_of(server.url + "/a/b?c=d"), "POST", {"Accept": "x/y"}, b"hello", 60.0)
    assert (answer.status, answer.body) == (404, b"POST /a/b?c=d x/y")
    assert server.calls == [b"hello"]


def test_a_redirection_is_an_answer_and_is_not_followed(serve):
    server = serve(lambda *_: (302, b"/elsewhere"))
    assert get(server.url).status == 302
    assert len(server.calls) == 1


def test_too_large_an_answer_is_none(serve):
    server = serve(lambda *_: (200, bytes(101)))
    with pytest.raises(CallFailed, match="more than 100 bytes"):
        get(server.url, most=100)
    assert get(server.url, most=101).body == bytes(101)


def test_a_server_that_never_ends_its_answer_is_given_up():
    enough = threading.Event()

    def trickle(listening):
        client, _ = listening.accept()
        with client, contextlib.suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not enough.wait(0.01):
                client.sendall(b".")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=trickle, args=(listening,), daemon=True)
        thread.start()
        # The answer that is cut off is no answer, even where its length was not announced.
        with pytest.raises(CallFailed, match="no answer"):
            get(f"http://127.0.0.1:{listening.getsockname()[1]}", seconds=0.3)
        enough.set()
        thread.join(60)


def test_a_server_that_is_not_there_gives_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(CallFailed, match=f"127.0.0.1:{port} gives no answer"):
        get(f"http://127.0.0.1:{port}")


def test_a_server_is_believed_only_with_a_certificate_of_a_known_authority(serve, tmp_path):
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ours.pem")
    for name, authority in (("good", ours), ("bad", theirs)):
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    good = serve(lambda *_: (200, b"yes"), server_context(tmp_path / "good"))
    assert get(good.url, ca=str(tmp_path / "ours.pem")).body == b"yes"
    bad = serve(lambda *_: (200, b"yes"), server_context(tmp_path / "bad"))
    with pytest.raises(CallFailed, match="unable to get|self.signed"):
        get(bad.url, ca=str(tmp_path / "ours.pem"))
    assert bad.calls == []


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://h/", "file:///etc/passwd", "https://", "https://user:p@h/", "https://h/#f", "http://[::1"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError):
        target_of(url)


@pytest.mark.parametrize("url", ["http://auth.example/", "http://10.0.0.1/", "http://127.0.0.1.example/"])
def test_nothing_leaves_the_machine_without_encryption_unless_that_is_wanted(url):
    with pytest.raises(ValueError, match="not encrypted"):
        target_of(url)
    assert target_of(url, plain=True).tls is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://[::1]/", "http://localhost/"])
def test_a_server_on_this_machine_needs_no_encryption(url):
    assert target_of(url).tls is None
