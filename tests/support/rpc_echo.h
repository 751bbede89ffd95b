/*
 * A service that sends back what it is sent, in every shape that a method can have, and counts the
 * callbacks that it got: what tests of the protocol layer speak to.
 *
 *     /test.Echo/Unary     unary; the message                          JSON /v3/test/unary
 *     /test.Echo/Stream    server stream; the message three times      JSON /v3/test/stream
 *     /test.Echo/Bidi      each message; ends when the client does     JSON /v3/test/bidi
 *     /test.Echo/Open      each message; stays open, like a watch      JSON /v3/test/open
 *     /test.Echo/Fail      unary; FAILED_PRECONDITION, the text in ECHO_FAILURE  JSON /v3/test/fail
 *     /test.Echo/FailLate  server stream; the message, then UNAVAILABLE  JSON /v3/test/faillate
 *     /test.Echo/Regret    unary; the message, then ABORTED all the same  JSON /v3/test/regret
 *     /test.Echo/Never     unary; answers nothing until echo_answer_all
 *     /test.Echo/Flood     server stream; as many messages of 1000 bytes as there is room for, and
 *                          more when there is again, ECHO_FLOOD_COUNT in all
 *                                                                  JSON /v3/test/flood
 *     /test.Echo/Torrent   the same, but without asking for room
 *     /version /debug/     pages
 *
 * As JSON, requests and responses are etcdserverpb.TxnRequest.
 */
#ifndef NOVACRON_TESTS_SUPPORT_RPC_ECHO_H
#define NOVACRON_TESTS_SUPPORT_RPC_ECHO_H

#include "api/rpc.h"

#define ECHO_FAILURE     "50 % of it is no good: \xC3\xBC\n"
#define ECHO_FLOOD_COUNT 20000
#define ECHO_FLOOD_BYTES 1000

/* The server's ctx. */
struct echo_log {
    size_t begun, messages, half_closed, gone, writable;
    size_t flooded;
    struct rpc_call *waiting[64]; /* of Never */
    size_t waiting_count;
    char token[64], peer[64];
    const char *remark; /* every call gets it as "novacron-echo"; NULL: none */
};

extern const struct rpc_method *const echo_methods[];
extern const size_t echo_method_count;
extern const struct rpc_page echo_pages[];
extern const size_t echo_page_count;

/* A configuration with all of it, on a free port of loopback. */
struct rpc_config echo_config(struct echo_log *log);

/* Answers the calls of Never that still wait, with an empty message. */
void echo_answer_all(struct echo_log *log);

#endif
