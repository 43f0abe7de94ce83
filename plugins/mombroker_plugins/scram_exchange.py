"""One SCRAM authentication of one client: its first message, our challenge, its proof, ours."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from mombroker.hooks import AuthContinue, AuthDone, ConnectRequest
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import NOT_AUTHORIZED
from mombroker_plugins.scram_verifiers import MECHANISM, Verifier, scramp

LONGEST: Final = 4_096
REFUSED: Final = Refusal(NOT_AUTHORIZED, "the proof is not valid")

FindUser = Callable[[str], Awaitable[tuple[Verifier, frozenset[str] | None]]]
"""The verifier of a user, and its roles; a made-up verifier and None for one who is not there."""


class ScramExchange:
    """Answers a client until it has proved that it knows its password, or has not. Each exchange has a nonce of its
    own, so that what was heard in another one is worth nothing here."""

    def __init__(self, request: ConnectRequest, find: FindUser, log: Any) -> None:
        self._request = request
        self._find = find
        self._log = log
        self._server: Any = None
        self._name = ""
        self._roles: frozenset[str] | None = None

    async def step(self, data: bytes | None) -> AuthContinue | AuthDone | Refusal:
        """The challenge to a first message, the verdict on a second one, and no third."""
        text = _text(data)
        if text is None:
            return self._refused("no message of SCRAM")
        try:
            return await self._challenge(text) if self._server is None else self._verdict(text)
        except scramp().ScramException as error:
            return self._refused(str(error.server_error or "out of order"))

    async def _challenge(self, text: str) -> AuthContinue | Refusal:
        name = _name_in(text)
        if self._request.username not in (None, "", name):
            return self._refused("other username")
        verifier, self._roles = await self._find(name)
        self._name = name
        keys = (verifier.salt, verifier.stored_key, verifier.server_key, verifier.iterations)
        self._server = scramp().ScramMechanism(MECHANISM).make_server(lambda _: keys)
        self._server.set_client_first(text)
        return AuthContinue(str(self._server.get_server_first()).encode())

    def _verdict(self, text: str) -> AuthDone | Refusal:
        self._server.set_client_final(text)
        if self._roles is None:
            return self._refused("unknown user")
        request = self._request
        identity = Identity(request.client_id, self._name, self._roles, request.address)
        return AuthDone(identity, str(self._server.get_server_final()).encode())

    def _refused(self, why: str) -> Refusal:
        """The client is told the same in every case."""
        request = self._request
        self._log.info("SCRAM refused", client_id=request.client_id, address=request.address, why=why)
        return REFUSED


def _text(data: bytes | None) -> str | None:
    try:
        return data.decode() if data and len(data) <= LONGEST else None
    except UnicodeDecodeError:
        return None


def _name_in(text: str) -> str:
    """The user's name in a first message, prepared and unescaped. Raises ScramException."""
    names: list[str] = []

    def note(name: str) -> tuple[bytes, bytes, bytes, int]:
        names.append(name)
        return bytes(16), bytes(32), bytes(32), 4_096

    scramp().ScramMechanism(MECHANISM).make_server(note).set_client_first(text)
    return names[0]
