"""Everything there is, by path and method. The order matters twice: where paths overlap the first one counts, and
those used most stand first."""

from collections.abc import Mapping
from typing import Final

from mombroker.api.http import messages, pushing, services, sign_in
from mombroker.api.http.endpoint import Endpoint, operation
from mombroker.operations.problems import (
    BAD_POLICY,
    NO_SUCH_CLIENT,
    NO_SUCH_MESSAGE,
    NO_SUCH_QUEUE,
    NO_SUCH_REQUEST,
    NO_SUCH_SERVICE,
    NO_SUCH_USER,
    NOT_AVAILABLE,
    QUEUE_EXISTS,
    QUEUE_FULL,
    QUEUE_IN_USE,
    QUOTA,
    UNKNOWN_LEASE,
)

ROUTES: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "/v1/queues/{queue}/messages": {
        "POST": messages.enqueue,
        "GET": operation("message.peek", query="limit", problems=(NO_SUCH_QUEUE,)),
        "DELETE": operation("queue.purge", problems=(NO_SUCH_QUEUE,)),
    },
    "/v1/queues/{queue}/pull": {"POST": messages.pull},
    "/v1/queues/{queue}/stream": {"GET": pushing.stream},
    "/v1/queues/{queue}/redrive": {
        "POST": operation("queue.redrive", query="limit", problems=(NO_SUCH_QUEUE, QUEUE_FULL, QUOTA))
    },
    "/v1/queues/{queue}/messages/{id:path}": {
        "GET": operation("message.find", problems=(NO_SUCH_QUEUE, NO_SUCH_MESSAGE))
    },
    "/v1/leases/ack": {"POST": operation("message.ack", body="leases", problems=(UNKNOWN_LEASE,))},
    "/v1/leases/nack": {
        "POST": operation("message.nack", body="leases delay dead_letter reason", problems=(UNKNOWN_LEASE,))
    },
    "/v1/leases/extend": {"POST": operation("message.extend", body="leases seconds", problems=(UNKNOWN_LEASE,))},
    "/v1/leases/{lease}": {"DELETE": messages.ack_one},
    "/v1/services/{service}/requests": {"POST": services.ask},
    "/v1/services/{service}/next": {"POST": services.next_request},
    "/v1/requests/{id}/reply": {"GET": services.fetch_content, "POST": services.reply},
    "/v1/requests/{id}": {
        "GET": services.fetch,
        "DELETE": operation("request.cancel", problems=(NO_SUCH_REQUEST,)),
    },
    "/v1/topics/{topic:path}": {"POST": messages.publish},
    "/v1/queues": {"GET": operation("queue.list", query="pattern after limit")},
    "/v1/queues/{queue}": {
        "GET": operation("queue.get", problems=(NO_SUCH_QUEUE,)),
        "PUT": operation("queue.create", body="policy bindings", problems=(QUEUE_EXISTS, BAD_POLICY, QUOTA)),
        "PATCH": operation("queue.change", body="policy bindings", problems=(NO_SUCH_QUEUE, BAD_POLICY, QUOTA)),
        "DELETE": operation("queue.delete", query="if_empty if_unused", problems=(NO_SUCH_QUEUE, QUEUE_IN_USE)),
    },
    "/v1/services": {"GET": operation("service.list")},
    "/v1/services/{service}": {
        "PUT": operation("service.create", problems=(QUEUE_EXISTS, QUOTA)),
        "DELETE": operation("service.delete", problems=(NO_SUCH_SERVICE,)),
    },
    "/v1/grants": {"GET": operation("grant.list")},
    "/v1/grants/{user:path}/{pattern}": {
        "PUT": operation("grant.put", body="rights"),
        "DELETE": operation("grant.delete"),
    },
    "/v1/tokens": {"POST": sign_in.issue_token},
    "/v1/tokens/current": {"DELETE": sign_in.revoke_token},
    "/v1/clients": {"GET": operation("client.list", query="after limit connected")},
    "/v1/clients/{client_id:path}": {
        "DELETE": operation("client.disconnect", query="forget", problems=(NO_SUCH_CLIENT,))
    },
    "/v1/retained": {"GET": operation("retained.list", query="filter after limit")},
    "/v1/retained/{topic:path}": {"DELETE": operation("retained.delete", problems=(NO_SUCH_MESSAGE,))},
    "/v1/users": {"GET": operation("user.list", problems=(NOT_AVAILABLE,))},
    "/v1/users/{user:path}": {
        "PUT": operation("user.put", body="password roles", problems=(NO_SUCH_USER, NOT_AVAILABLE)),
        "DELETE": operation("user.delete", problems=(NO_SUCH_USER, NOT_AVAILABLE)),
    },
    "/v1/statistics": {"GET": operation("broker.statistics")},
}
