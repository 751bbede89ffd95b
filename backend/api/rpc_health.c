#include "api/rpc_int.h"

#include <string.h>

#include <health.pb-c.h>

#include "api/pb_wire.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* gRPC's health checking: a list of services and whether they serve, and the calls that watch. */

#define REQUEST_SERVICE 1
#define RESPONSE_STATUS 1

/* Names of services are short; a longer one is not known here. */
#define SERVICE_NAME_MAX_BYTES 256

struct health_service {
    char *name; /* owned */
    bool serving;
};

struct health_watch {
    struct rpc_call *call;
    struct health_watch *next, **link;
    char service[SERVICE_NAME_MAX_BYTES];
};

struct health_state {
    struct health_service *services;
    size_t count, cap;
    struct health_watch *watches;
};

static struct health_service *health_find(const struct rpc_server *server, const char *name)
{
    struct health_state *state = server->health;
    for (size_t i = 0; i < state->count; i++) {
        if (strcmp(state->services[i].name, name) == 0) {
            return &state->services[i];
        }
    }
    return NULL;
}

static void health_send(struct rpc_call *call, int status)
{
    struct buf wire = {.data = NULL};
    if (status != 0) {
        pb_put_varint(&wire, RESPONSE_STATUS, (uint64_t)status);
    }
    (void)rpc_send(call, (struct bytes){NULL, 0}, buf_view(&wire));
    buf_deinit(&wire);
}

static int health_status(const struct rpc_server *server, const char *name)
{
    const struct health_service *service = health_find(server, name);
    if (service == NULL) {
        return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    }
    return service->serving ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                            : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static struct health_service *health_add(struct rpc_server *server, const char *name, size_t n)
{
    struct health_state *state = server->health;
    mem_grow((void **)&state->services, &state->cap, state->count + 1, sizeof *state->services);
    struct health_service *service = &state->services[state->count++];
    service->name = mem_alloc(n + 1);
    memcpy(service->name, name, n);
    service->name[n] = '\0';
    service->serving = true;
    return service;
}

void health_setup(struct rpc_server *server)
{
    server->health = mem_alloc_zero(sizeof *server->health);
    (void)health_add(server, "", 0);
    for (size_t i = 0; i < server->method_count; i++) {
        char name[SERVICE_NAME_MAX_BYTES];
        const char *path = server->methods[i]->path;
        const char *end = strrchr(path, '/');
        size_t n = (size_t)(end - path) - 1;
        CHECK(path[0] == '/' && end > path && n < sizeof name);
        memcpy(name, path + 1, n);
        name[n] = '\0';
        if (health_find(server, name) == NULL) {
            (void)health_add(server, name, n);
        }
    }
}

void health_teardown(struct rpc_server *server)
{
    struct health_state *state = server->health;
    CHECK(state->watches == NULL);
    for (size_t i = 0; i < state->count; i++) {
        mem_free(state->services[i].name);
    }
    mem_free(state->services);
    mem_free(state);
}

void rpc_server_set_health(struct rpc_server *server, const char *name, bool serving)
{
    struct health_service *service = health_find(server, name);
    bool known = service != NULL;
    if (!known) {
        service = health_add(server, name, strlen(name));
    }
    if (known && service->serving == serving) {
        return;
    }
    service->serving = serving;
    for (struct health_watch *w = server->health->watches; w != NULL; w = w->next) {
        if (strcmp(w->service, name) == 0) {
            health_send(w->call, health_status(server, name));
        }
    }
}

/* False: the request is broken, and the call has been answered. */
static bool health_service_of(struct rpc_call *call, struct bytes message,
                              char name[SERVICE_NAME_MAX_BYTES])
{
    struct pb_field field;
    name[0] = '\0';
    while (pb_next(&message, &field)) {
        if (field.number == REQUEST_SERVICE && field.type == PB_BYTES) {
            size_t n = (size_t)u64_min(field.bytes.len, SERVICE_NAME_MAX_BYTES - 1);
            memcpy(name, field.bytes.data, n);
            name[n] = '\0';
        }
    }
    if (message.len > 0) {
        rpc_finish(call, RPC_INTERNAL, "grpc: error unmarshalling request");
        return false;
    }
    return true;
}

static void health_check(struct rpc_call *call, struct bytes message)
{
    char name[SERVICE_NAME_MAX_BYTES];
    if (!health_service_of(call, message, name)) {
        return;
    }
    if (health_find(call->conn->server, name) == NULL) {
        rpc_finish(call, RPC_NOT_FOUND, "unknown service");
        return;
    }
    health_send(call, health_status(call->conn->server, name));
    rpc_finish(call, RPC_OK, NULL);
}

static void health_watch(struct rpc_call *call, struct bytes message)
{
    struct rpc_server *server = call->conn->server;
    struct health_watch *watch = mem_alloc_zero(sizeof *watch);
    if (!health_service_of(call, message, watch->service)) {
        mem_free(watch);
        return;
    }
    watch->call = call;
    watch->next = server->health->watches;
    watch->link = &server->health->watches;
    if (watch->next != NULL) {
        watch->next->link = &watch->next;
    }
    server->health->watches = watch;
    rpc_set_state(call, watch);
    health_send(call, health_status(server, watch->service));
}

static void health_watch_gone(struct rpc_call *call)
{
    struct health_watch *watch = rpc_state(call);
    if (watch != NULL) {
        *watch->link = watch->next;
        if (watch->next != NULL) {
            watch->next->link = watch->link;
        }
        mem_free(watch);
    }
}

const struct rpc_method health_methods[2] = {
    {
        .path = "/grpc.health.v1.Health/Check",
        .shape = RPC_UNARY,
        .message = health_check,
    },
    {
        .path = "/grpc.health.v1.Health/Watch",
        .shape = RPC_SERVER_STREAM,
        .message = health_watch,
        .gone = health_watch_gone,
    },
};
