"""Questions to a web server: put as JSON by POST, a few at a time, and answered in time or not at all."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from mombroker.hooks import ConnectRequest
from mombroker.model.certificate import ClientCertificate
from mombroker.model.identity import Identity
from mombroker_plugins.web_calls import CallFailed, Target, call

MOST_BYTES: Final = 1 << 16


class Unanswered(Exception):
    """There is no answer to a question; the message says why."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What the server says. ``ignore``: it has no opinion. The rest is for clients that are let in, or told why not."""

    result: Literal["allow", "deny", "ignore"]
    username: str | None = None
    roles: tuple[str, ...] = ()
    expires_at: float = 0.0
    message: str = ""


class Asker:
    """Asks a server. ``concurrent`` questions are under way at a time, and ``waiting`` at the most in all."""

    def __init__(self, headers: dict[str, str], seconds: float, concurrent: int, waiting: int) -> None:
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        self._seconds = seconds
        self._waiting = waiting
        self._open = 0
        self._threads = ThreadPoolExecutor(concurrent, thread_name_prefix="mombroker-webhook")

    async def ask(self, target: Target, question: dict[str, Any]) -> Verdict:
        """The verdict. Raises Unanswered for anything else."""
        if self._open >= self._waiting:
            raise Unanswered(f"{self._waiting} questions wait for an answer already")
        body = msgspec.json.encode(question)
        asked = partial(call, target, "POST", self._headers, body, self._seconds, MOST_BYTES)
        self._open += 1
        try:
            # A client whose time budget is over is cancelled here, and its turn goes to the next one.
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        except CallFailed as error:
            raise Unanswered(str(error)) from None
        finally:
            self._open -= 1
        if answer.status != 200:
            raise Unanswered(f"the server answers with the status {answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=Verdict)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unanswered("the server's answer is no verdict") from None

    def close(self) -> None:
        """Give up what has not begun yet."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def question_of_connect(request: ConnectRequest) -> dict[str, Any]:
    """What the server is told of a client that wants in."""
    return {
        "client_id": request.client_id,
        "username": request.username,
        **_password(request.password),
        "address": request.address,
        "port": request.port,
        "listener": request.listener,
        "version": request.version,
        "keep_alive": request.keep_alive,
        "clean_start": request.clean_start,
        "will_topic": request.will_topic,
        "user_properties": request.user_properties,
        "certificate": None if request.certificate is None else _certificate(request.certificate),
    }


def question_of_right(identity: Identity, action: str, resource: str) -> dict[str, Any]:
    """What the server is told of somebody who wants to do something."""
    return {
        "client_id": identity.client_id,
        "username": identity.username,
        "roles": sorted(identity.roles),
        "address": identity.address,
        "action": action,
        "resource": resource,
    }


def _password(password: bytes | None) -> dict[str, Any]:
    """The password as text; one that is none, as base64 under a name of its own."""
    try:
        return {"password": None if password is None else password.decode()}
    except UnicodeDecodeError:
        return {"password": None, "password_base64": password}


def _certificate(certificate: ClientCertificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "alternative_names": certificate.alternative_names,
        "serial": certificate.serial,
        "fingerprint": certificate.fingerprint,
    }
