/* `novacron kv`: keys and values. */
#include <stdio.h>
#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "api/json_wire.h"
#include "api/pb_wire.h"
#include "cli/remote.h"
#include "core/base/check.h"

/* Options behind those of remote.h, in the order of the table. */
enum { GET_PREFIX = REMOTE_OPTIONS, GET_REV, GET_LIMIT, GET_SERIALIZABLE, GET_KEYS_ONLY };
enum { PUT_LEASE = REMOTE_OPTIONS };
enum { DEL_PREFIX = REMOTE_OPTIONS };
enum { WATCH_PREFIX = REMOTE_OPTIONS, WATCH_REV, WATCH_COUNT };

/* Fields of etcd's messages. */
enum { RANGE_KEY = 1, RANGE_END, RANGE_LIMIT, RANGE_REVISION, RANGE_LOCAL = 7, RANGE_BARE = 8 };
enum { PUT_KEY = 1, PUT_VALUE, PUT_LEASE_ID };
enum { DELETE_KEY = 1, DELETE_END };
enum { WATCH_CREATE = 1 };
enum { CREATE_KEY = 1, CREATE_END, CREATE_REVISION };

#define TXN_BYTES_MAX (4 * 1024 * 1024)

/* A key, and the end of its range where it is a prefix: the next key that does not begin so. */
static void kv_put_key(struct buf *request, const char *key, bool is_prefix, uint32_t number)
{
    struct buf end;
    pb_put_text(request, number, key);
    if (!is_prefix) {
        return;
    }
    buf_init(&end);
    buf_put(&end, key, strlen(key));
    while (end.len > 0 && end.data[end.len - 1] == 0xFF) {
        end.len--;
    }
    if (end.len > 0) {
        end.data[end.len - 1]++;
    } else {
        buf_put(&end, "\0", 1); /* no key does not begin with nothing */
    }
    pb_put_bytes(request, number + 1, buf_view(&end));
    buf_deinit(&end);
}

static void kv_print_bytes(ProtobufCBinaryData bytes)
{
    (void)fwrite(bytes.data, 1, bytes.len, stdout);
    (void)fputc('\n', stdout);
}

/* The number that an option gives, if it was given; complains where it is none. */
static enum cli_exit kv_number(const struct remote *r, const char *option, const char *text,
                               uint64_t *ret)
{
    char what[64];
    if (text == NULL || remote_number(text, ret)) {
        return CLI_OK;
    }
    (void)snprintf(what, sizeof what, "%s wants a number, and got", option);
    return remote_wrong(r, what, text);
}

static void kv_print_range(const struct remote *r)
{
    Etcdserverpb__RangeResponse *answer =
        etcdserverpb__range_response__unpack(NULL, r->response.len, r->response.data);
    if (answer == NULL) {
        return;
    }
    for (size_t i = 0; i < answer->n_kvs; i++) {
        kv_print_bytes(answer->kvs[i]->key);
        if (answer->kvs[i]->value.len > 0) {
            kv_print_bytes(answer->kvs[i]->value);
        }
    }
    etcdserverpb__range_response__free_unpacked(answer, NULL);
}

enum cli_exit cmd_kv_get(const struct cli_call *call)
{
    struct remote r;
    const char *const *options = call->options;
    enum cli_exit e = remote_open(&r, "kv get", call);
    if (e != CLI_OK) {
        return e;
    }
    const char *key = call->arguments[0];
    bool all = options[GET_PREFIX] != NULL && key[0] == '\0';
    if (all) {
        pb_put_bytes(&r.request, RANGE_KEY, (struct bytes){(const uint8_t *)"\0", 1});
        pb_put_bytes(&r.request, RANGE_END, (struct bytes){(const uint8_t *)"\0", 1});
    } else {
        kv_put_key(&r.request, key, options[GET_PREFIX] != NULL, RANGE_KEY);
    }
    uint64_t revision = 0;
    uint64_t limit = 0;
    e = kv_number(&r, "--rev", options[GET_REV], &revision);
    e = e == CLI_OK ? kv_number(&r, "--limit", options[GET_LIMIT], &limit) : e;
    if (e == CLI_OK) {
        pb_put_varint(&r.request, RANGE_REVISION, revision);
        pb_put_varint(&r.request, RANGE_LIMIT, limit);
        pb_put_varint(&r.request, RANGE_LOCAL, options[GET_SERIALIZABLE] != NULL);
        pb_put_varint(&r.request, RANGE_BARE, options[GET_KEYS_ONLY] != NULL);
        e = remote_call(&r, "/etcdserverpb.KV/Range");
    }
    if (e == CLI_OK && r.json) {
        remote_print(&etcdserverpb__range_response__descriptor, buf_view(&r.response));
    } else if (e == CLI_OK) {
        kv_print_range(&r);
    }
    remote_close(&r);
    return e;
}

enum cli_exit cmd_kv_put(const struct cli_call *call)
{
    struct remote r;
    uint64_t lease = 0;
    const char *given = call->options[PUT_LEASE];
    enum cli_exit e = remote_open(&r, "kv put", call);
    if (e != CLI_OK) {
        return e;
    }
    pb_put_text(&r.request, PUT_KEY, call->arguments[0]);
    pb_put_text(&r.request, PUT_VALUE, call->arguments[1]);
    if (given != NULL && !remote_id(given, &lease)) {
        e = remote_wrong(&r, "--lease wants a lease's id, in hexadecimal, and got", given);
    } else {
        pb_put_varint(&r.request, PUT_LEASE_ID, lease);
        e = remote_call(&r, "/etcdserverpb.KV/Put");
    }
    if (e == CLI_OK && r.json) {
        remote_print(&etcdserverpb__put_response__descriptor, buf_view(&r.response));
    } else if (e == CLI_OK) {
        (void)puts("OK");
    }
    remote_close(&r);
    return e;
}

enum cli_exit cmd_kv_del(const struct cli_call *call)
{
    struct remote r;
    enum cli_exit e = remote_open(&r, "kv del", call);
    if (e != CLI_OK) {
        return e;
    }
    kv_put_key(&r.request, call->arguments[0], call->options[DEL_PREFIX] != NULL, DELETE_KEY);
    e = remote_call(&r, "/etcdserverpb.KV/DeleteRange");
    if (e == CLI_OK && r.json) {
        remote_print(&etcdserverpb__delete_range_response__descriptor, buf_view(&r.response));
    } else if (e == CLI_OK) {
        Etcdserverpb__DeleteRangeResponse *answer =
            etcdserverpb__delete_range_response__unpack(NULL, r.response.len, r.response.data);
        (void)printf("%lld\n", answer != NULL ? (long long)answer->deleted : 0);
        if (answer != NULL) {
            etcdserverpb__delete_range_response__free_unpacked(answer, NULL);
        }
    }
    remote_close(&r);
    return e;
}

/* --- watch ----------------------------------------------------------------------------------- */

struct kv_watching {
    const struct remote *remote;
    uint64_t left; /* events until it ends */
    bool is_canceled;
};

static void watching_print(struct kv_watching *w, const Etcdserverpb__WatchResponse *answer)
{
    for (size_t i = 0; i < answer->n_events && w->left > 0; i++, w->left--) {
        const Mvccpb__Event *event = answer->events[i];
        bool is_put = event->type == MVCCPB__EVENT__EVENT_TYPE__PUT;
        if (!w->remote->json && event->kv != NULL) {
            (void)puts(is_put ? "PUT" : "DELETE");
            kv_print_bytes(event->kv->key);
            if (is_put) {
                kv_print_bytes(event->kv->value);
            }
        }
    }
    (void)fflush(stdout);
}

static bool watching_take(void *ctx, struct bytes message)
{
    struct kv_watching *w = ctx;
    Etcdserverpb__WatchResponse *answer =
        etcdserverpb__watch_response__unpack(NULL, message.len, message.data);
    if (answer == NULL) {
        return true;
    }
    if (w->remote->json) {
        remote_print(&etcdserverpb__watch_response__descriptor, message);
    }
    watching_print(w, answer);
    if (answer->canceled) {
        (void)fprintf(stderr, "novacron kv watch: canceled: %s; compacted at revision %lld\n",
                      answer->cancel_reason, (long long)answer->compact_revision);
        w->is_canceled = true;
    }
    etcdserverpb__watch_response__free_unpacked(answer, NULL);
    return !w->is_canceled && w->left > 0;
}

enum cli_exit cmd_kv_watch(const struct cli_call *call)
{
    struct remote r;
    uint64_t count = UINT64_MAX;
    uint64_t revision = 0;
    const char *const *options = call->options;
    enum cli_exit e = remote_open(&r, "kv watch", call);
    if (e != CLI_OK) {
        return e;
    }
    e = kv_number(&r, "--rev", options[WATCH_REV], &revision);
    e = e == CLI_OK ? kv_number(&r, "--count", options[WATCH_COUNT], &count) : e;
    if (e == CLI_OK) {
        struct kv_watching w = {.remote = &r, .left = count};
        size_t create = pb_begin(&r.request, WATCH_CREATE);
        kv_put_key(&r.request, call->arguments[0], options[WATCH_PREFIX] != NULL, CREATE_KEY);
        pb_put_varint(&r.request, CREATE_REVISION, revision);
        pb_end(&r.request, create);
        e = remote_stream(&r, "/etcdserverpb.Watch/Watch", watching_take, &w);
        e = w.is_canceled ? CLI_UNREADABLE : e;
    }
    remote_close(&r);
    return e;
}

/* --- txn ------------------------------------------------------------------------------------- */

static enum cli_exit kv_read_txn(struct remote *r)
{
    struct buf text;
    char why[JSON_WHY_BYTES];
    char piece[4096];
    size_t n = 0;
    buf_init(&text);
    while (text.len < TXN_BYTES_MAX && (n = fread(piece, 1, sizeof piece, stdin)) > 0) {
        buf_put(&text, piece, n);
    }
    struct bytes left = buf_view(&text);
    bool is_read =
        json_decode(&etcdserverpb__txn_request__descriptor, &left, &r->request, why) == OK;
    buf_deinit(&text);
    return is_read ? CLI_OK
                   : remote_wrong(r, "standard input is no TxnRequest of etcd's in JSON", why);
}

enum cli_exit cmd_kv_txn(const struct cli_call *call)
{
    struct remote r;
    enum cli_exit e = remote_open(&r, "kv txn", call);
    if (e != CLI_OK) {
        return e;
    }
    e = kv_read_txn(&r);
    e = e == CLI_OK ? remote_call(&r, "/etcdserverpb.KV/Txn") : e;
    if (e == CLI_OK) {
        remote_print(&etcdserverpb__txn_response__descriptor, buf_view(&r.response));
    }
    remote_close(&r);
    return e;
}
