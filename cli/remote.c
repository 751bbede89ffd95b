#include "cli/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json_wire.h"
#include "api/pb_wire.h"
#include "cli/hint.h"
#include "core/base/check.h"
#include "core/monitoring/trace.h"

#define CALL_TIMEOUT (10 * NANOS_PER_S)

/* What one of many members has, at least, to answer a call that reads. */
#define READ_TIMEOUT_MIN (2 * NANOS_PER_S)

/* Fields of AuthenticateRequest and -Response. */
enum { AUTH_NAME = 1, AUTH_PASSWORD = 2, AUTH_TOKEN = 2 };

/* Of MemberAddRequest; ours are from 101 on. */
enum { ADD_URLS = 1, ADD_LEARNER, ADD_NAME = 101, ADD_WITNESS, ADD_PRIORITY };

#define PRIORITY_MAX 255

/* --- opening --------------------------------------------------------------------------------- */

static bool remote_split(struct remote *r)
{
    for (char *at = r->list; at != NULL; r->endpoint_count++) {
        char *comma = strchr(at, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        if (r->endpoint_count == RPC_ENDPOINTS_MAX || *at == '\0') {
            return false;
        }
        r->endpoints[r->endpoint_count] = at;
        at = comma;
    }
    return true;
}

bool remote_turn_to(struct remote *r, const char *const *endpoints, size_t count, nanos timeout)
{
    const char *traceparent = getenv("TRACEPARENT");
    struct trace_context ignored;
    struct rpc_client *client = NULL;
    const struct rpc_client_config config = {
        .endpoints = endpoints, .endpoint_count = count, .tls = r->tls, .connect_timeout = timeout};
    if (rpc_client_open(&r->io, &config, &client) != OK) {
        return false;
    }
    if (r->client != NULL) {
        rpc_client_close(r->client);
    }
    r->client = client;
    if (r->token[0] != '\0') {
        rpc_client_set_metadata(client, "token", r->token);
    }
    /* As other programs do that are run within a trace. */
    if (traceparent != NULL &&
        trace_parent_parse((struct bytes){(const uint8_t *)traceparent, strlen(traceparent)},
                           &ignored) == OK) {
        rpc_client_set_metadata(client, "traceparent", traceparent);
    }
    return true;
}

static enum cli_exit remote_connect(struct remote *r, const char *const *endpoints, size_t count)
{
    return remote_turn_to(r, endpoints, count, 0)
               ? CLI_OK
               : remote_wrong(r, "an endpoint is no URL, or is https and there is no --cacert",
                              endpoints[0]);
}

static enum cli_exit remote_open_tls(struct remote *r, const struct cli_call *call)
{
    const struct rpc_tls_files files = {.ca = call->options[REMOTE_CACERT],
                                        .certificate = call->options[REMOTE_CERT],
                                        .key = call->options[REMOTE_KEY]};
    char why[RPC_TLS_TEXT_BYTES];
    if (files.ca == NULL && files.certificate == NULL) {
        return CLI_OK;
    }
    if (rpc_tls_open(&files, RPC_TLS_CLIENT, why, &r->tls) != OK) {
        (void)fprintf(stderr, "novacron %s: %s\n", r->command, why);
        return CLI_UNREADABLE;
    }
    return CLI_OK;
}

static enum cli_exit remote_authenticate(struct remote *r, const char *user)
{
    const char *colon = strchr(user, ':');
    struct pb_field f;
    if (colon == NULL) {
        return remote_wrong(r, "--user wants NAME:PASSWORD, and got", user);
    }
    buf_clear(&r->request);
    pb_put_bytes(&r->request, AUTH_NAME,
                 (struct bytes){(const uint8_t *)user, (size_t)(colon - user)});
    pb_put_text(&r->request, AUTH_PASSWORD, colon + 1);
    enum cli_exit e = remote_call(r, "/etcdserverpb.Auth/Authenticate");
    if (e != CLI_OK) {
        return e;
    }
    struct bytes left = buf_view(&r->response);
    while (pb_next(&left, &f)) {
        if (f.number == AUTH_TOKEN && f.type == PB_BYTES && f.bytes.len < sizeof r->token) {
            memcpy(r->token, f.bytes.data, f.bytes.len);
            r->token[f.bytes.len] = '\0';
        }
    }
    rpc_client_set_metadata(r->client, "token", r->token);
    return CLI_OK;
}

enum cli_exit remote_open(struct remote *r, const char *command, const struct cli_call *call)
{
    const char *endpoints = call->options[REMOTE_ENDPOINTS];
    *r = (struct remote){.command = command, .json = call->options[REMOTE_JSON] != NULL};
    buf_init(&r->request);
    buf_init(&r->response);
    CHECK(uv_loop_init(&r->loop) == 0);
    rpc_io_open(&r->io, &r->loop);
    r->list = strdup(endpoints != NULL ? endpoints : "127.0.0.1:2379");
    CHECK(r->list != NULL);
    enum cli_exit e =
        remote_split(r)
            ? remote_open_tls(r, call)
            : remote_wrong(r, "--endpoints wants URLs with commas between them, and got",
                           endpoints);
    e = e == CLI_OK ? remote_connect(r, r->endpoints, r->endpoint_count) : e;
    if (e == CLI_OK && call->options[REMOTE_USER] != NULL) {
        e = remote_authenticate(r, call->options[REMOTE_USER]);
    }
    if (e != CLI_OK) {
        remote_close(r);
    }
    return e;
}

enum cli_exit remote_aim(struct remote *r, size_t endpoint)
{
    return remote_connect(r, &r->endpoints[endpoint], 1);
}

void remote_close(struct remote *r)
{
    if (r->client != NULL) {
        rpc_client_close(r->client);
    }
    rpc_io_close(&r->io, NULL, NULL);
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&r->loop) == 0);
    rpc_tls_close(r->tls);
    free(r->list);
    buf_deinit(&r->request);
    buf_deinit(&r->response);
}

/* --- calls ----------------------------------------------------------------------------------- */

struct remote_wait {
    struct remote *remote;
    bool (*message)(void *ctx, struct bytes message);
    void *ctx;
    struct rpc_client_call *call;
    bool is_enough;
    bool is_stale;
    int status;
    char text[512];
    char reason[RPC_REMARK_MAX + 1];
};

/* What one of our members says of its answer, beside it. */
static void wait_on_remark(void *arg, const char *name, const char *value)
{
    struct remote_wait *w = arg;
    w->is_stale = w->is_stale || strcmp(name, "novacron-stale") == 0;
    if (strcmp(name, "novacron-reason") == 0) {
        (void)snprintf(w->reason, sizeof w->reason, "%s", value);
    }
}

static void wait_on_message(void *arg, struct bytes message)
{
    struct remote_wait *w = arg;
    if (!w->is_enough && !w->message(w->ctx, message)) {
        w->is_enough = true;
        uv_stop(&w->remote->loop);
    }
}

static void wait_on_done(void *arg, int status, const char *text)
{
    struct remote_wait *w = arg;
    w->status = status;
    w->call = NULL;
    (void)snprintf(w->text, sizeof w->text, "%s", text[0] != '\0' ? text : rpc_status_name(status));
    uv_stop(&w->remote->loop);
}

static void remote_wait(struct remote_wait *w, const char *path, nanos timeout, bool is_last)
{
    static const struct rpc_client_ops ops = {
        .message = wait_on_message, .done = wait_on_done, .remark = wait_on_remark};
    w->call = rpc_client_start(w->remote->client, path, timeout, &ops, w);
    (void)rpc_client_send(w->call, buf_view(&w->remote->request), is_last);
    (void)uv_run(&w->remote->loop, UV_RUN_DEFAULT);
    if (w->call != NULL) {
        rpc_client_cancel(w->call);
        w->status = RPC_OK;
    }
    size_t len = strlen(w->text);
    if (w->status != RPC_OK && w->reason[0] != '\0') {
        (void)snprintf(w->text + len, sizeof w->text - len, " (%s)", w->reason);
    } else if (w->is_stale && !w->remote->is_quiet) {
        (void)fprintf(
            stderr, "novacron %s: %s knows of no leader: this may be older than what others have\n",
            w->remote->command, rpc_client_endpoint(w->remote->client));
    }
}

static bool remote_keep(void *ctx, struct bytes message)
{
    struct remote *r = ctx;
    buf_put(&r->response, message.data, message.len);
    return true;
}

bool remote_try_for(struct remote *r, const char *path, nanos timeout, char *why, size_t n)
{
    struct remote_wait w = {.remote = r, .message = remote_keep, .ctx = r};
    buf_clear(&r->response);
    remote_wait(&w, path, timeout != 0 ? timeout : CALL_TIMEOUT, true);
    r->status = w.status;
    if (w.status != RPC_OK) {
        (void)snprintf(why, n, "%s", w.text);
    }
    return w.status == RPC_OK;
}

bool remote_try(struct remote *r, const char *path, char *why, size_t n)
{
    return remote_try_for(r, path, 0, why, n);
}

enum cli_exit remote_failed(struct remote *r, const char *why)
{
    const char *hint = hint_for(why);

    if (r->is_quiet) {
        (void)snprintf(r->kept, sizeof r->kept, "%s", why);
        return CLI_UNREADABLE;
    }
    (void)fprintf(stderr, "novacron %s: %s: %s%s%s\n", r->command, rpc_client_endpoint(r->client),
                  why, hint != NULL ? "; " : "", hint != NULL ? hint : "");
    return CLI_UNREADABLE;
}

enum cli_exit remote_call(struct remote *r, const char *path)
{
    char why[512];
    return remote_try(r, path, why, sizeof why) ? CLI_OK : remote_failed(r, why);
}

enum cli_exit remote_read(struct remote *r, const char *path, nanos share)
{
    char why[512] = "";

    share = share != 0 ? share : u64_max(CALL_TIMEOUT / r->endpoint_count, READ_TIMEOUT_MIN);

    for (size_t i = 0; i < r->endpoint_count; i++) {
        if (remote_try_for(r, path, share, why, sizeof why)) {
            return CLI_OK;
        }
        if (r->status != RPC_DEADLINE_EXCEEDED && r->status != RPC_UNAVAILABLE) {
            return remote_failed(r, why);
        }
        if (i + 1 < r->endpoint_count) {
            rpc_client_next_endpoint(r->client);
        }
    }
    if (r->status == RPC_DEADLINE_EXCEEDED) {
        return remote_failed(r, "no answer in time, though it only had to read");
    }
    return remote_failed(r, why);
}

enum cli_exit remote_add_member(struct remote *r, const struct remote_added *member)
{
    buf_clear(&r->request);
    pb_put_text(&r->request, ADD_URLS, member->url);
    pb_put_varint(&r->request, ADD_LEARNER, member->is_learner);
    pb_put_text(&r->request, ADD_NAME, member->name);
    pb_put_varint(&r->request, ADD_WITNESS, member->is_witness);
    pb_put_varint(&r->request, ADD_PRIORITY, member->priority);
    return remote_call(r, "/etcdserverpb.Cluster/MemberAdd");
}

enum cli_exit remote_stream(struct remote *r, const char *path,
                            bool (*message)(void *ctx, struct bytes message), void *ctx)
{
    struct remote_wait w = {.remote = r, .message = message, .ctx = ctx};
    remote_wait(&w, path, 0, strstr(path, "Watch") == NULL);
    r->status = w.status;
    return w.status == RPC_OK ? CLI_OK : remote_failed(r, w.text);
}

/* --- text ------------------------------------------------------------------------------------ */

void remote_print(const struct ProtobufCMessageDescriptor *type, struct bytes message)
{
    struct buf text;
    buf_init(&text);
    json_encode(type, message, &text);
    (void)fwrite(text.data, 1, text.len, stdout);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    buf_deinit(&text);
}

static bool remote_parse(const char *text, int base, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, base);
    if (text[0] == '\0' || text[0] == '-' || *end != '\0' || errno != 0) {
        return false;
    }
    *ret = number;
    return true;
}

bool remote_number(const char *text, uint64_t *ret)
{
    return remote_parse(text, 10, ret);
}

bool remote_id(const char *text, uint64_t *ret)
{
    return remote_parse(text, 16, ret);
}

bool remote_priority(const char *text, uint64_t *ret)
{
    uint64_t number = 0;
    if (text != NULL && (!remote_number(text, &number) || number > PRIORITY_MAX)) {
        return false;
    }
    *ret = text != NULL ? number + 1 : 0;
    return true;
}

enum cli_exit remote_wrong(const struct remote *r, const char *what, const char *value)
{
    (void)fprintf(stderr, "novacron %s: %s: \"%s\"\n", r->command, what, value);
    return CLI_USAGE;
}
