#include "tests/api/fake_rpc.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "tests/support/test.h"

struct rpc_call *fake_call_open(void *ctx, const struct rpc_method *const *methods, size_t n,
                                const char *path, const struct fake_metadata *metadata)
{
    struct rpc_call *call = mem_alloc_zero(sizeof(*call));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(methods[i]->path, path) == 0) {
            call->method = methods[i];
        }
    }
    assert_non_null(call->method);
    call->ctx = ctx;
    call->high_mark = SIZE_MAX;
    for (size_t i = 0; metadata && metadata[i].name; i++) {
        assert_true(i < FAKE_METADATA_MAX - 1);
        call->metadata[i] = metadata[i];
    }
    if (call->method->begin) {
        call->method->begin(call);
    }
    return call;
}

struct rpc_call *fake_page_open(void *ctx, const struct rpc_page *pages, size_t n, const char *path,
                                const char *query)
{
    struct rpc_call *call = mem_alloc_zero(sizeof(*call));
    for (size_t i = 0; i < n; i++) {
        call->page = strcmp(pages[i].path, path) == 0 ? &pages[i] : call->page;
    }
    assert_non_null(call->page);
    call->ctx = ctx;
    call->query = query;
    call->high_mark = SIZE_MAX;
    call->page->serve(call);
    return call;
}

static void fake_tell_gone(struct rpc_call *call)
{
    call->is_gone = true;
    call->is_finished = true;
    void (*gone)(struct rpc_call *) = call->page ? call->page->gone : call->method->gone;
    if (gone) {
        gone(call);
    }
}

void fake_call_message(struct rpc_call *call, struct bytes message)
{
    if (!call->is_finished) {
        call->method->message(call, message);
    }
}

void fake_call_half_close(struct rpc_call *call)
{
    if (!call->is_finished && call->method->half_closed) {
        call->method->half_closed(call);
    }
}

void fake_call_turn(struct rpc_call *call)
{
    if (call->is_finished && !call->is_gone) {
        fake_tell_gone(call);
    }
}

void fake_call_drain(struct rpc_call *call)
{
    call->queued = 0;
    if (call->is_full && !call->is_finished) {
        call->is_full = false;
        if (call->method->writable) {
            call->method->writable(call);
        }
    }
}

void fake_call_close(struct rpc_call *call)
{
    if (!call->is_gone) {
        fake_tell_gone(call);
    }
    for (size_t i = 0; i < call->count; i++) {
        buf_deinit(&call->messages[i]);
    }
    mem_free(call->messages);
    mem_free(call);
}

struct bytes fake_call_answer(const struct rpc_call *call, size_t i)
{
    assert_true(i < call->count);
    return buf_view(&call->messages[i]);
}

/* --- api/rpc.h ------------------------------------------------------------------------------- */

void *rpc_state(const struct rpc_call *call)
{
    return call->state;
}

void rpc_set_state(struct rpc_call *call, void *state)
{
    call->state = state;
}

void *rpc_ctx(const struct rpc_call *call)
{
    return call->ctx;
}

const struct rpc_method *rpc_method_of(const struct rpc_call *call)
{
    return call->method;
}

bool rpc_has_room(const struct rpc_call *call)
{
    return call->queued <= call->high_mark;
}

static void fake_keep(struct rpc_call *call, struct bytes head, struct bytes body)
{
    void *messages = call->messages;
    mem_grow(&messages, &call->cap, call->count + 1, sizeof(call->messages[0]));
    call->messages = messages;
    struct buf *b = &call->messages[call->count++];
    buf_init(b);
    buf_put(b, head.data, head.len);
    buf_put(b, body.data, body.len);
    call->queued += b->len;
}

bool rpc_send(struct rpc_call *call, struct bytes head, struct bytes body)
{
    assert_false(call->is_finished || call->is_gone);
    assert_false(call->page || (call->method->shape == RPC_UNARY && call->count > 0));
    fake_keep(call, head, body);
    call->is_full = call->is_full || !rpc_has_room(call);
    return rpc_has_room(call);
}

void rpc_finish(struct rpc_call *call, int status, const char *text)
{
    assert_false(call->is_finished || call->is_gone);
    assert_non_null(call->method);
    assert_false(call->method->shape == RPC_UNARY && status == RPC_OK && call->count != 1);
    call->is_finished = true;
    call->status = status;
    if (text && status != RPC_OK) {
        (void)snprintf(call->text, sizeof(call->text), "%s", text);
    }
}

void rpc_set_remark(struct rpc_call *call, const char *name, const char *value)
{
    assert_false(call->is_finished || call->is_gone);
    (void)snprintf(call->remark, sizeof(call->remark), "%s: %s", name, value);
}

bool rpc_is_traced(const struct rpc_call *call)
{
    return call->is_traced;
}

void rpc_stage(struct rpc_call *call, const char *name, nanos begin, nanos end)
{
    if (call->stage_count < RPC_STAGES_MAX) {
        call->stages[call->stage_count++] = (struct fake_stage){name, begin, end};
    }
}

bool rpc_metadata(const struct rpc_call *call, const char *name, struct bytes *ret)
{
    for (size_t i = 0; i < FAKE_METADATA_MAX && call->metadata[i].name; i++) {
        if (strcmp(call->metadata[i].name, name) == 0) {
            const char *value = call->metadata[i].value;
            *ret = (struct bytes){(const uint8_t *)value, strlen(value)};
            return true;
        }
    }
    return false;
}

const char *rpc_peer(const struct rpc_call *call)
{
    (void)call;
    return "127.0.0.1:1";
}

const char *rpc_certificate_name(const struct rpc_call *call)
{
    return call->certificate_name;
}

nanos rpc_deadline(const struct rpc_call *call)
{
    (void)call;
    return 0;
}

bool rpc_is_json(const struct rpc_call *call)
{
    (void)call;
    return false;
}

const char *rpc_page_query(const struct rpc_call *call)
{
    return call->query;
}

void rpc_page_send(struct rpc_call *call, int http_status, const char *content_type,
                   struct bytes body)
{
    assert_non_null(call->page);
    assert_non_null(content_type);
    assert_false(call->is_finished || call->is_gone);
    fake_keep(call, (struct bytes){0}, body);
    call->is_finished = true;
    call->http_status = http_status;
}
