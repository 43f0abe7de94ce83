"""The native API over gRPC: unary calls for the operations, streams to produce, consume and serve.

``mombroker.proto`` is what clients are made from; Python clients may use ``mombroker_pb2`` and ``mombroker_pb2_grpc``
as they are. Nothing but this file is imported while gRPC is off.
"""

from typing import TYPE_CHECKING, Final

from mombroker.model.errors import ConfigurationError

if TYPE_CHECKING:
    from mombroker.api.grpc.server import GrpcServer

LIBRARIES: Final = frozenset({"google", "grpc", "grpc_health", "grpc_reflection"})


def load_server() -> "type[GrpcServer]":
    """The server's class. Raises ConfigurationError if the libraries it needs are not installed."""
    try:
        from mombroker.api.grpc.server import GrpcServer
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in LIBRARIES:
            raise
        raise ConfigurationError(
            f"grpc.listen is set, but gRPC is not installed (there is no module {error.name}): "
            "pip install 'mombroker[grpc]', or set grpc.listen = \"off\""
        ) from None
    return GrpcServer
