"""A caller that knows nothing but HTTP: asks `words` and waits, asks `thumbs` and fetches the reply later, and keeps
what it has learned in a queue of its own."""

import argparse
import base64
import json
from http.client import HTTPResponse
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TEXT = "the quick brown fox and the lazy dog and the cat"


class Http:
    """Requests of one user."""

    def __init__(self, base: str, user: str, password: str) -> None:
        self._base = base
        self._login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def open(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> HTTPResponse:
        """The response, to be read. Raises HTTPError."""
        headers = {"Authorization": self._login}
        if body:
            headers["Content-Type"] = content_type or "application/octet-stream"
        request = Request(self._base + path, body or None, headers, method=method)
        response: HTTPResponse = urlopen(request, timeout=60)
        return response

    def send(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> bytes:
        """The body of the response. Raises HTTPError."""
        with self.open(method, path, body, content_type) as response:
            return response.read()


def ask_and_wait(http: Http) -> bytes:
    """The synchronous way: the response is the reply."""
    return http.send("POST", "/v1/services/words/requests?timeout=10", TEXT.encode())


def ask_and_fetch(http: Http, image: bytes) -> bytes:
    """The asynchronous way: the response says where the reply will be."""
    with http.open("POST", "/v1/services/thumbs/requests?later", image) as response:
        place = response.headers["Location"]
    print("asked thumbs, and went on:", response.status, flush=True)
    # 202 as long as there is no reply; each question waits for up to a minute.
    while True:
        with http.open("GET", place + "/reply?wait=60") as response:
            if response.status == 200:
                return response.read()


def ask_in_vain(http: Http) -> None:
    """A failure of the service comes as a problem with the worker's own code."""
    try:
        http.send("POST", "/v1/services/thumbs/requests", b"no image")
    except HTTPError as error:
        problem = json.load(error)
        print("failed:", error.code, problem["code"], problem["worker_code"], problem["detail"], flush=True)


def pull(http: Http, queue: str) -> None:
    """Take one message out and acknowledge it."""
    (message,) = json.loads(http.send("POST", f"/v1/queues/{queue}/pull?wait=10"))["messages"]
    print("pulled:", message["text"], flush=True)
    http.send("DELETE", f"/v1/leases/{message['lease']}")


def have_it_pushed(http: Http, queue: str) -> None:
    """The same with Server-Sent Events, which come as long as one listens."""
    with http.open("GET", f"/v1/queues/{queue}/stream?credit=10") as stream:
        for line in stream:
            if line.startswith(b"data: "):
                message = json.loads(line[len(b"data: ") :])
                print("pushed:", message["text"], flush=True)
                http.send("DELETE", f"/v1/leases/{message['lease']}")
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", default="http://127.0.0.1:8080")
    parser.add_argument("--user", default="ann")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--stranger", default="bob", help="Another user, with the same password.")
    given = parser.parse_args()
    http = Http(given.http, given.user, given.password)
    queue = f"{given.user}.results"
    http.send("PUT", f"/v1/queues/{queue}")

    counted = ask_and_wait(http)
    print("words:", counted.decode(), flush=True)
    http.send("POST", f"/v1/queues/{queue}/messages", counted, "application/json")

    image = b"P5 64 64 255\n" + bytes(range(64)) * 64
    small = ask_and_fetch(http, image)
    print("thumbs:", small.split(b"\n")[0].decode(), len(small), "bytes", flush=True)
    http.send("POST", f"/v1/queues/{queue}/messages", b"a thumbnail of %d bytes" % len(small), "text/plain")

    ask_in_vain(http)
    pull(http, queue)
    have_it_pushed(http, queue)

    try:
        Http(given.http, given.stranger, given.password).send("POST", f"/v1/queues/{queue}/pull")
    except HTTPError as error:
        print(f"{given.stranger} is told:", error.code, json.load(error)["detail"], flush=True)


if __name__ == "__main__":
    main()
