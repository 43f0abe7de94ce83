"""Tokens of connecting clients: found, checked, and turned into who the client is."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jwt

from mombroker.hooks import ConnectRequest
from mombroker.model.errors import ConfigurationError
from mombroker.model.identity import PUBLISH, Identity, Refusal
from mombroker.model.reasons import (
    BAD_USER_NAME_OR_PASSWORD,
    CLIENT_IDENTIFIER_NOT_VALID,
    NOT_AUTHORIZED,
    SERVER_UNAVAILABLE,
)
from mombroker_plugins.token_claims import TOPIC_RIGHTS, TopicRights, UnfitClaim, claim, patterns, texts
from mombroker_plugins.token_key_ring import KeyRing
from mombroker_plugins.token_keys import MOST_BYTES, Key, KeyProblem, jwks_keys, pem_keys, secret_keys
from mombroker_plugins.user_records import is_name
from mombroker_plugins.web_calls import CallFailed, Target, call, target_of

if TYPE_CHECKING:
    from mombroker_plugins.json_web_tokens import JwtSettings

LONGEST: Final = 16_384
LAST_SECOND: Final = 1 << 40
"""A token that is good for longer than that, in Unix seconds, is good for that long."""

EXPIRED = Refusal(BAD_USER_NAME_OR_PASSWORD, "the token has expired")
INVALID = Refusal(BAD_USER_NAME_OR_PASSWORD, "the token is not valid")
OTHER_USER = Refusal(BAD_USER_NAME_OR_PASSWORD, "the user name is not the one in the token")
OTHER_CLIENT = Refusal(CLIENT_IDENTIFIER_NOT_VALID, "the client identifier is not the one in the token")
WILL_DENIED = Refusal(NOT_AUTHORIZED, "the token does not allow to publish the will")
UNAVAILABLE = Refusal(SERVER_UNAVAILABLE, "tokens cannot be checked now, try again later")


class Token(NamedTuple):
    """A token as it came, with what it says of its signature; nothing of that has been checked."""

    text: str
    algorithm: str
    key_id: str | None


class Checker:
    """Checks tokens with the keys that the settings name."""

    def __init__(self, settings: "JwtSettings", log: Any) -> None:
        self._settings = settings
        self._log = log
        self._ring = KeyRing(_loading(settings), settings.refresh_seconds, log)
        self._jwt = jwt.PyJWT({"require": ["exp"] if settings.require_expiry else []})
        if not settings.jwks_url:
            self._read_file()

    def _read_file(self) -> None:
        settings = self._settings
        key = next(name for name in ("secret_file", "public_key_file", "jwks_file") if getattr(settings, name))
        try:
            self._ring.read()
        except (OSError, KeyProblem) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise ConfigurationError(f"[plugins.jwt] {key}: {getattr(settings, key)}: {reason}") from None

    async def prepare(self) -> None:
        """Fetch the keys, if they are on a server."""
        if self._ring.is_empty:
            await self._ring.look_again()

    async def close(self) -> None:
        """Read no keys any more."""
        await self._ring.close()

    def bearer(self, request: ConnectRequest) -> Identity | Refusal | None | Awaitable[Identity | Refusal]:
        """Who the client is by its token; None if it has none."""
        token = self._token_of(request)
        if token is None:
            return None
        if token.algorithm not in self._settings.algorithms:
            return self._refused(request, INVALID, "algorithm not allowed")
        candidates = self._ring.candidates(token.key_id, token.algorithm)
        return self._checked(request, token, candidates) if candidates else self._with_new_keys(request, token)

    async def _with_new_keys(self, request: ConnectRequest, token: Token) -> Identity | Refusal:
        """The key that a token names is not known: perhaps it is a new one."""
        await self._ring.look_again()
        if self._ring.is_empty:
            return UNAVAILABLE
        candidates = self._ring.candidates(token.key_id, token.algorithm)
        if not candidates:
            return self._refused(request, INVALID, "unknown key")
        return self._checked(request, token, candidates)

    def _token_of(self, request: ConnectRequest) -> Token | None:
        """What looks like a token, if the client has sent anything that does."""
        text = request.username if self._settings.sent_as == "username" else _text(request.password)
        if not text or len(text) > LONGEST or text.count(".") != 2:
            return None
        try:
            header = jwt.get_unverified_header(text)
        except (jwt.PyJWTError, UnicodeError):
            return None
        key_id = header.get("kid")
        return Token(text, str(header.get("alg")), key_id if isinstance(key_id, str) else None)

    def _checked(self, request: ConnectRequest, token: Token, candidates: list[Key]) -> Identity | Refusal:
        try:
            claims = self._claims(token, candidates)
            return self._identity(request, claims)
        except jwt.ExpiredSignatureError:
            return self._refused(request, EXPIRED, "expired")
        except UnfitClaim as error:
            return self._refused(request, INVALID, f"claim {error}")
        except (jwt.PyJWTError, OverflowError) as error:
            return self._refused(request, INVALID, type(error).__name__)

    def _claims(self, token: Token, candidates: list[Key]) -> dict[str, Any]:
        """What the token says, if one of the keys has signed it. Raises PyJWTError, OverflowError."""
        settings = self._settings
        for key in candidates:
            try:
                return self._jwt.decode(
                    token.text,
                    key.key,
                    # Not those of the settings: what the key is for. The token chooses nothing.
                    algorithms=sorted(key.algorithms),
                    audience=settings.audience or None,
                    issuer=settings.issuer or None,
                    leeway=settings.leeway,
                )
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidSignatureError

    def _identity(self, request: ConnectRequest, claims: dict[str, Any]) -> Identity | Refusal:
        """Raises UnfitClaim, OverflowError."""
        settings = self._settings
        name = claim(claims, settings.username_claim)
        if not isinstance(name, str) or not is_name(name):
            raise UnfitClaim(settings.username_claim)
        if settings.sent_as == "password" and settings.check_username and request.username not in (None, "", name):
            return self._refused(request, OTHER_USER, "other username")
        if not self._is_client(request, claims):
            return self._refused(request, OTHER_CLIENT, "other client identifier")
        roles = frozenset((*settings.roles, *(texts(claims, settings.roles_claim) if settings.roles_claim else ())))
        rights = TopicRights(
            patterns(claims, settings.publish_claim) if settings.publish_claim else None,
            patterns(claims, settings.subscribe_claim) if settings.subscribe_claim else None,
        )
        # A will may be published when the broker has forgotten the token, so it is looked at now.
        if request.will_topic is not None and rights.decide(PUBLISH, request.will_topic) is False:
            return self._refused(request, WILL_DENIED, "topic of the will")
        attributes = {"claims": claims, TOPIC_RIGHTS: rights}
        return Identity(request.client_id, name, roles, request.address, attributes, self._end_of(claims))

    def _is_client(self, request: ConnectRequest, claims: dict[str, Any]) -> bool:
        """Whether the token is for this client. Callers over HTTP and gRPC have no identifier of their own."""
        wanted = self._settings.client_id_claim
        return not wanted or request.version == 0 or claim(claims, wanted) == request.client_id

    def _end_of(self, claims: dict[str, Any]) -> float:
        return min(int(claims["exp"]), LAST_SECOND) + self._settings.leeway if "exp" in claims else 0.0

    def _refused(self, request: ConnectRequest, refusal: Refusal, why: str) -> Refusal:
        self._log.info("token refused", client_id=request.client_id, address=request.address, why=why)
        return refusal


def _text(password: bytes | None) -> str | None:
    return password.decode() if password is not None and password.isascii() else None


def _loading(settings: "JwtSettings") -> Callable[[], tuple[Key, ...]]:
    """What reads the keys."""
    allowed = frozenset[str](settings.algorithms)
    if settings.secret_file:
        return lambda: secret_keys(_content(settings.secret_file), allowed)
    if settings.public_key_file:
        return lambda: pem_keys(_content(settings.public_key_file), allowed)
    if settings.jwks_file:
        return lambda: jwks_keys(_content(settings.jwks_file), allowed)
    try:
        target = target_of(settings.jwks_url, settings.jwks_ca)
    except OSError as error:
        raise ConfigurationError(f"[plugins.jwt] jwks_ca: {settings.jwks_ca}: {error.strerror or error}") from None
    return partial(_fetched, target, settings.timeout, allowed)


def _fetched(target: Target, seconds: float, allowed: frozenset[str]) -> tuple[Key, ...]:
    answer = call(target, "GET", {"Accept": "application/json"}, seconds=seconds, most=MOST_BYTES)
    if answer.status != 200:
        raise CallFailed(f"{target.host}:{target.port} answers with the status {answer.status}")
    return jwks_keys(answer.body, allowed)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise KeyProblem(f"it has more than {MOST_BYTES} bytes")
    return content
