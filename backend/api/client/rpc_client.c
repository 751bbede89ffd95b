#include "api/client/rpc_client.h"

#include <stdio.h>
#include <string.h>

#include "api/client/rpc_client_int.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/*
 *   IDLE --a call--> RESOLVING --address--> CONNECTING --ready--> READY --lost--> IDLE
 *                        |                       |
 *                        +--- next endpoint <----+   after the last one, waiting calls fail
 *
 * A lookup and a timer cannot be taken back at once from libuv, so each is an allocation of its own
 * that outlives the client where it must, and then finds `client` NULL.
 */

#define CONNECT_TIMEOUT_DEFAULT (2 * NANOS_PER_S)
#define TICK_MS                 50

struct client_lookup {
    uv_getaddrinfo_t request;
    struct rpc_client *client;
};

struct client_timer {
    uv_timer_t timer; /* its data is the io */
    struct rpc_client *client;
};

static void client_connect(struct rpc_client *client);
static void client_try_next(struct rpc_client *client, const char *why);

/* --- The connection --------------------------------------------------------------------------- */

static void client_input(void *owner, struct bytes plain)
{
    struct rpc_client *client = owner;
    client->inside = true;
    ssize_t taken = nghttp2_session_mem_recv(client->session, plain.data, plain.len);
    client->inside = false;
    if (taken < 0) {
        client_try_next(client, "the server does not speak HTTP/2");
    } else if (client->leaving) {
        rpc_client_next_endpoint(client);
    } else {
        rpc_socket_wake(client->socket);
    }
}

static bool client_produce(void *owner, struct buf *sink, size_t room)
{
    struct rpc_client *client = owner;
    client->inside = true;
    bool more = client_session_produce(client, sink, room);
    client->inside = false;
    if (client->leaving) {
        rpc_client_next_endpoint(client);
        return false;
    }
    if (!more && nghttp2_session_want_read(client->session) == 0 &&
        nghttp2_session_want_write(client->session) == 0) {
        rpc_socket_finish(client->socket);
    }
    return more;
}

static void client_ready(void *owner)
{
    struct rpc_client *client = owner;
    client->state = CLIENT_READY;
    client->going_away = false;
    client->session = client_session_open(client);
    client_submit_waiting(client);
}

void client_say_loss(const struct rpc_socket *socket, enum err why, const char *otherwise,
                     char text[CLIENT_WHY_BYTES])
{
    const char *tls = rpc_socket_why(socket);
    (void)snprintf(text, CLIENT_WHY_BYTES, "%s%s%s",
                   why == ERR_DENIED     ? "a certificate was refused"
                   : why == ERR_PROTOCOL ? "TLS failed"
                                         : otherwise,
                   tls[0] != '\0' ? ": " : "", tls);
}

static void client_lost(void *owner, enum err why)
{
    struct rpc_client *client = owner;
    char text[CLIENT_WHY_BYTES];
    client_say_loss(client->socket, why,
                    client->state == CLIENT_READY ? "the connection was lost"
                                                  : "the server cannot be reached",
                    text);
    client->socket = NULL;
    client_try_next(client, text);
}

static const struct rpc_socket_owner client_socket_ops = {
    .input = client_input,
    .produce = client_produce,
    .ready = client_ready,
    .lost = client_lost,
};

/* Ends the calls whose stream is -1. They were marked before, because a callback may begin calls
 * that must not end with them. */
static void client_end_marked(struct rpc_client *client, const char *why)
{
    struct rpc_client_call *call = client->calls;
    while (call != NULL) {
        if (call->stream_id == -1) {
            client_call_done(call, RPC_UNAVAILABLE, why);
            call = client->calls;
        } else {
            call = call->next;
        }
    }
}

/* Leaves the connection, if there is one; calls on it end with `why`. */
static void client_disconnect(struct rpc_client *client, const char *why)
{
    if (client->socket != NULL) {
        rpc_socket_close(client->socket);
        client->socket = NULL;
    }
    if (client->lookup != NULL) {
        client->lookup->client = NULL;
        (void)uv_cancel((uv_req_t *)&client->lookup->request);
        client->lookup = NULL;
    }
    nghttp2_session *session = client->session;
    client->session = NULL;
    client->state = CLIENT_IDLE;
    for (struct rpc_client_call *call = client->calls; call != NULL; call = call->next) {
        call->stream_id = call->stream_id > 0 ? -1 : call->stream_id;
    }
    client_end_marked(client, why);
    nghttp2_session_del(session);
}

static bool client_has_waiting(const struct rpc_client *client)
{
    for (const struct rpc_client_call *call = client->calls; call != NULL; call = call->next) {
        if (call->stream_id == 0) {
            return true;
        }
    }
    return false;
}

static void client_fail_waiting(struct rpc_client *client, const char *why)
{
    for (struct rpc_client_call *call = client->calls; call != NULL; call = call->next) {
        call->stream_id = call->stream_id == 0 ? -1 : call->stream_id;
    }
    client_end_marked(client, why);
}

static void client_try_next(struct rpc_client *client, const char *why)
{
    bool was_ready = client->state == CLIENT_READY;
    client->failures = was_ready ? 0 : client->failures + 1;
    client->current = (client->current + 1) % client->endpoint_count;
    client_disconnect(client, why);
    if (client->state != CLIENT_IDLE) {
        return; /* a callback has begun anew */
    }
    if (client->failures >= client->endpoint_count) {
        client->failures = 0;
        client_fail_waiting(client, why);
    }
    if (client_has_waiting(client)) {
        client_want_connection(client);
    }
}

static void client_dial(struct rpc_client *client, const struct sockaddr *address)
{
    const struct rpc_endpoint *e = &client->endpoints[client->current];
    client->state = CLIENT_CONNECTING;
    if (rpc_socket_connect(client->io, address, e->tls ? client->tls : NULL, e->host,
                           &client_socket_ops, client, &client->socket) != OK) {
        client_try_next(client, "the server cannot be reached");
    }
}

static void client_on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct client_lookup *lookup = request->data;
    struct rpc_client *client = lookup->client;
    if (client != NULL) {
        client->lookup = NULL;
        if (status == 0) {
            client_dial(client, list->ai_addr);
        } else {
            client_try_next(client, "the name of the server is not known");
        }
    }
    uv_freeaddrinfo(list);
    mem_free(lookup);
}

static void client_resolve(struct rpc_client *client, const struct rpc_endpoint *e)
{
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)e->port);
    struct client_lookup *lookup = mem_alloc_zero(sizeof *lookup);
    lookup->client = client;
    lookup->request.data = lookup;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    client->state = CLIENT_RESOLVING;
    client->lookup = lookup;
    if (uv_getaddrinfo(client->io->loop, &lookup->request, client_on_resolved, e->host, port,
                       &hints) != 0) {
        client->lookup = NULL;
        mem_free(lookup);
        client_try_next(client, "the name of the server is not known");
    }
}

static void client_connect(struct rpc_client *client)
{
    const struct rpc_endpoint *e = &client->endpoints[client->current];
    struct sockaddr_storage address;
    client->connect_deadline = rpc_io_now(client->io) + client->connect_timeout;
    if (uv_ip4_addr(e->host, e->port, (struct sockaddr_in *)&address) == 0 ||
        uv_ip6_addr(e->host, e->port, (struct sockaddr_in6 *)&address) == 0) {
        client_dial(client, (struct sockaddr *)&address);
    } else {
        client_resolve(client, e);
    }
}

void client_want_connection(struct rpc_client *client)
{
    if (client->state == CLIENT_IDLE && !client->closing) {
        client_connect(client);
    }
}

/* --- Time ------------------------------------------------------------------------------------- */

static void client_expire_calls(struct rpc_client *client, nanos now)
{
    struct rpc_client_call *next = NULL;
    for (struct rpc_client_call *call = client->calls; call != NULL; call = next) {
        next = call->next;
        if (call->deadline != 0 && call->deadline <= now) {
            client_call_done(call, RPC_DEADLINE_EXCEEDED, "context deadline exceeded");
            next = client->calls;
        }
    }
}

static void client_on_tick(uv_timer_t *timer)
{
    struct rpc_client *client = ((struct client_timer *)timer)->client;
    if (client == NULL) {
        return;
    }
    nanos now = rpc_io_now(client->io);
    client_expire_calls(client, now);
    bool connecting = client->state == CLIENT_RESOLVING || client->state == CLIENT_CONNECTING;
    if (connecting && client->connect_deadline <= now) {
        client_try_next(client, "the server does not answer");
    }
    if (client->going_away && client->state == CLIENT_READY && client_has_waiting(client)) {
        client_disconnect(client, "the server is going away");
        client_want_connection(client);
    }
}

static void client_on_timer_closed(uv_handle_t *handle)
{
    rpc_io_uncount(handle);
    mem_free(handle);
}

/* --- Opening and closing ---------------------------------------------------------------------- */

static char *client_copy(const char *text)
{
    size_t n = strlen(text) + 1;
    return memcpy(mem_alloc(n), text, n);
}

enum err rpc_client_open(struct rpc_io *io, const struct rpc_client_config *config,
                         struct rpc_client **ret)
{
    if (config->endpoint_count == 0 || config->endpoint_count > RPC_ENDPOINTS_MAX) {
        return ERR_INVALID;
    }
    struct rpc_client *client = mem_alloc_zero(sizeof *client);
    for (size_t i = 0; i < config->endpoint_count; i++) {
        struct rpc_endpoint *e = &client->endpoints[i];
        if (!endpoint_parse(config->endpoints[i], config->tls != NULL, e) ||
            (e->tls && config->tls == NULL)) {
            mem_free(client);
            return ERR_INVALID;
        }
    }
    for (size_t i = 0; i < config->endpoint_count; i++) {
        client->endpoints[i].text = client_copy(config->endpoints[i]);
    }
    client->io = io;
    client->endpoint_count = config->endpoint_count;
    client->tls = config->tls;
    client->connect_timeout =
        config->connect_timeout == 0 ? CONNECT_TIMEOUT_DEFAULT : config->connect_timeout;
    struct client_timer *timer = mem_alloc_zero(sizeof *timer);
    CHECK(uv_timer_init(io->loop, &timer->timer) == 0);
    timer->timer.data = io;
    timer->client = client;
    rpc_io_count(io);
    CHECK(uv_timer_start(&timer->timer, client_on_tick, TICK_MS, TICK_MS) == 0);
    uv_unref((uv_handle_t *)&timer->timer);
    client->timer = timer;
    *ret = client;
    return OK;
}

void rpc_client_close(struct rpc_client *client)
{
    CHECK(!client->inside);
    client->closing = true;
    while (client->calls != NULL) {
        client_call_free(client->calls);
    }
    client_disconnect(client, "");
    while (client->pool != NULL) {
        struct rpc_client_call *call = client->pool;
        client->pool = call->next;
        buf_deinit(&call->out);
        buf_deinit(&call->in);
        mem_free(call);
    }
    client->timer->client = NULL;
    uv_close((uv_handle_t *)&client->timer->timer, client_on_timer_closed);
    for (size_t i = 0; i < client->endpoint_count; i++) {
        mem_free(client->endpoints[i].text);
    }
    for (size_t i = 0; i < client->metadata_count; i++) {
        mem_free(client->metadata[i].name);
        mem_free(client->metadata[i].value);
    }
    mem_free(client);
}

void rpc_client_set_metadata(struct rpc_client *client, const char *name, const char *value)
{
    size_t i = 0;
    while (i < client->metadata_count && strcmp(client->metadata[i].name, name) != 0) {
        i++;
    }
    if (i < client->metadata_count) {
        mem_free(client->metadata[i].name);
        mem_free(client->metadata[i].value);
        client->metadata[i] = client->metadata[--client->metadata_count];
    }
    if (value != NULL) {
        CHECK(client->metadata_count < CLIENT_METADATA_MAX);
        client->metadata[client->metadata_count].name = client_copy(name);
        client->metadata[client->metadata_count].value = client_copy(value);
        client->metadata_count++;
    }
}

const char *rpc_client_endpoint(const struct rpc_client *client)
{
    return client->endpoints[client->current].text;
}

void rpc_client_next_endpoint(struct rpc_client *client)
{
    client->leaving = client->inside;
    if (client->inside) {
        return; /* a callback of the session asks: it cannot be deleted under it */
    }
    client->current = (client->current + 1) % client->endpoint_count;
    client->failures = 0;
    client_disconnect(client, "the client goes on to another endpoint");
    if (client_has_waiting(client)) {
        client_want_connection(client);
    }
}
