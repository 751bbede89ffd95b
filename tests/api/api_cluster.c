#include "tests/api/api_cluster.h"

#include <stdio.h>
#include <string.h>

#include "core/chaos/simnet.h"
#include "core/store/store_pb.h"
#include "tests/support/pb_text.h"
#include "tests/support/test.h"

#define PORT     2380
#define DISK     (256ULL * 1024 * 1024)
#define PATIENCE (30 * NANOS_PER_S)

static void api_on_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct api_member *m = ctx;
    (void)verdict;
    (void)why;
    etcd_api_ready(m->api);
}

static void api_on_leader(void *ctx, enum raft_role role, node_id leader, raft_term term)
{
    struct api_member *m = ctx;
    (void)role;
    (void)leader;
    (void)term;
    etcd_api_leader_changed(m->api);
}

static void api_on_advanced(void *ctx)
{
    struct api_member *m = ctx;
    etcd_api_advanced(m->api);
}

static void api_on_entry(void *ctx, const struct raft_entry *e)
{
    const struct api_member *m = ctx;
    if (m->cluster->on_applied) {
        m->cluster->on_applied(m->cluster->on_applied_ctx, e);
    }
}

static void api_on_store_leaves(void *ctx)
{
    struct api_member *m = ctx;
    etcd_api_store_leaves(m->api);
}

static void api_on_note(void *ctx, node_id from, struct bytes note)
{
    struct api_member *m = ctx;
    etcd_api_note(m->api, from, note);
}

void api_member_start(struct api_cluster *c, uint32_t i)
{
    struct api_member *m = &c->member[i];
    bool founds = i < c->n;
    struct node_config config = node_config_default(m->id);
    config.dir = "node";
    config.cluster = 77;
    config.founders = founds ? &c->founders : NULL;
    config.port = PORT;
    config.segment_bytes = 16 * 1024 * 1024;
    config.snapshot_entries = c->snapshot_entries;
    config.tail_entries = 10;
    config.scrub_bytes_per_s = 0;
    config.peer_count = founds ? c->n : c->n + 1;
    for (uint32_t k = 0; k < config.peer_count; k++) {
        uint32_t peer = k < c->n ? k : i;
        config.peers[k].id = c->member[peer].id;
        memcpy(config.peers[k].at.host, c->member[peer].name, sizeof(c->member[peer].name));
        config.peers[k].at.port = PORT;
    }
    char peer_url[64];
    char client_url[64];
    (void)snprintf(peer_url, sizeof(peer_url), "http://%s:%d", m->name, PORT);
    (void)snprintf(client_url, sizeof(client_url), "http://%s:2379", m->name);
    struct etcd_config api = etcd_config_default();
    api.world = simhost_world(m->host);
    api.cluster = 77;
    api.member = m->id;
    api.name = m->name;
    api.peer_urls[0] = peer_url;
    api.client_urls[0] = client_url;
    api.progress_interval = c->progress_interval;
    api.quota_bytes = c->quota_bytes > 0 ? c->quota_bytes : api.quota_bytes;
    api.password_rounds = 10; /* simulated time is no excuse for spending real time */
    api.offload = c->offload;
    api.offload_ctx = c->offload_ctx;
    m->api = etcd_api_open(&api);
    struct node_events events = {.ctx = m,
                                 .ready = api_on_ready,
                                 .leader_changed = api_on_leader,
                                 .advanced = api_on_advanced,
                                 .store_leaves = api_on_store_leaves,
                                 .note = api_on_note,
                                 .applied = api_on_entry};
    m->node = node_open(simhost_world(m->host), &config, &events);
    etcd_api_attach(m->api, m->node);
}

void api_member_stop(struct api_cluster *c, uint32_t i)
{
    struct api_member *m = &c->member[i];
    for (size_t k = 0; k < API_CALLS; k++) {
        if (c->calls[k] && c->calls[k]->ctx == m->api) {
            api_close(c, c->calls[k]);
        }
    }
    etcd_api_stop(m->api);
    simhost_kill(m->host);
    node_close(m->node);
    etcd_api_close(m->api);
    m->node = NULL;
    m->api = NULL;
}

void api_cluster_init(struct api_cluster *c, uint64_t seed, uint32_t n)
{
    memset(c, 0, sizeof(*c));
    c->n = n;
    c->sim = simworld_new(seed);
    c->snapshot_entries = 1000000;
    c->progress_interval = 600 * NANOS_PER_S;
    c->methods = etcd_api_methods(&c->method_count);
    for (uint32_t i = 0; i < API_MEMBERS; i++) {
        struct api_member *m = &c->member[i];
        (void)snprintf(m->name, sizeof(m->name), "host-%u", i);
        m->host = simhost_new(c->sim, m->name, DISK);
        m->id = i + 1;
        m->cluster = c;
        if (i < n) {
            raft_membership_insert(&c->founders, i + 1, RAFT_VOTER);
        }
    }
}

void api_cluster_deinit(struct api_cluster *c)
{
    for (uint32_t i = 0; i < API_MEMBERS; i++) {
        if (c->member[i].node) {
            api_member_stop(c, i);
        }
    }
    for (size_t k = 0; k < API_CALLS; k++) {
        assert_null(c->calls[k]);
    }
    simworld_free(c->sim);
}

void api_cluster_run(struct api_cluster *c, nanos span)
{
    simworld_run(c->sim, simworld_now(c->sim) + span);
    for (size_t k = 0; k < API_CALLS; k++) {
        if (c->calls[k]) {
            fake_call_turn(c->calls[k]);
        }
    }
    for (uint32_t i = 0; i < API_MEMBERS; i++) {
        if (c->member[i].node) {
            node_check(c->member[i].node);
        }
    }
}

static bool api_is_settled(const struct api_cluster *c)
{
    node_id leader = NODE_NONE;
    for (uint32_t i = 0; i < API_MEMBERS; i++) {
        const struct node *node = c->member[i].node;
        if (!node) {
            continue;
        }
        if (!node_is_ready(node) || node_status(node).leader == NODE_NONE ||
            (leader != NODE_NONE && node_status(node).leader != leader)) {
            return false;
        }
        leader = node_status(node).leader;
    }
    return leader > API_MEMBERS || c->member[leader - 1].node != NULL;
}

void api_cluster_start(struct api_cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        api_member_start(c, i);
    }
    (void)api_cluster_leader(c);
}

uint32_t api_cluster_leader(struct api_cluster *c)
{
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (!api_is_settled(c) && simworld_now(c->sim) < until) {
        api_cluster_run(c, 10 * NANOS_PER_MS);
    }
    assert_true(api_is_settled(c));
    for (uint32_t i = 0; i < API_MEMBERS; i++) {
        if (c->member[i].node) {
            node_id leader = node_status(c->member[i].node).leader;
            for (uint32_t k = 0; k < API_MEMBERS; k++) {
                if (c->member[k].id == leader) {
                    return k;
                }
            }
        }
    }
    return 0;
}

uint32_t api_cluster_follower(struct api_cluster *c)
{
    uint32_t leader = api_cluster_leader(c);
    uint32_t i = 0;
    while (i == leader || !c->member[i].node) {
        i++;
    }
    assert_true(i < API_MEMBERS);
    return i;
}

/* --- calls ----------------------------------------------------------------------------------- */

struct rpc_call *api_call(struct api_cluster *c, uint32_t i, const char *method,
                          const struct fake_metadata *metadata)
{
    size_t k = 0;
    while (k < API_CALLS && c->calls[k]) {
        k++;
    }
    assert_true(k < API_CALLS);
    char path[128];
    (void)snprintf(path, sizeof(path), "/%s%s", strncmp(method, "v3", 2) ? "etcdserverpb." : "",
                   method);
    c->calls[k] = fake_call_open(c->member[i].api, c->methods, c->method_count, path, metadata);
    return c->calls[k];
}

void api_close(struct api_cluster *c, struct rpc_call *call)
{
    for (size_t k = 0; k < API_CALLS; k++) {
        if (c->calls[k] == call) {
            c->calls[k] = NULL;
        }
    }
    fake_call_close(call);
}

void api_wait(struct api_cluster *c, struct rpc_call *call)
{
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (!call->is_finished && simworld_now(c->sim) < until) {
        api_cluster_run(c, NANOS_PER_MS);
    }
    assert_true(call->is_finished);
    fake_call_turn(call);
}

void api_wait_messages(struct api_cluster *c, struct rpc_call *call, size_t count)
{
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (call->count < count && !call->is_finished && simworld_now(c->sim) < until) {
        api_cluster_run(c, NANOS_PER_MS);
    }
    assert_true(call->count >= count);
}

void api_message(struct rpc_call *call, const char *request)
{
    struct buf b;
    buf_init(&b);
    pb_text_encode(&b, request);
    fake_call_message(call, buf_view(&b));
    buf_deinit(&b);
}

struct rpc_call *api_unary(struct api_cluster *c, uint32_t i, const char *method,
                           const char *request)
{
    struct rpc_call *call = api_call(c, i, method, NULL);
    api_message(call, request);
    fake_call_half_close(call);
    api_wait(c, call);
    return call;
}

void api_expect(struct api_cluster *c, uint32_t i, const char *method, const char *request,
                const char *response)
{
    struct rpc_call *call = api_unary(c, i, method, request);
    if (call->status != RPC_OK) {
        print_message("# %s of %s: %s\n", method, request, call->text);
    }
    api_assert_status(call, RPC_OK, "");
    pb_text_assert(fake_call_answer(call, 0), true, response);
    api_close(c, call);
}

void api_expect_error(struct api_cluster *c, uint32_t i, const char *method, const char *request,
                      int status, const char *text)
{
    struct rpc_call *call = api_unary(c, i, method, request);
    api_assert_status(call, status, text);
    api_close(c, call);
}

void api_expect_next(struct api_cluster *c, struct rpc_call *call, size_t *at, const char *text)
{
    api_wait_messages(c, call, *at + 1);
    pb_text_assert(fake_call_answer(call, (*at)++), true, text);
}

void api_expect_nothing(struct api_cluster *c, struct rpc_call *call, size_t at)
{
    api_cluster_run(c, 200 * NANOS_PER_MS);
    if (call->count != at) {
        pb_text_print(fake_call_answer(call, at));
    }
    assert_int_equal(call->count, at);
}

void api_expect_refusals(struct api_cluster *c, uint32_t i, const struct api_refusal *refusals,
                         size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const struct api_refusal *r = &refusals[k];
        api_expect_error(c, i, r->method, r->request, r->status, r->text);
    }
}

int64_t api_number(struct bytes message, uint32_t number)
{
    struct store_pb pb;
    struct store_pb_field f;
    int64_t v = 0;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        v = f.number == number ? (int64_t)f.value : v;
    }
    return v;
}

int64_t api_header(struct bytes message, uint32_t number)
{
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            return api_number(f.bytes, number);
        }
    }
    fail_msg("there is no header");
    return 0;
}

void api_assert_status(const struct rpc_call *call, int status, const char *text)
{
    assert_true(call->is_finished);
    assert_string_equal(call->text, text);
    assert_int_equal(call->status, status);
}
