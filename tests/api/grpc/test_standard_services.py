"""Health and reflection, as grpcurl and load balancers know them; and the listening itself."""

import asyncio
import errno

import grpc
import pytest
import structlog
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mombroker.api.grpc import mombroker_pb2 as pb
from mombroker.api.grpc import mombroker_pb2_grpc as stubs
from mombroker.api.grpc.server import GrpcServer
from mombroker.wiring.settings_address import Address

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NAMES = {f"mombroker.v1.{name}" for name in ("Queues", "Messages", "Services", "Admin")}


@pytest.mark.parametrize("service", ["", *sorted(NAMES)])
async def test_the_broker_is_healthy(channel, service):
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == SERVING


async def test_who_watches_the_health_is_told_that_the_broker_stops(server, channel):
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
    assert (await watch.read()).status == SERVING
    stopping = asyncio.ensure_future(server.stop())
    assert (await watch.read()).status == NOT_SERVING
    await stopping


async def reflected(channel, **request):
    """The answer of the reflection service."""
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(**request))
    await call.done_writing()
    return await call.read()


async def test_reflection_names_all_services(channel):
    answer = await reflected(channel, list_services="")
    names = {service.name for service in answer.list_services_response.service}
    assert names == NAMES | {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_reflection_hands_out_the_schema(channel):
    answer = await reflected(channel, file_containing_symbol="mombroker.v1.Queues")
    (data,) = answer.file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(data).package == "mombroker.v1"


async def test_one_server_listens_on_several_addresses(native, tokens):
    addresses = [Address("127.0.0.1", 0), Address("127.0.0.1", 0)]
    server = GrpcServer(native, tokens, addresses, 100_000, structlog.get_logger())
    await server.start()
    try:
        assert len(set(server.ports)) == 2
        for address in server.addresses:
            async with grpc.aio.insecure_channel(address) as channel:
                await stubs.QueuesStub(channel).ListGrants(pb.ListGrantsRequest())
    finally:
        await server.stop()


async def test_a_port_that_is_taken_is_an_error(native, tokens, server):
    second = GrpcServer(native, tokens, [Address("127.0.0.1", server.ports[0])], 100_000, structlog.get_logger())
    with pytest.raises(OSError, match="is the port taken") as caught:
        await second.start()
    assert caught.value.errno == errno.EADDRINUSE
    await second.stop()
