/*
 * Gets one page of a server: /metrics, /debug/raft, /health. One HTTP/1.1 request on a connection
 * of its own, for the CLI, which asks many members at one time and waits for none of them longer
 * than for the others. What comes is untrusted: its length is bounded, its form is http-parser's
 * matter.
 *
 * Everything happens on the thread of the io's loop; `done` is called from the loop alone.
 */
#ifndef NOVACRON_API_CLIENT_PAGE_CLIENT_H
#define NOVACRON_API_CLIENT_PAGE_CLIENT_H

#include "api/rpc_socket.h"
#include "api/rpc_tls.h"

/* The longest page; a longer one is a failure. */
#define PAGE_BYTES_MAX (8 * 1024 * 1024)

struct page_get; /* under way; opaque */

struct page_request {
    const char *endpoint;      /* as in rpc_client.h; copied */
    const char *path;          /* "/metrics"; static */
    const struct rpc_tls *tls; /* for https; borrowed; may be NULL */
    nanos timeout;             /* for all of it */
    /* `status` is HTTP's, with the body, borrowed for the call; or 0, and `why` says what went
     * wrong. Called once, unless it is dropped. */
    void (*done)(void *arg, int status, struct bytes body, const char *why);
    void *arg;
};

/* Begins. ERR_INVALID: the endpoint cannot be read, or needs TLS that there is none for. */
MUST_USE enum err page_get_begin(struct rpc_io *io, const struct page_request *request,
                                 struct page_get **ret);

/* Ends it without a callback. Not after `done`, and not from inside it. */
void page_get_drop(struct page_get *get);

#endif
