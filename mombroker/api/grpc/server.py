"""The gRPC server: grpc.aio in the broker's own loop, with the standard health and reflection services."""

import errno
from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mombroker.api.grpc.calls import Calls
from mombroker.api.grpc.mombroker_pb2 import DESCRIPTOR
from mombroker.api.grpc.parts import Parts
from mombroker.api.grpc.produce import Produce
from mombroker.api.grpc.push import CONSUME, SERVE, Push
from mombroker.api.grpc.unary import Unary
from mombroker.api.logins import Logins
from mombroker.api.ports import Native
from mombroker.api.tokens import Tokens
from mombroker.operations.catalogue import BY_REQUEST
from mombroker.wiring.certificates import Certificates
from mombroker.wiring.settings_address import Address

TRANSPORT: Final = "grpc"

GRACE_SECONDS: Final = 5.0
"""What calls that do not wait for anybody are given to end when the broker stops."""

LINGER_SECONDS: Final = 0.5
"""What the last answers are given to leave, and those who watch the health to go."""

OVERSIZE: Final = 2
"""The library refuses what is so many times too large, with a status but without our code, and we what is less."""

_OPERATIONS: Final = {request.__name__: operation for request, operation in BY_REQUEST.items()}


class GrpcServer:
    """Listens on some addresses. ``ports`` are the real ones, also where 0 was asked for."""

    def __init__(
        self,
        native: Native,
        tokens: Tokens,
        addresses: Sequence[Address],
        max_message: int,
        log: Any,
        certificates: Certificates | None = None,
    ) -> None:
        """``max_message`` is the size in bytes of the largest message that a client may send; ``certificates`` have to
        be there if one of the addresses is encrypted."""
        self._native = native
        self._addresses = addresses
        self._certificates = certificates
        self._calls = Calls(Logins(native, tokens, TRANSPORT), max_message, log)
        self._server = grpc.aio.server(options=_options(max_message))
        self._health = health.aio.HealthServicer()
        self.ports: list[int] = []

    @property
    def addresses(self) -> list[str]:
        """HOST:PORT as they are listened on."""
        return [str(address.at(port)) for address, port in zip(self._addresses, self.ports, strict=True)]

    async def start(self) -> None:
        """Begin to listen. Raises OSError, e.g. when the port is taken."""
        services = DESCRIPTOR.services_by_name.values()
        for service in services:
            self._server.add_generic_rpc_handlers((self._handlers(service),))
            await self._health.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [*(service.full_name for service in services), health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, self._server)
        for address in self._addresses:
            try:
                self.ports.append(self._add_port(address))
            except RuntimeError:
                raise OSError(errno.EADDRINUSE, f"cannot listen on {address} for gRPC; is the port taken?") from None
        await self._server.start()

    def _add_port(self, address: Address) -> int:
        where = str(Address(address.host, address.port))
        if not address.is_encrypted or self._certificates is None:
            return self._server.add_insecure_port(where)
        return self._server.add_secure_port(where, _Keys(self._certificates).credentials())

    async def stop(self) -> None:
        """Accept no new call, break off those that wait, and return when the others have ended: GRACE_SECONDS and
        LINGER_SECONDS at most."""
        await self._health.enter_graceful_shutdown()
        await self._calls.stop(GRACE_SECONDS)
        await self._server.stop(LINGER_SECONDS)
        await self._calls.wait_for_errands()

    def _handlers(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        """Handlers that get and return bytes: so malformed and oversized messages get our own answers."""
        handlers = {method.name: self._handler(method) for method in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _handler(self, method: MethodDescriptor) -> Any:
        match method.name:
            case "RequestParts":
                return grpc.unary_stream_rpc_method_handler(Parts(self._calls, self._native).handle)
            case "Produce":
                return grpc.stream_stream_rpc_method_handler(Produce(self._calls, self._native).handle)
            case "Consume":
                return grpc.stream_stream_rpc_method_handler(Push(self._calls, self._native, CONSUME).handle)
            case "Serve":
                return grpc.stream_stream_rpc_method_handler(Push(self._calls, self._native, SERVE).handle)
        operation = _OPERATIONS[method.name]
        return grpc.unary_unary_rpc_method_handler(Unary(self._calls, self._native, operation, method).handle)


class _Keys:
    """The certificate, for a library that shakes hands by itself. It asks before each handshake, and is told what is
    new."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._given = certificates.key_and_chain()

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with."""
        return grpc.dynamic_ssl_server_credentials(self._configuration(), self._renewed)

    def _configuration(self) -> Any:
        return grpc.ssl_server_certificate_configuration([self._given])

    def _renewed(self) -> Any:
        now = self._certificates.key_and_chain()
        if now == self._given:
            return None
        self._given = now
        return self._configuration()


def _options(max_message: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message * OVERSIZE),
        ("grpc.max_send_message_length", -1),
        # Two brokers on one port would share its calls.
        ("grpc.so_reuseport", 0),
        # Calls of one connection at a time; further ones wait at the client.
        ("grpc.max_concurrent_streams", 1000),
        # A client whose machine has gone without a word is found out, and its messages go to others.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]
