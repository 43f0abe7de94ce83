"""Users with passwords that never travel: SCRAM-SHA-256 as enhanced authentication of MQTT 5.

Client and broker prove to each other that they know the password, or its verifier. The users are the plugin's own, for
a verifier cannot be made of the hashes that the plugin ``users`` keeps. They are edited with ``mombroker scram``.
"""

import secrets
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from mombroker.hooks import AuthExchange, ConnectRequest, PluginContext, hookimpl
from mombroker_plugins.scram_commands import add_scram_commands
from mombroker_plugins.scram_exchange import ScramExchange
from mombroker_plugins.scram_verifiers import (
    ITERATIONS,
    LEAST,
    MECHANISM,
    MOST,
    Verifier,
    made_up,
    parse_verifier,
    scramp,
)
from mombroker_plugins.user_records import NO_USER, UserError, UserRecords

DECOY_KEY: Final = f"{NO_USER}decoy".encode()
"""Where the secret is that made-up salts come from: a salt that changed with every start would tell who is made up."""


class ScramSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.scram]``"""

    iterations: Annotated[
        int,
        Meta(
            ge=LEAST,
            le=MOST,
            description="What clients are told of users who are not there. Where users were added with another number "
            "of iterations, set the same: otherwise it tells who is there.",
        ),
    ] = ITERATIONS


class Scram:
    """The plugin ``scram``."""

    Settings = ScramSettings

    def __init__(self, settings: ScramSettings, context: PluginContext) -> None:
        scramp()
        self._iterations = settings.iterations
        self._state = context.state
        self._records = UserRecords(context.state, "mombroker scram")
        self._log = context.log
        self._secret = b""

    @hookimpl
    async def mombroker_startup(self) -> None:
        """Have a secret to make up salts of, the same at every start."""
        kept = await self._state.get(DECOY_KEY)
        self._secret = kept or secrets.token_bytes(32)
        if kept is None:
            await self._state.put(DECOY_KEY, self._secret)

    @hookimpl
    def mombroker_enhanced_authentication(self, method: str, request: ConnectRequest) -> AuthExchange | None:
        """An exchange with a client that wants SCRAM."""
        return ScramExchange(request, self._find, self._log) if method == MECHANISM else None

    async def _find(self, name: str) -> tuple[Verifier, frozenset[str] | None]:
        try:
            record = await self._records.find(name)
            if record is not None:
                return parse_verifier(record.hash), frozenset(record.roles)
        except UserError as error:
            self._log.error("user cannot log in", username=name, error=str(error))
        return made_up(self._secret, name, self._iterations), None

    @staticmethod
    @hookimpl
    def mombroker_cli(cli: Any) -> None:
        """Add ``mombroker scram``."""
        add_scram_commands(cli)
