#include "api/rpc_int.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/le.h"

/*
 * What the headers of a request say, and those of them that are kept for the method: one block of
 * entries, each a number, a 32-bit length, the value, and a zero byte.
 */

#define ENTRY_HEAD_BYTES 5

static const char *const kept_names[] = RPC_METADATA_KEPT;

/* By this, JSON clients send what gRPC clients call metadata. */
static const char JSON_PREFIX[] = "grpc-metadata-";

static bool header_is(struct bytes name, const char *text)
{
    size_t n = strlen(text);
    return name.len == n && memcmp(name.data, text, n) == 0;
}

static bool header_begins(struct bytes name, const char *text)
{
    size_t n = strlen(text);
    return name.len >= n && memcmp(name.data, text, n) == 0;
}

static void metadata_put(struct rpc_call *call, uint8_t number, struct bytes value)
{
    struct bytes there;
    if (call_find_metadata(call, number, &there)) {
        call->doubled |= (uint8_t)(number < 8 ? 1U << number : 0);
        return; /* the first one counts */
    }
    buf_reserve(&call->metadata, ENTRY_HEAD_BYTES + value.len + 1);
    buf_put_u8(&call->metadata, number);
    buf_put_u32(&call->metadata, (uint32_t)value.len);
    buf_put(&call->metadata, value.data, value.len);
    buf_put_u8(&call->metadata, 0);
}

bool call_find_metadata(const struct rpc_call *call, uint8_t number, struct bytes *ret)
{
    for (size_t at = 0; at < call->metadata.len;) {
        const uint8_t *entry = call->metadata.data + at;
        size_t length = le32_load(entry + 1);
        if (entry[0] == number) {
            *ret = (struct bytes){entry + ENTRY_HEAD_BYTES, length};
            return true;
        }
        at += ENTRY_HEAD_BYTES + length + 1;
    }
    return false;
}

bool call_is_doubled(const struct rpc_call *call, const char *name)
{
    for (uint8_t i = 0; i < COUNT_OF(kept_names); i++) {
        if (strcmp(kept_names[i], name) == 0) {
            return (call->doubled >> i & 1U) != 0;
        }
    }
    return false;
}

bool rpc_metadata(const struct rpc_call *call, const char *name, struct bytes *ret)
{
    for (uint8_t i = 0; i < COUNT_OF(kept_names); i++) {
        if (strcmp(kept_names[i], name) == 0) {
            return call_find_metadata(call, i, ret);
        }
    }
    return false;
}

void call_set_path(struct rpc_call *call, struct bytes target)
{
    struct rpc_server *server = call->conn->server;
    if (call->has_path || target.len == 0) {
        return;
    }
    call->has_path = true;
    const uint8_t *query = memchr(target.data, '?', target.len);
    struct bytes path = {target.data, query == NULL ? target.len : (size_t)(query - target.data)};
    const struct rpc_route *route = server_find_route(server, path);
    if (route == NULL) {
        metadata_put(call, META_TARGET, target);
        return;
    }
    call->kind = route->kind;
    if (route->kind == KIND_PAGE) {
        call->page = &server->config.pages[route->index];
        metadata_put(call, META_TARGET, target);
        return;
    }
    call->method = server->methods[route->index];
    call->counters = &server->method_counters[route->index];
}

const char *rpc_page_query(const struct rpc_call *call)
{
    struct bytes target = {NULL, 0};
    CHECK(call->page != NULL && call_find_metadata(call, META_TARGET, &target));
    const uint8_t *query = memchr(target.data, '?', target.len);
    return query == NULL ? "" : (const char *)query + 1;
}

struct bytes rpc_page_path(const struct rpc_call *call)
{
    struct bytes target = {NULL, 0};
    CHECK(call->page != NULL && call_find_metadata(call, META_TARGET, &target));
    const uint8_t *query = memchr(target.data, '?', target.len);
    return (struct bytes){target.data, query == NULL ? target.len : (size_t)(query - target.data)};
}

static void header_content_type(struct rpc_call *call, struct bytes value)
{
    static const char grpc[] = "application/grpc";
    size_t n = sizeof grpc - 1;
    call->is_grpc = header_begins(value, grpc) &&
                    (value.len == n || value.data[n] == '+' || value.data[n] == ';');
}

static void header_timeout(struct rpc_call *call, struct bytes value)
{
    nanos timeout = 0;
    if (!grpc_timeout_parse(value, &timeout)) {
        call->bad_timeout = true;
        return;
    }
    /* 0 stands for none, so that a time-out of nothing ends with this turn. */
    call->deadline = u64_max(u64_add_sat(call->conn->server->now, timeout), 1);
}

void call_set_header(struct rpc_call *call, struct bytes name, struct bytes value)
{
    if (header_is(name, "content-type")) {
        header_content_type(call, value);
        return;
    }
    if (header_begins(name, JSON_PREFIX)) {
        name.data += sizeof JSON_PREFIX - 1;
        name.len -= sizeof JSON_PREFIX - 1;
    } else if (header_is(name, "grpc-timeout")) {
        header_timeout(call, value);
        return;
    } else if (header_is(name, "grpc-encoding")) {
        if (!header_is(value, "identity")) {
            call->is_compressed = true;
            metadata_put(call, META_ENCODING, value);
        }
        return;
    }
    for (uint8_t i = 0; i < COUNT_OF(kept_names); i++) {
        if (header_is(name, kept_names[i])) {
            metadata_put(call, i, value);
            return;
        }
    }
}
