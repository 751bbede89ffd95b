#include "api/rpc_int.h"

#include "core/base/check.h"
#include "core/base/mem.h"

/*
 * A binary heap of the calls that have a deadline. Clients mostly use one time-out for all calls,
 * so a new call mostly belongs at the end, and costs one comparison.
 */

static void deadline_set(struct rpc_server *server, size_t at, struct rpc_call *call)
{
    server->heap[at] = call;
    call->heap_at = at + 1;
}

static void deadline_rise(struct rpc_server *server, size_t at, struct rpc_call *call)
{
    while (at > 0 && server->heap[(at - 1) / 2]->deadline > call->deadline) {
        deadline_set(server, at, server->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    deadline_set(server, at, call);
}

static void deadline_sink(struct rpc_server *server, size_t at, struct rpc_call *call)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= server->heap_count) {
            break;
        }
        if (child + 1 < server->heap_count &&
            server->heap[child + 1]->deadline < server->heap[child]->deadline) {
            child++;
        }
        if (server->heap[child]->deadline >= call->deadline) {
            break;
        }
        deadline_set(server, at, server->heap[child]);
        at = child;
    }
    deadline_set(server, at, call);
}

void deadline_add(struct rpc_call *call)
{
    struct rpc_server *server = call->conn->server;
    CHECK(call->heap_at == 0 && call->deadline != 0);
    mem_grow((void **)&server->heap, &server->heap_cap, server->heap_count + 1,
             sizeof(struct rpc_call *));
    deadline_rise(server, server->heap_count++, call);
}

void deadline_remove(struct rpc_call *call)
{
    struct rpc_server *server = call->conn->server;
    if (call->heap_at == 0) {
        return;
    }
    size_t at = call->heap_at - 1;
    call->heap_at = 0;
    struct rpc_call *last = server->heap[--server->heap_count];
    if (last != call) {
        deadline_rise(server, at, last);
        deadline_sink(server, last->heap_at - 1, last);
    }
}

nanos server_expire(struct rpc_server *server, nanos now)
{
    server->now = now;
    while (server->heap_count > 0 && server->heap[0]->deadline <= now) {
        struct rpc_call *call = server->heap[0];
        deadline_remove(call);
        call_fail(call, RPC_DEADLINE_EXCEEDED, "context deadline exceeded");
    }
    return server->heap_count == 0 ? NANOS_FOREVER : server->heap[0]->deadline;
}
