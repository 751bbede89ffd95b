/*
 * fake_rpc: api/rpc.h in memory, for testing services without sockets. It keeps that header's
 * promises: one message to a unary method, `gone` once and last and never inside rpc_finish,
 * nothing after rpc_finish; and it fails the test where a service breaks its own (a message after
 * the end, OK without a message).
 */
#ifndef NOVACRON_TESTS_API_FAKE_RPC_H
#define NOVACRON_TESTS_API_FAKE_RPC_H

#include "api/rpc.h"

#define FAKE_METADATA_MAX 8

struct fake_metadata {
    const char *name;
    const char *value;
};

struct rpc_call {
    const struct rpc_method *method;
    void *ctx;
    void *state;
    struct fake_metadata metadata[FAKE_METADATA_MAX];
    const char *certificate_name;
    struct buf *messages; /* owned; what was sent */
    size_t count, cap;
    size_t queued;    /* bytes that the client has not taken */
    size_t high_mark; /* above it there is no room */
    bool is_full;     /* rpc_send said false */
    bool is_finished;
    bool is_gone;
    int status;
    char text[256];
    char remark[256]; /* "name: value" */
    bool is_traced;
    size_t stage_count; /* what was told, the first of them: */
    struct fake_stage {
        const char *name;
        nanos begin;
        nanos end;
    } stages[RPC_STAGES_MAX];
    /* of a page */
    const struct rpc_page *page;
    const char *query;
    int http_status;
};

/* A request for the page of this path; the answer is its one message. */
struct rpc_call *fake_page_open(void *ctx, const struct rpc_page *pages, size_t n, const char *path,
                                const char *query);

/* A call to the method of this path of `methods`; fails the test where there is none. `metadata`
 * ends with a NULL name, and may be NULL. */
struct rpc_call *fake_call_open(void *ctx, const struct rpc_method *const *methods, size_t n,
                                const char *path, const struct fake_metadata *metadata);
void fake_call_message(struct rpc_call *call, struct bytes message);
void fake_call_half_close(struct rpc_call *call);

/* What the loop does later: a call that was finished is gone. */
void fake_call_turn(struct rpc_call *call);

/* The client takes all that was queued. */
void fake_call_drain(struct rpc_call *call);

/* The client goes, if it has not gone; the call is freed. */
void fake_call_close(struct rpc_call *call);

struct bytes fake_call_answer(const struct rpc_call *call, size_t i);

#endif
