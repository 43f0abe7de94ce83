"""Answers to what is posted over HTTP."""

import socket

import pytest

from bench.load.http_posts import Poster
from bench.load.payloads import Payloads, form


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with here, there:
        yield Poster(here, b"POST / HTTP/1.1\r\n\r\n", Payloads(form(64), 1)), there


def test_a_request_is_its_head_and_the_next_payload(ends):
    poster, there = ends
    poster.post()
    poster.post()
    data = there.recv(1000)
    assert data == b"".join(b"POST / HTTP/1.1\r\n\r\n" + payload for payload in Payloads(form(64), 1).make(0, 2))


def test_an_answer_counts_when_it_is_there_as_a_whole(ends):
    poster, there = ends
    for piece, whole in ((b"HTTP/1.1 201 Created\r\nConte", False), (b"nt-Length: 4\r\n\r\n12", False), (b"34", True)):
        there.sendall(piece)
        assert poster.hear() is whole
    assert poster.answered == 1


def test_any_other_answer_is_an_error(ends):
    poster, there = ends
    there.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(ConnectionError, match="503"):
        poster.hear()


def test_a_connection_that_closes_is_an_error(ends):
    poster, there = ends
    there.close()
    with pytest.raises(ConnectionError):
        poster.hear()
