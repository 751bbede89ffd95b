#include "tests/support/node_cluster.h"

#include <string.h>

#include "core/base/check.h"
#include "core/chaos/simnet.h"
#include "tests/support/test.h"

#define PORT     2380
#define DISK     (256ULL * 1024 * 1024)
#define PATIENCE (20 * NANOS_PER_S)

static void member_on_halted(void *ctx, enum err error, const char *why)
{
    struct member *m = ctx;
    print_message("# %s halted: %s: %s\n", m->name, err_text(error), why);
    m->halted = true;
}

static void member_on_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct member *m = ctx;
    m->verdict = verdict;
    print_message("# %s ready: %s: %s\n", m->name, recovery_verdict_name(verdict), why);
}

static void member_on_waits(void *ctx, node_id founder, const struct world_endpoint *at)
{
    struct member *m = ctx;
    (void)founder;
    (void)at;
    m->waits++;
}

static void member_on_alarm(void *ctx, enum raft_alarm alarm)
{
    struct member *m = ctx;
    m->alarms |= alarm;
}

static void member_on_refused(void *ctx, node_id peer, const struct world_endpoint *at,
                              const char *why)
{
    struct member *m = ctx;
    (void)at;
    m->refusals++;
    m->refused_why = why;
    m->refused_peer = peer;
}

static void member_on_sent(void *ctx, const struct raft_message *message)
{
    struct member *m = ctx;
    if (m->cluster->oracle) {
        oracle_sent(m->cluster->oracle, m->i, message);
    }
}

static void member_on_applied(void *ctx, const struct raft_entry *e)
{
    struct member *m = ctx;
    if (m->cluster->oracle) {
        oracle_applied_entry(m->cluster->oracle, m->i, e, node_status(m->node).term);
    }
}

void member_start(struct cluster3 *c, uint32_t i)
{
    struct member *m = &c->member[i];
    struct node_config config = node_config_default(i + 1);
    config.dir = "node";
    config.cluster = 77;
    config.founders = &c->founders;
    config.port = c->n > 1 ? PORT : 0;
    config.peer_count = c->n;
    config.segment_bytes = 16 * 1024 * 1024;
    if (c->chunk_bytes > 0) {
        config.raft.chunk_bytes = c->chunk_bytes;
        config.raft.max_chunks = 1;
    }
    if (c->batch_bytes > 0) {
        config.batch_bytes = c->batch_bytes;
        config.reserve_bytes = c->batch_bytes / 4;
        config.segment_bytes = 2 * c->batch_bytes;
    }
    if (c->cached_bytes > 0) {
        config.raft.max_cached_bytes = c->cached_bytes;
        config.raft.max_uncommitted_bytes = c->cached_bytes;
        config.raft.max_append_bytes = c->cached_bytes / 4;
    }
    config.scrub_bytes_per_s = c->scrub_bytes_per_s;
    config.scrub_pause = NANOS_PER_S;
    config.is_member = m->is_member;
    config.asks_founders = c->asks_founders;
    config.feature_level = c->feature_level > 0 ? c->feature_level : config.feature_level;
    config.program_level = m->program_level > 0 ? m->program_level : config.program_level;
    config.snapshot_entries = c->snapshot_entries;
    config.tail_entries = 10;
    config.history_hot_bytes = 1000;
    config.history_segment_bytes = 2000;
    for (uint32_t k = 0; k < c->n; k++) {
        config.peers[k].id = k + 1;
        memcpy(config.peers[k].at.host, c->member[k].name, sizeof(c->member[k].name));
        config.peers[k].at.port = PORT;
    }
    m->halted = false;
    m->alarms = 0;
    struct node_events events = {.ctx = m,
                                 .ready = member_on_ready,
                                 .halted = member_on_halted,
                                 .waits = member_on_waits,
                                 .alarm = member_on_alarm,
                                 .refused = member_on_refused,
                                 .sent = member_on_sent,
                                 .applied = member_on_applied};
    m->node = node_open(simhost_world(m->host), &config, &events);
    if (c->oracle) {
        oracle_opened(c->oracle, i, m->node, m->lost);
        m->lost = ORACLE_LOST_NOTHING;
    }
}

void cluster3_init(struct cluster3 *c, uint64_t seed, uint32_t n)
{
    memset(c, 0, sizeof(*c));
    CHECK(n <= NODES_MAX);
    c->n = n;
    c->sim = simworld_new(seed);
    c->oracle = oracle_new(n);
    c->snapshot_entries = 1000000;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(c->member[i].name, "host-0", 7);
        c->member[i].name[5] = (char)('0' + i);
        c->member[i].cluster = c;
        c->member[i].i = i;
        c->member[i].host = simhost_new(c->sim, c->member[i].name, DISK);
        raft_membership_insert(&c->founders, i + 1, RAFT_VOTER);
    }
}

void cluster3_start(struct cluster3 *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        member_start(c, i);
    }
}

void cluster3_unwatch(struct cluster3 *c)
{
    oracle_free(c->oracle);
    c->oracle = NULL;
}

static void cluster3_assert_sound(struct cluster3 *c)
{
    if (!c->oracle) {
        return;
    }
    oracle_full(c->oracle, simworld_now(c->sim));
    const struct oracle_violation *v = oracle_violation(c->oracle);
    if (v) {
        print_message("# %s, on %s: %s\n", v->invariant, c->member[v->host].name, v->text);
    }
    assert_null(v);
}

void cluster3_deinit(struct cluster3 *c)
{
    cluster3_assert_sound(c);
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].node) {
            simhost_kill(c->member[i].host);
            node_close(c->member[i].node);
        }
    }
    simworld_free(c->sim);
    oracle_free(c->oracle);
}

void member_kill(struct cluster3 *c, uint32_t i, bool power)
{
    struct member *m = &c->member[i];
    if (power) {
        simhost_cut_power(m->host, 1, 2);
    } else {
        simhost_kill(m->host);
    }
    if (c->oracle) {
        oracle_closed(c->oracle, i);
    }
    node_close(m->node);
    m->node = NULL;
}

void member_lose_disk(struct cluster3 *c, uint32_t i)
{
    member_kill(c, i, true);
    simhost_replace_disk(c->member[i].host, simdisk_new(DISK));
    c->member[i].is_member = true;
    c->member[i].lost = ORACLE_LOST_ALL;
}

int cluster3_leader(const struct cluster3 *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const struct node *node = c->member[i].node;
        if (node && node_is_ready(node) && node_status(node).role == RAFT_LEADER) {
            return (int)i;
        }
    }
    return -1;
}

bool cluster3_step(struct cluster3 *c)
{
    bool stepped = simworld_step(c->sim);
    for (uint32_t i = 0; c->oracle && i < c->n; i++) {
        oracle_step(c->oracle, i, simworld_now(c->sim));
    }
    return stepped;
}

void cluster3_run(struct cluster3 *c, nanos span)
{
    nanos until = simworld_now(c->sim) + span;
    while (c->oracle && simworld_now(c->sim) < until && cluster3_step(c)) {
    }
    simworld_run(c->sim, u64_max(until, simworld_now(c->sim)));
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].node) {
            node_check(c->member[i].node);
        }
    }
}

uint32_t cluster3_elect(struct cluster3 *c)
{
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (cluster3_leader(c) < 0 && simworld_now(c->sim) < until) {
        cluster3_run(c, 10 * NANOS_PER_MS);
    }
    int leader = cluster3_leader(c);
    for (uint32_t i = 0; i < c->n && leader < 0; i++) {
        struct node *node = c->member[i].node;
        print_message("# %s: %s\n", c->member[i].name,
                      !node                  ? "down"
                      : node_is_ready(node)  ? raft_role_name(node_status(node).role)
                      : node_is_halted(node) ? "halted"
                                             : "recovering");
    }
    assert_true(leader >= 0);
    return (uint32_t)leader;
}

/* --- clients --------------------------------------------------------------------------------- */

static void put_on_done(struct node_request *request)
{
    struct put *p = request->owner;
    p->done = true;
    p->result = request->result;
    if (request->result == OK) {
        assert_int_equal(request->status, STORE_OK);
    }
}

static void put_propose(struct put *p, struct node *node, enum store_kind kind, struct bytes body)
{
    p->request.kind = kind;
    p->request.body = body;
    p->request.user = (struct bytes){0};
    p->request.auth_revision = 0;
    p->request.done = put_on_done;
    p->request.owner = p;
    assert_int_equal(node_propose(node, &p->request), OK);
}

void put_begin(struct put *p, struct node *node, const char *key, uint64_t value)
{
    memset(p, 0, sizeof(*p));
    buf_init(&p->body);
    struct store_put_request put = {
        .key = {(const uint8_t *)key, strlen(key)},
        .value = {(const uint8_t *)&value, sizeof(value)},
    };
    store_put_encode(&p->body, &put);
    put_propose(p, node, STORE_KIND_PUT, buf_view(&p->body));
}

void put_begin_kind(struct put *p, struct node *node, enum store_kind kind, struct bytes body)
{
    memset(p, 0, sizeof(*p));
    buf_init(&p->body);
    put_propose(p, node, kind, body);
}

void put_wait(struct cluster3 *c, struct put *p)
{
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (!p->done && simworld_now(c->sim) < until) {
        cluster3_run(c, 5 * NANOS_PER_MS);
    }
    assert_true(p->done);
    buf_deinit(&p->body);
}

enum err cluster3_try_put(struct cluster3 *c, uint32_t at, const char *key, uint64_t value)
{
    struct put p;
    put_begin(&p, c->member[at].node, key, value);
    put_wait(c, &p);
    return p.result;
}

void cluster3_put(struct cluster3 *c, uint32_t at, const char *key, uint64_t value)
{
    assert_int_equal(cluster3_try_put(c, at, key, value), OK);
}

struct get {
    struct node_read read;
    bool done;
    enum err result;
};

static void get_on_done(struct node_read *read)
{
    struct get *g = read->owner;
    g->done = true;
    g->result = read->result;
}

enum err cluster3_try_get(struct cluster3 *c, uint32_t at)
{
    struct get g = {.read = {.done = get_on_done, .owner = &g}};
    assert_int_equal(node_read(c->member[at].node, &g.read), OK);
    nanos until = simworld_now(c->sim) + PATIENCE;
    while (!g.done && simworld_now(c->sim) < until) {
        cluster3_run(c, 5 * NANOS_PER_MS);
    }
    assert_true(g.done);
    return g.result;
}

bool cluster3_get(struct cluster3 *c, uint32_t at, const char *key, uint64_t value)
{
    assert_int_equal(cluster3_try_get(c, at), OK);
    struct store_range_request range = {.key = {(const uint8_t *)key, strlen(key)}};
    struct buf request;
    struct buf response;
    buf_init(&request);
    buf_init(&response);
    store_range_encode(&request, &range);
    int64_t revision;
    assert_int_equal(
        store_range_read(node_store(c->member[at].node), buf_view(&request), &revision, &response),
        STORE_OK);
    bool found = response.len >= sizeof(value) &&
                 memmem(response.data, response.len, &value, sizeof(value)) != NULL;
    buf_deinit(&request);
    buf_deinit(&response);
    return found;
}

uint64_t value_of(uint64_t i)
{
    return 0xa5c3000000000000ULL | (i * 2654435761ULL);
}
