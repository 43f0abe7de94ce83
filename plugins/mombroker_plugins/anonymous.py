"""Let clients in without asking who they are: by default those on this machine only.

It is asked after every other authentication plugin. What a client says its name is, is not believed: its identity has
no username, so that rules for a user never apply to it. Its one role, if any, is given to all alike.
"""

import functools
import ipaddress
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker.hooks import ConnectRequest, PluginContext, hookimpl
from mombroker.model.identity import UNIX, Identity

ADMIN_ROLE = "admin"


class AnonymousSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.anonymous]``"""

    allow: Annotated[
        Literal["loopback", "any"],
        Meta(description="Who is let in: clients on this machine (`loopback`), or everybody who can reach it (`any`)."),
    ] = "loopback"
    admin: Annotated[
        bool,
        Meta(
            description="Whether they have the role `admin`, and so may run the broker and use every queue. True "
            "without this section, as long as no other plugin authenticates or authorises clients."
        ),
    ] = False


class Anonymous:
    """The plugin ``anonymous``."""

    Settings = AnonymousSettings

    def __init__(self, settings: AnonymousSettings, context: PluginContext) -> None:
        self._settings = settings
        self._roles = frozenset({ADMIN_ROLE}) if settings.admin else frozenset()

    @property
    def accepts_strangers(self) -> bool:
        """Whether the operator has said that everybody may come in; the broker then listens on any address."""
        return self._settings.allow == "any"

    @hookimpl(trylast=True)
    def mombroker_authenticate(self, request: ConnectRequest) -> Identity | None:
        """Everybody, or everybody on this machine, is nobody in particular."""
        if not self.accepts_strangers and not is_loopback(request.address):
            return None
        return Identity(request.client_id, None, self._roles, request.address)


@functools.lru_cache(1024)
def is_loopback(address: str) -> bool:
    """Whether a connection comes from this machine. No, if its address is not known."""
    if address == UNIX:
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
