/*
 * Maintenance.Snapshot: the whole store as a stream, written while writes go on.
 *
 * The file that a client puts together is our own, in etcd's framing: the blocks of
 * docs/formats/store-snapshot.md, zeros up to a multiple of 512 bytes, and the SHA-256 of all that,
 * 32 bytes; clients since 3.5 look at that remainder. It is not a bbolt file: etcdutl cannot open
 * it, novacron can.
 */
#include <openssl/evp.h>
#include <string.h>

#include "api/etcd/etcd_int.h"

/* Snapshots for clients at one time; each holds back what compaction would free. */
#define SNAPSHOT_EXPORTS_MAX 8

/* Keys that are looked at for one message. */
#define SNAPSHOT_BUDGET 512

#define SNAPSHOT_ALIGNMENT 512
#define SHA256_BYTES       32

struct exporter {
    struct etcd_api *api;
    struct rpc_call *call;
    struct store_snapshot *snapshot; /* NULL: it has ended */
    EVP_MD_CTX *digest;
    uint64_t sent;
    uint64_t estimate; /* of the whole */
    int64_t revision;
    struct store_link all; /* in api->snapshots */
};

static void exporter_end(struct exporter *x)
{
    if (x->snapshot) {
        store_snapshot_end(x->snapshot);
        x->snapshot = NULL;
    }
    store_link_remove(&x->all);
}

static void exporter_finish(struct exporter *x, int code, const char *text)
{
    exporter_end(x);
    rpc_finish(x->call, code, text);
}

static size_t exports_count(const struct etcd_api *api)
{
    size_t n = 0;
    for (const struct store_link *l = api->snapshots.next; l != &api->snapshots; l = l->next) {
        n++;
    }
    return n;
}

/* Why this call may have none; RPC_OK: it may. */
static int snapshot_refusal(struct etcd_api *api, const struct rpc_call *call, const char **ret_why)
{
    enum etcd_error e;
    const struct store *store = etcd_store(api, &e);
    struct buf name;
    buf_init(&name);
    int code = RPC_OK;
    if (!store || exports_count(api) >= SNAPSHOT_EXPORTS_MAX ||
        etcd_identify(api, call, &name) != ETCD_IDENTITY_KNOWN) {
        bool is_full = store && exports_count(api) >= SNAPSHOT_EXPORTS_MAX;
        e = !store ? e : is_full ? ETCD_TOO_MANY_REQUESTS : ETCD_TOKEN_INVALID;
        code = etcd_error_code(e);
        *ret_why = etcd_error_text(e);
    } else {
        struct store_user user = {buf_view(&name), store_auth_revision(store)};
        enum store_status status = store_rights_root(store, &user);
        code = store_status_code(status);
        *ret_why = store_status_text(status);
    }
    buf_deinit(&name);
    return code;
}

void etcd_snapshot_message(struct rpc_call *call, struct bytes message)
{
    (void)message; /* it has no fields */
    struct etcd_api *api = rpc_ctx(call);
    const char *why = NULL;
    int code = snapshot_refusal(api, call, &why);
    if (code != RPC_OK) {
        rpc_finish(call, code, why);
        return;
    }
    struct store *store = node_store(api->node);
    struct store_stats stats;
    store_stats_read(store, &stats);
    struct exporter *x = mem_alloc_zero(sizeof(*x));
    x->api = api;
    x->call = call;
    x->snapshot = store_snapshot_begin(store);
    x->digest = EVP_MD_CTX_new();
    x->estimate = stats.data_bytes;
    x->revision = store_revision(store);
    CHECK(x->digest && EVP_DigestInit_ex(x->digest, EVP_sha256(), NULL) == 1);
    store_link_init(&x->all);
    store_link_append(&api->snapshots, &x->all);
    rpc_set_state(call, x);
    etcd_wake(api);
}

void etcd_snapshot_gone(struct rpc_call *call)
{
    struct exporter *x = rpc_state(call);
    if (x) {
        exporter_end(x);
        EVP_MD_CTX_free(x->digest);
        mem_free(x);
        rpc_set_state(call, NULL);
    }
}

void etcd_snapshot_writable(struct rpc_call *call)
{
    struct exporter *x = rpc_state(call);
    if (x) {
        etcd_wake(x->api);
    }
}

static void exporter_send(struct exporter *x, struct bytes blob, bool is_last)
{
    struct buf head;
    buf_init(&head);
    etcd_header(x->api, x->revision, &head);
    x->sent += blob.len;
    /* How much there is shows only at the end: but for the last message, it is an estimate. */
    uint64_t left = x->estimate > x->sent ? x->estimate - x->sent : 1;
    store_pb_put_u64(&head, 2, is_last ? 0 : left);
    const char *version = x->api->cfg.version;
    store_pb_put_bytes(&head, 4, (struct bytes){(const uint8_t *)version, strlen(version)});
    store_pb_put_message(&head, 3, blob.len);
    (void)rpc_send(x->call, buf_view(&head), blob);
    buf_deinit(&head);
}

static void exporter_digest(struct exporter *x, struct bytes b)
{
    CHECK(b.len == 0 || EVP_DigestUpdate(x->digest, b.data, b.len) == 1);
}

static void exporter_close(struct exporter *x)
{
    static const uint8_t zeros[SNAPSHOT_ALIGNMENT] = {0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    size_t pad = (SNAPSHOT_ALIGNMENT - x->sent % SNAPSHOT_ALIGNMENT) % SNAPSHOT_ALIGNMENT;
    exporter_digest(x, (struct bytes){zeros, pad});
    CHECK(EVP_DigestFinal_ex(x->digest, digest, &length) == 1 && length == SHA256_BYTES);
    struct buf last;
    buf_init(&last);
    buf_put(&last, zeros, pad);
    buf_put(&last, digest, length);
    exporter_send(x, buf_view(&last), true);
    buf_deinit(&last);
    exporter_finish(x, RPC_OK, NULL);
}

/* One message; true if there is more to send now. */
static bool exporter_step(struct exporter *x)
{
    struct buf *b = &x->api->scratch;
    buf_clear(b);
    enum err result = store_snapshot_step(x->snapshot, SNAPSHOT_BUDGET, b);
    if (b->len > 0) {
        exporter_digest(x, buf_view(b));
        exporter_send(x, buf_view(b), false);
    }
    if (result == OK) {
        exporter_close(x);
        return false;
    }
    return rpc_has_room(x->call);
}

void etcd_snapshots_turn(struct etcd_api *api)
{
    bool more = false;
    for (struct store_link *l = api->snapshots.next; l != &api->snapshots;) {
        struct exporter *x = STORE_LINK_OWNER(l, struct exporter, all);
        l = l->next;
        if (rpc_has_room(x->call)) {
            more = exporter_step(x) || more;
        }
    }
    if (more) {
        etcd_wake(api);
    }
}

void etcd_snapshots_end(struct etcd_api *api)
{
    while (!store_link_is_alone(&api->snapshots)) {
        struct exporter *x = STORE_LINK_OWNER(api->snapshots.next, struct exporter, all);
        enum etcd_error e = ETCD_LEADER_CHANGED;
        exporter_finish(x, etcd_error_code(e), etcd_error_text(e));
    }
}
