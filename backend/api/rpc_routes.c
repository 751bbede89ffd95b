#include "api/rpc_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

/* Paths are those of our own tables, so the hash needs no secret; the table is at most half full.
 */

static size_t route_slot(const struct rpc_server *server, struct bytes path)
{
    size_t at = (size_t)hash_bytes(0, path.data, path.len) & server->route_mask;
    for (;; at = (at + 1) & server->route_mask) {
        const struct rpc_route *route = &server->routes[at];
        if (route->path == NULL ||
            (route->len == path.len && memcmp(route->path, path.data, path.len) == 0)) {
            return at;
        }
    }
}

static void route_add(struct rpc_server *server, const char *path, enum rpc_kind kind, size_t index)
{
    struct bytes view = {(const uint8_t *)path, strlen(path)};
    struct rpc_route *route = &server->routes[route_slot(server, view)];
    CHECK(route->path == NULL); /* two methods of one path */
    *route = (struct rpc_route){.path = path, .len = view.len, .kind = kind, .index = index};
}

static void routes_build(struct rpc_server *server)
{
    size_t paths = server->method_count * (1 + RPC_JSON_PATHS_MAX) + server->config.page_count;
    size_t size = 16;
    while (size < 2 * paths) {
        size *= 2;
    }
    server->routes = mem_alloc_zero(size * sizeof *server->routes);
    server->route_mask = size - 1;
    for (size_t i = 0; i < server->method_count; i++) {
        const struct rpc_method *method = server->methods[i];
        route_add(server, method->path, KIND_GRPC, i);
        for (size_t j = 0; j < RPC_JSON_PATHS_MAX && method->json_paths[j] != NULL; j++) {
            route_add(server, method->json_paths[j], KIND_JSON, i);
        }
    }
    for (size_t i = 0; i < server->config.page_count; i++) {
        route_add(server, server->config.pages[i].path, KIND_PAGE, i);
    }
}

const struct rpc_route *server_find_route(const struct rpc_server *server, struct bytes path)
{
    const struct rpc_route *route = &server->routes[route_slot(server, path)];
    if (route->path != NULL) {
        return route;
    }
    /* Pages whose path ends with a slash serve what is below it; the longest one counts. */
    const struct rpc_route *best = NULL;
    for (size_t i = 0; i < server->config.page_count; i++) {
        const char *page = server->config.pages[i].path;
        size_t n = strlen(page);
        if (page[n - 1] == '/' && n <= path.len && memcmp(page, path.data, n) == 0 &&
            (best == NULL || n > best->len)) {
            best = &server->routes[route_slot(server, (struct bytes){path.data, n})];
        }
    }
    return best;
}

void server_init(struct rpc_server *server, const struct rpc_config *config)
{
    memset(server, 0, sizeof *server);
    server->config = *config;
    server->now = 1;
    server->method_count =
        config->method_count + COUNT_OF(health_methods) + COUNT_OF(reflection_methods);
    server->methods = mem_realloc_array(NULL, server->method_count, sizeof *server->methods);
    server->method_counters =
        mem_alloc_zero(server->method_count * sizeof *server->method_counters);
    size_t n = 0;
    for (size_t i = 0; i < config->method_count; i++) {
        server->methods[n++] = config->methods[i];
    }
    for (size_t i = 0; i < COUNT_OF(health_methods); i++) {
        server->methods[n++] = &health_methods[i];
    }
    for (size_t i = 0; i < COUNT_OF(reflection_methods); i++) {
        server->methods[n++] = &reflection_methods[i];
    }
    routes_build(server);
    http2_setup(server);
    health_setup(server);
}

static void pool_free(struct rpc_server *server)
{
    while (server->pool != NULL) {
        struct rpc_call *call = server->pool;
        server->pool = call->next;
        buf_deinit(&call->metadata);
        buf_deinit(&call->in);
        buf_deinit(&call->out);
        mem_free(call);
    }
}

void server_deinit(struct rpc_server *server)
{
    CHECK(server->conns == NULL && server->heap_count == 0);
    pool_free(server);
    health_teardown(server);
    nghttp2_session_callbacks_del(server->callbacks);
    nghttp2_option_del(server->option);
    mem_free(server->heap);
    mem_free(server->routes);
    mem_free(server->methods);
    mem_free(server->method_counters);
}

const struct rpc_counters *rpc_server_counters(const struct rpc_server *server)
{
    return &server->counters;
}

const struct rpc_method_counters *rpc_server_method_counters(const struct rpc_server *server,
                                                             size_t method_index)
{
    CHECK(method_index < server->method_count);
    return &server->method_counters[method_index];
}

uint32_t rpc_server_call_count(const struct rpc_server *server)
{
    return (uint32_t)server->counters.calls_open;
}
