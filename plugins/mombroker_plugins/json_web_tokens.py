"""Users from JSON Web Tokens: what a signed token says of its bearer is believed, for as long as the token is good.

What does not look like a token is left to the other plugins. What does is this plugin's business, and is refused
unless a key that we know has signed it, with an algorithm that the settings allow. PyJWT is imported when the plugin
is made: it is an extra, and the command line knows the plugin without it.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from mombroker.hooks import ConnectRequest, PluginContext, hookimpl
from mombroker.model.errors import PluginError
from mombroker.model.identity import Identity, Refusal
from mombroker_plugins.token_claims import TOPIC_RIGHTS, TopicRights
from mombroker_plugins.web_calls import target_of

if TYPE_CHECKING:
    from mombroker_plugins.token_checking import Checker

Role = Annotated[str, Meta(min_length=1)]
Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]


class JwtSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.jwt]``"""

    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(
            min_length=1,
            description="Algorithms that tokens may be signed with: `HS256`, `HS384`, `HS512` with a secret; `RS256`, "
            "`PS256`, `ES256`, their siblings and `EdDSA` with public keys.",
        ),
    ]
    secret_file: Annotated[str, Meta(description="The secret that HS tokens are signed with.")] = ""
    public_key_file: Annotated[str, Meta(description="A public key or a certificate in PEM.")] = ""
    jwks_file: Annotated[str, Meta(description="A JSON Web Key Set.")] = ""
    jwks_url: Annotated[str, Meta(description="Where a JSON Web Key Set is, as identity providers offer it.")] = ""
    jwks_ca: Annotated[str, Meta(description="Authorities to trust for `jwks_url`, in PEM. Empty: the usual ones.")] = (
        ""
    )
    timeout: Annotated[float, Meta(gt=0.0, le=60.0, description="Seconds that `jwks_url` has for its answer.")] = 3.0
    refresh_seconds: Annotated[
        float, Meta(ge=1.0, le=86_400.0, description="Seconds after which keys are read anew.")
    ] = 300.0
    issuer: Annotated[str, Meta(description="Who tokens must be from (`iss`). Empty: from anybody with the key.")] = ""
    audience: Annotated[
        str, Meta(description="Whom tokens must be for (`aud`). Empty: tokens that are for somebody are refused.")
    ] = ""
    leeway: Annotated[float, Meta(ge=0.0, le=3600.0, description="Seconds that clocks may differ.")] = 0.0
    require_expiry: Annotated[bool, Meta(description="Whether tokens that never expire are refused.")] = True
    sent_as: Annotated[Literal["password", "username"], Meta(description="Where in CONNECT the token is.")] = "password"
    check_username: Annotated[
        bool, Meta(description="Whether a client that also sends a username must send the one in the token.")
    ] = True
    username_claim: Annotated[
        str, Meta(min_length=1, description="The claim that is the user's name; dots lead into it.")
    ] = "sub"
    client_id_claim: Annotated[
        str, Meta(description="The claim that must be the client identifier. Empty: any will do.")
    ] = ""
    roles: Annotated[tuple[Role, ...], Meta(description="Roles of everybody with a token.")] = ()
    roles_claim: Annotated[str, Meta(description="The claim with further roles. Empty: there are none.")] = ""
    publish_claim: Annotated[
        str, Meta(description="The claim with the topics to publish to. Empty: tokens do not decide on that.")
    ] = ""
    subscribe_claim: Annotated[
        str, Meta(description="The claim with the topics to subscribe to. Empty: tokens do not decide on that.")
    ] = ""

    def __post_init__(self) -> None:
        # msgspec adds the place of a ValueError.
        sources = [self.secret_file, self.public_key_file, self.jwks_file, self.jwks_url]
        if len([source for source in sources if source]) != 1:
            raise ValueError("say where the key is: one of secret_file, public_key_file, jwks_file and jwks_url")
        if {name.startswith("HS") for name in self.algorithms} != {bool(self.secret_file)}:
            raise ValueError(
                "algorithms: HS256, HS384 and HS512 go with secret_file, and all others with public keys; a public key "
                "is never taken for a secret"
            )
        if self.jwks_url:
            target_of(self.jwks_url)


class JsonWebTokens:
    """The plugin ``jwt``."""

    Settings = JwtSettings

    def __init__(self, settings: JwtSettings, context: PluginContext) -> None:
        self._decides = bool(settings.publish_claim or settings.subscribe_claim)
        self._checker = _checker(settings, context)

    @hookimpl
    async def mombroker_startup(self) -> None:
        """Fetch the keys, if they are on a server. The broker starts without them."""
        await self._checker.prepare()

    @hookimpl
    async def mombroker_shutdown(self) -> None:
        """No keys are read any more."""
        await self._checker.close()

    @hookimpl
    def mombroker_authenticate(
        self, request: ConnectRequest
    ) -> Identity | Refusal | None | Awaitable[Identity | Refusal]:
        """Whom the token names, until it expires. At once, unless the key has to be fetched first."""
        return self._checker.bearer(request)

    @hookimpl
    def mombroker_authorize(self, identity: Identity, action: str, resource: str) -> bool | None:
        """What the token says of a topic, if it is to say anything."""
        rights = identity.attributes.get(TOPIC_RIGHTS) if self._decides else None
        return rights.decide(action, resource) if isinstance(rights, TopicRights) else None


def _checker(settings: JwtSettings, context: PluginContext) -> "Checker":
    try:
        from mombroker_plugins.token_checking import Checker
    except ImportError as error:
        raise PluginError(
            f"the plugin {context.name} needs PyJWT and cryptography ({error}): pip install 'mombroker[jwt]'"
        ) from None
    return Checker(settings, context.log)
