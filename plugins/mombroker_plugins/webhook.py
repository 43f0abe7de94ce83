"""Ask a web server who clients are, and what they may do.

Where there is no answer, the answer is no. Answers about rights are remembered for a while; passwords are asked about
each time.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Annotated

from msgspec import Meta, Struct

from mombroker.hooks import ConnectRequest, PluginContext, hookimpl
from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import Identity, Refusal
from mombroker.model.reasons import NOT_AUTHORIZED, SERVER_UNAVAILABLE
from mombroker_plugins.user_records import is_name
from mombroker_plugins.web_calls import Target, target_of
from mombroker_plugins.webhook_asking import Asker, Unanswered, Verdict, question_of_connect, question_of_right

Right = tuple[str, str | None, frozenset[str], str, str, str]

UNAVAILABLE = Refusal(SERVER_UNAVAILABLE, "authentication is not available, try again later")
_RIGHTS = {"allow": True, "deny": False, "ignore": None}


class WebhookSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.webhook]``"""

    authenticate_url: Annotated[str, Meta(description="Asked who a client is. Empty: other plugins have to tell.")] = ""
    authorize_url: Annotated[
        str, Meta(description="Asked what somebody may do. Empty: other plugins have to tell.")
    ] = ""
    ca: Annotated[str, Meta(description="Authorities to trust, in PEM. Empty: the usual ones.")] = ""
    allow_plain: Annotated[
        bool, Meta(description="Whether passwords may leave this machine without encryption, to `http://` addresses.")
    ] = False
    token_file: Annotated[
        str, Meta(description="A token that the server knows the broker by, sent as `Authorization: Bearer`.")
    ] = ""
    timeout: Annotated[float, Meta(gt=0.0, le=60.0, description="Seconds that the server has for an answer.")] = 3.0
    max_concurrent: Annotated[int, Meta(ge=1, le=256, description="Questions under way at a time.")] = 16
    max_waiting: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Questions that may wait, those under way included.")
    ] = 1_000
    cache_seconds: Annotated[
        float, Meta(ge=0.0, le=86_400.0, description="Seconds for which an answer about a right is remembered.")
    ] = 60.0
    cache_size: Annotated[int, Meta(ge=1, le=10_000_000, description="Answers about rights that are remembered.")] = (
        10_000
    )

    def __post_init__(self) -> None:
        # msgspec adds the place of a ValueError.
        if not self.authenticate_url and not self.authorize_url:
            raise ValueError("say whom to ask: authenticate_url, authorize_url or both")
        for url in (self.authenticate_url, self.authorize_url):
            if url:
                target_of(url, plain=self.allow_plain)


class Webhook:
    """The plugin ``webhook``."""

    Settings = WebhookSettings

    def __init__(self, settings: WebhookSettings, context: PluginContext) -> None:
        self._log = context.log
        self._authenticate = _target(settings, settings.authenticate_url)
        self._authorize = _target(settings, settings.authorize_url)
        self._asker = Asker(_headers(settings), settings.timeout, settings.max_concurrent, settings.max_waiting)
        self._rights = Remembered(settings.cache_seconds, settings.cache_size)
        self._asked: dict[Right, asyncio.Task[bool | None]] = {}

    @hookimpl
    async def mombroker_shutdown(self) -> None:
        """Nobody waits for an answer any more."""
        for task in list(self._asked.values()):
            task.cancel()
        self._asker.close()

    @hookimpl
    def mombroker_authenticate(
        self, request: ConnectRequest
    ) -> Identity | Refusal | None | Awaitable[Identity | Refusal | None]:
        """Whom the server says that the client is."""
        return None if self._authenticate is None else self._who_is(self._authenticate, request)

    async def _who_is(self, target: Target, request: ConnectRequest) -> Identity | Refusal | None:
        try:
            verdict = await self._asker.ask(target, question_of_connect(request))
        except Unanswered as error:
            self._log.error("client refused: no answer", client_id=request.client_id, error=str(error))
            return UNAVAILABLE
        if verdict.result == "ignore":
            return None
        if verdict.result == "deny":
            return Refusal(NOT_AUTHORIZED, verdict.message)
        name = request.username if verdict.username is None else verdict.username
        if name is not None and not is_name(name):
            self._log.error("client refused: the server gave it no usable name", client_id=request.client_id)
            return UNAVAILABLE
        return Identity(
            request.client_id, name, frozenset(verdict.roles), request.address, expires_at=verdict.expires_at
        )

    @hookimpl
    def mombroker_authorize(
        self, identity: Identity, action: str, resource: str
    ) -> bool | None | Awaitable[bool | None]:
        """What the server says, or said not long ago; no, if it does not say anything."""
        if self._authorize is None:
            return None
        right = (identity.client_id, identity.username, identity.roles, identity.address, action, resource)
        known = self._rights.find(right)
        return _RIGHTS[known.result] if known is not None else self._may(self._authorize, identity, right)

    async def _may(self, target: Target, identity: Identity, right: Right) -> bool | None:
        asked = self._asked.get(right)
        if asked is None:
            # Several may wait for the same answer, and one of them giving up is none of the others' business.
            asked = self._asked[right] = asyncio.get_running_loop().create_task(self._find(target, identity, right))
            asked.add_done_callback(lambda _: self._asked.pop(right, None))
        return await asyncio.shield(asked)

    async def _find(self, target: Target, identity: Identity, right: Right) -> bool | None:
        *_, action, resource = right
        try:
            verdict = await self._asker.ask(target, question_of_right(identity, action, resource))
        except Unanswered as error:
            self._log.error("forbidden: no answer", client_id=identity.client_id, action=action, error=str(error))
            return False
        self._rights.remember(right, verdict)
        return _RIGHTS[verdict.result]


class Remembered:
    """Answers about rights, for a while. When there are too many, the oldest goes."""

    def __init__(self, seconds: float, size: int) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = time.monotonic
        self._known: dict[Right, tuple[Verdict, float]] = {}

    def find(self, right: Right) -> Verdict | None:
        """The answer, if it was given not too long ago."""
        found = self._known.get(right)
        return found[0] if found is not None and found[1] > self._clock() else None

    def remember(self, right: Right, verdict: Verdict) -> None:
        """Keep an answer that was just given."""
        if self._seconds <= 0:
            return
        self._known.pop(right, None)
        while len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[right] = (verdict, self._clock() + self._seconds)


def _target(settings: WebhookSettings, url: str) -> Target | None:
    try:
        return target_of(url, settings.ca, settings.allow_plain) if url else None
    except OSError as error:
        raise ConfigurationError(f"[plugins.webhook] ca: {settings.ca}: {error.strerror or error}") from None


def _headers(settings: WebhookSettings) -> dict[str, str]:
    if not settings.token_file:
        return {}
    try:
        with open(settings.token_file, encoding="ascii") as file:
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no token"
        raise ConfigurationError(f"[plugins.webhook] token_file: {settings.token_file}: {reason}") from None
    if not token.isprintable() or not token or " " in token:
        raise ConfigurationError(f"[plugins.webhook] token_file: {settings.token_file}: it is no token")
    return {"Authorization": f"Bearer {token}"}
