"""What can be set of the plugin ``acl``."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from mombroker_plugins.acl_rules import Rule


class AclSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.acl]``"""

    rules: Annotated[tuple[Rule, ...], Meta(description="The rules, the first that fits decides.")] = ()
    default: Annotated[
        Literal["deny", "allow"], Meta(description="What is decided where no rule has anything to say of a topic.")
    ] = "deny"
