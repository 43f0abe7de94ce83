"""Every operation there is: its name, what it takes, what it answers with. All transports are made from this table."""

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from mombroker.operations import admin, messages, queues, services


@dataclass(frozen=True)
class Operation:
    """One operation. Its summary is the first sentence of the request's docstring."""

    name: str
    request: type[Struct]
    response: type[Struct]

    @property
    def summary(self) -> str:
        """One line that says what it does."""
        return " ".join((self.request.__doc__ or "").split()).split(". ", 1)[0].rstrip(".")


_ALL: Final = (
    Operation("queue.create", queues.CreateQueue, queues.QueueInfo),
    Operation("queue.get", queues.GetQueue, queues.QueueInfo),
    Operation("queue.list", queues.ListQueues, queues.QueueList),
    Operation("queue.change", queues.ChangeQueue, queues.QueueInfo),
    Operation("queue.purge", queues.PurgeQueue, queues.Count),
    Operation("queue.delete", queues.DeleteQueue, queues.Count),
    Operation("queue.redrive", queues.RedriveQueue, queues.Count),
    Operation("grant.put", queues.PutGrant, queues.Done),
    Operation("grant.delete", queues.DeleteGrant, queues.Done),
    Operation("grant.list", queues.ListGrants, queues.GrantList),
    Operation("message.enqueue", messages.Enqueue, messages.Enqueued),
    Operation("message.publish", messages.Publish, messages.Published),
    Operation("message.pull", messages.Pull, messages.Messages),
    Operation("message.ack", messages.Ack, messages.Settled),
    Operation("message.nack", messages.Nack, messages.Settled),
    Operation("message.extend", messages.Extend, messages.Settled),
    Operation("message.peek", messages.Peek, messages.Messages),
    Operation("message.find", messages.FindMessage, messages.InMessage),
    Operation("service.create", services.CreateService, services.ServiceInfo),
    Operation("service.delete", services.DeleteService, queues.Done),
    Operation("service.list", services.ListServices, services.ServiceList),
    Operation("request.wait", services.Request, services.Reply),
    Operation("request.later", services.RequestLater, services.Ticket),
    Operation("request.fetch", services.FetchReply, services.ReplyState),
    Operation("request.cancel", services.CancelRequest, queues.Done),
    Operation("worker.next", services.NextRequest, services.Tasks),
    Operation("worker.reply", services.SendReply, queues.Done),
    Operation("client.list", admin.ListClients, admin.ClientList),
    Operation("client.disconnect", admin.DisconnectClient, queues.Done),
    Operation("retained.list", admin.ListRetained, admin.RetainedList),
    Operation("retained.delete", admin.DeleteRetained, queues.Done),
    Operation("user.list", admin.ListUsers, admin.UserList),
    Operation("user.put", admin.PutUser, queues.Done),
    Operation("user.delete", admin.DeleteUser, queues.Done),
    Operation("broker.statistics", admin.GetStatistics, admin.BrokerStatistics),
)

OPERATIONS: Final[dict[str, Operation]] = {operation.name: operation for operation in _ALL}
BY_REQUEST: Final[dict[type[Struct], Operation]] = {operation.request: operation for operation in _ALL}
