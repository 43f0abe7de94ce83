"""Operations for those who run the broker."""

from mombroker import __version__
from mombroker.api.caller import Caller
from mombroker.api.context import ApiContext
from mombroker.core import closing, sessions
from mombroker.core.publishing import retain
from mombroker.core.session import Session
from mombroker.hooks.requests import UserDirectory
from mombroker.model.message import Message
from mombroker.model.reasons import ADMINISTRATIVE_ACTION
from mombroker.mqtt.topics import check_filter
from mombroker.operations import admin as ops
from mombroker.operations import queues
from mombroker.operations.problems import (
    BAD_REQUEST,
    NO_SUCH_CLIENT,
    NO_SUCH_MESSAGE,
    NO_SUCH_USER,
    NOT_AVAILABLE,
    Problem,
)
from mombroker.wiring.build import is_compiled


class AdminOperations:
    """Clients, retained messages, users, numbers."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def list_clients(self, caller: Caller, request: ops.ListClients) -> ops.ClientList:
        """List the sessions."""
        engine = await self._context.admin(caller)
        names = sorted(
            name
            for name, session in engine.sessions.items()
            if name > request.after and (session.connection is not None or not request.connected)
        )
        clients = tuple(_client(engine.sessions[name]) for name in names[: request.limit])
        return ops.ClientList(clients=clients, more=len(names) > request.limit)

    async def disconnect(self, caller: Caller, request: ops.DisconnectClient) -> queues.Done:
        """Disconnect a client, and end its session if that is wanted."""
        engine = await self._context.admin(caller)
        session = engine.sessions.get(request.client_id)
        if session is None:
            raise Problem(NO_SUCH_CLIENT, f"there is no client {request.client_id[:140]!r}")
        connection = session.connection
        if connection is not None:
            closing.disconnect(engine, connection, ADMINISTRATIVE_ACTION, "an administrator has closed the connection")
        if request.forget and not session.ended:
            session.will = None
            sessions.end(engine, session)
        await self._context.on_disk(True)
        return queues.Done()

    async def list_retained(self, caller: Caller, request: ops.ListRetained) -> ops.RetainedList:
        """List the topics of retained messages."""
        engine = await self._context.admin(caller)
        if not check_filter(request.filter):
            raise Problem(BAD_REQUEST, f"{request.filter[:140]!r} is no topic filter")
        found = sorted(
            (message for message in engine.retained.matching(request.filter) if message.topic > request.after),
            key=lambda message: message.topic,
        )
        retained = tuple(
            ops.RetainedInfo(
                topic=message.topic,
                qos=message.qos,
                bytes=len(message.payload),
                published_at=message.published_at,
                expires_at=message.expires_at,
            )
            for message in found[: request.limit]
        )
        return ops.RetainedList(retained=retained, more=len(found) > request.limit)

    async def delete_retained(self, caller: Caller, request: ops.DeleteRetained) -> queues.Done:
        """Delete the retained message of a topic."""
        engine = await self._context.admin(caller)
        if engine.retained.get(request.topic) is None:
            raise Problem(NO_SUCH_MESSAGE, f"nothing is retained for {request.topic[:140]!r}")
        retain(engine, Message(request.topic, b"", 0, True, b"", engine.now))
        await self._context.on_disk(True)
        return queues.Done()

    async def statistics(self, caller: Caller, request: ops.GetStatistics) -> ops.BrokerStatistics:
        """Tell what the broker has done."""
        engine = await self._context.admin(caller)
        counters = engine.statistics
        services = len(engine.requests.services)
        return ops.BrokerStatistics(
            version=__version__,
            uptime=engine.now - engine.started_at,
            compiled=is_compiled(),
            clients_connected=counters.clients_connected,
            sessions=len(engine.sessions),
            subscriptions=counters.subscriptions,
            queues=len(engine.named.queues) - services,
            services=services,
            messages_waiting=sum(queue.count for queue in engine.queues_by_id.values()),
            retained=engine.retained.count,
            publishes_received=counters.publishes_received,
            publishes_sent=counters.publishes_sent,
            publishes_dropped=counters.publishes_dropped,
            bytes_received=counters.bytes_received,
            bytes_sent=counters.bytes_sent,
            commits=counters.commits,
        )

    # -- users

    async def list_users(self, caller: Caller, request: ops.ListUsers) -> ops.UserList:
        """List the users."""
        directory = await self._directory(caller)
        users = sorted(await directory.list())
        return ops.UserList(users=tuple(ops.UserInfo(user=name, roles=tuple(roles)) for name, roles in users))

    async def put_user(self, caller: Caller, request: ops.PutUser) -> queues.Done:
        """Add or change a user."""
        directory = await self._directory(caller)
        await directory.put(request.user, request.password, request.roles)
        self._context.user_changed(request.user)
        return queues.Done()

    async def delete_user(self, caller: Caller, request: ops.DeleteUser) -> queues.Done:
        """Remove a user."""
        directory = await self._directory(caller)
        if not await directory.remove(request.user):
            raise Problem(NO_SUCH_USER, f"there is no user {request.user!r}")
        self._context.user_changed(request.user)
        return queues.Done()

    async def _directory(self, caller: Caller) -> UserDirectory:
        await self._context.admin(caller)
        if self._context.directory is None:
            raise Problem(NOT_AVAILABLE, "no plugin of this broker keeps users: enable [plugins.users]")
        return self._context.directory


def _client(session: Session) -> ops.ClientInfo:
    connection = session.connection
    return ops.ClientInfo(
        client_id=session.client_id,
        username=session.identity.username or "",
        connected=connection is not None,
        address=connection.address if connection is not None else "",
        version=session.version,
        expiry=session.expiry,
        subscriptions=len(session.subscriptions),
        queued=session.queue.count,
        inflight=len(session.inflight),
    )
