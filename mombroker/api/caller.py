"""Who asks for an operation, and by which way."""

from dataclasses import dataclass

from mombroker.model.identity import Identity


@dataclass(frozen=True)
class Caller:
    """``transport`` is ``mqtt``, ``http``, ``grpc`` or ``embedded``."""

    identity: Identity
    transport: str

    @property
    def user(self) -> str:
        """The user's name; empty for an anonymous one."""
        return self.identity.username or ""
