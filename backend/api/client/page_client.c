#include "api/client/page_client.h"

#include <stdio.h>
#include <string.h>

#include <http_parser.h>

#include "api/client/rpc_client_int.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* Lookup and timer are libuv's until it gives them back: the whole of it is freed when the last of
 * them, and the owner, are done with it. */
struct page_get {
    struct page_request request;
    struct rpc_io *io;
    struct rpc_endpoint endpoint;
    struct rpc_socket *socket; /* NULL: not connected */
    uv_getaddrinfo_t lookup;
    uv_timer_t timer; /* its data is the io */
    bool is_looking_up;
    bool is_over; /* told, or dropped */
    bool timer_is_open;
    bool has_sent;
    bool is_whole;
    bool is_too_long;
    http_parser parser;
    struct buf body;
};

static void get_free_if_done(struct page_get *get)
{
    if (get->is_over && !get->is_looking_up && !get->timer_is_open) {
        buf_deinit(&get->body);
        mem_free(get);
    }
}

static void get_on_timer_closed(uv_handle_t *handle)
{
    struct page_get *get =
        (struct page_get *)(void *)((uint8_t *)handle - offsetof(struct page_get, timer));
    rpc_io_uncount(handle);
    get->timer_is_open = false;
    get_free_if_done(get);
}

/* Nothing more will be told. */
static void get_leave(struct page_get *get)
{
    get->is_over = true;
    if (get->socket != NULL) {
        rpc_socket_close(get->socket);
        get->socket = NULL;
    }
    if (get->is_looking_up) {
        (void)uv_cancel((uv_req_t *)&get->lookup);
    }
    uv_close((uv_handle_t *)&get->timer, get_on_timer_closed);
}

static void get_tell(struct page_get *get, int status, const char *why)
{
    if (!get->is_over) {
        void (*done)(void *, int, struct bytes, const char *) = get->request.done;
        void *arg = get->request.arg;
        get_leave(get);
        done(arg, status, buf_view(&get->body), why); /* the timer still holds the get */
    }
}

/* --- the answer ------------------------------------------------------------------------------ */

static int get_on_body(http_parser *parser, const char *at, size_t len)
{
    struct page_get *get = parser->data;
    get->is_too_long = get->body.len + len > PAGE_BYTES_MAX;
    if (!get->is_too_long) {
        buf_put(&get->body, at, len);
    }
    return get->is_too_long ? 1 : 0;
}

static int get_on_complete(http_parser *parser)
{
    struct page_get *get = parser->data;
    get->is_whole = true;
    return 0;
}

/* False: this is no HTTP. No bytes: the end of the connection. */
static bool get_parse(struct page_get *get, const char *bytes, size_t n)
{
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_body = get_on_body;
    settings.on_message_complete = get_on_complete;
    size_t taken = http_parser_execute(&get->parser, &settings, bytes, n);
    return taken == n && HTTP_PARSER_ERRNO(&get->parser) == HPE_OK;
}

static void get_input(void *owner, struct bytes plain)
{
    struct page_get *get = owner;
    bool is_http = get_parse(get, (const char *)plain.data, plain.len);
    if (get->is_whole) {
        get_tell(get, get->parser.status_code, "");
    } else if (get->is_too_long) {
        get_tell(get, 0, "the page is too long");
    } else if (!is_http) {
        get_tell(get, 0, "the answer is not HTTP");
    }
}

static bool get_produce(void *owner, struct buf *sink, size_t room)
{
    struct page_get *get = owner;
    char line[512];
    (void)room;
    if (!get->has_sent) {
        int n =
            snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                     get->request.path, get->endpoint.authority);
        buf_put(sink, line, (size_t)n);
        get->has_sent = true;
    }
    return false;
}

static void get_ready(void *owner)
{
    struct page_get *get = owner;
    rpc_socket_wake(get->socket);
}

static void get_lost(void *owner, enum err why)
{
    struct page_get *get = owner;
    char text[CLIENT_WHY_BYTES];
    client_say_loss(get->socket, why,
                    get->has_sent ? "the connection was lost" : "it cannot be reached", text);
    get->socket = NULL;
    /* A body without a length ends with its connection. */
    if (get->has_sent && get_parse(get, NULL, 0) && get->is_whole) {
        get_tell(get, get->parser.status_code, "");
        return;
    }
    get_tell(get, 0, text);
}

static const struct rpc_socket_owner get_socket_ops = {
    .input = get_input,
    .produce = get_produce,
    .ready = get_ready,
    .lost = get_lost,
};

/* --- connecting ------------------------------------------------------------------------------ */

static void get_dial(struct page_get *get, const struct sockaddr *address)
{
    if (rpc_socket_connect(get->io, address, get->endpoint.tls ? get->request.tls : NULL,
                           get->endpoint.host, &get_socket_ops, get, &get->socket) != OK) {
        get->socket = NULL;
        get_tell(get, 0, "it cannot be reached");
    }
}

static void get_on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct page_get *get = request->data;
    get->is_looking_up = false;
    if (get->is_over) {
        get_free_if_done(get);
    } else if (status == 0) {
        get_dial(get, list->ai_addr);
    } else {
        get_tell(get, 0, "its name is not known");
    }
    uv_freeaddrinfo(list);
}

static void get_on_timeout(uv_timer_t *timer)
{
    struct page_get *get =
        (struct page_get *)(void *)((uint8_t *)timer - offsetof(struct page_get, timer));
    get_tell(get, 0, "it does not answer");
}

/* Asks for the address on another thread, also for one that is numeric: so that nothing is told
 * from inside page_get_begin. */
static bool get_resolve(struct page_get *get)
{
    char port[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    (void)snprintf(port, sizeof port, "%u", (unsigned)get->endpoint.port);
    get->lookup.data = get;
    get->is_looking_up = uv_getaddrinfo(get->io->loop, &get->lookup, get_on_resolved,
                                        get->endpoint.host, port, &hints) == 0;
    return get->is_looking_up;
}

enum err page_get_begin(struct rpc_io *io, const struct page_request *request,
                        struct page_get **ret)
{
    struct page_get *get = mem_alloc_zero(sizeof *get);
    get->request = *request;
    get->io = io;
    if (!endpoint_parse(request->endpoint, request->tls != NULL, &get->endpoint) ||
        (get->endpoint.tls && request->tls == NULL)) {
        mem_free(get);
        return ERR_INVALID;
    }
    buf_init(&get->body);
    http_parser_init(&get->parser, HTTP_RESPONSE);
    get->parser.data = get;
    CHECK(uv_timer_init(io->loop, &get->timer) == 0);
    get->timer.data = io;
    get->timer_is_open = true;
    rpc_io_count(io);
    CHECK(uv_timer_start(&get->timer, get_on_timeout, request->timeout / NANOS_PER_MS, 0) == 0);
    if (!get_resolve(get)) {
        CHECK(uv_timer_start(&get->timer, get_on_timeout, 0, 0) == 0);
    }
    *ret = get;
    return OK;
}

void page_get_drop(struct page_get *get)
{
    CHECK(!get->is_over);
    get_leave(get);
}
