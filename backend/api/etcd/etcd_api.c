#include "api/etcd/etcd_api.h"

#include <string.h>

#include "api/etcd/etcd_int.h"

/* Between two pulses, at most: for questions that nobody answered, and leaders that are missed. */
#define API_PULSE (100 * NANOS_PER_MS)

struct etcd_config etcd_config_default(void)
{
    return (struct etcd_config){
        .name = "",
        .version = ETCD_VERSION,
        .quota_bytes = ETCD_QUOTA_BYTES,
        .password_rounds = 100000,
        .election_timeout = NANOS_PER_S,
        .progress_interval = 600 * NANOS_PER_S,
    };
}

nanos etcd_now(const struct etcd_api *api)
{
    return world_now(api->world);
}

void etcd_wake(struct etcd_api *api)
{
    nanos now = etcd_now(api);
    if (api->node && (!api->turn.is_set || api->turn.at > now)) {
        world_timer_set(api->world, &api->turn, now);
    }
}

static void api_on_turn(struct world_timer *timer)
{
    struct etcd_api *api = timer->owner;
    if (api->must_ask_again) {
        api->must_ask_again = false;
        etcd_questions_pulse(api, true);
    }
    etcd_awaits_check(api);
    etcd_barrier_begin(api);
    etcd_readers_turn(api);
    etcd_watches_turn(api);
    etcd_snapshots_turn(api);
}

static void api_on_pulse(struct world_timer *timer)
{
    struct etcd_api *api = timer->owner;
    nanos now = etcd_now(api);
    bool is_leaderless =
        api->leader == NODE_NONE &&
        now - api->leader_since >= ETCD_NO_LEADER_TIMEOUTS * api->cfg.election_timeout;
    etcd_questions_pulse(api, false);
    etcd_awaits_check(api);
    etcd_upkeep_pulse(api);
    etcd_watches_pulse(api, is_leaderless);
    etcd_keepalives_pulse(api, is_leaderless);
    etcd_range_streams_pulse(api);
    world_timer_set(api->world, timer, now + API_PULSE);
}

static const char *api_copy(const char *s)
{
    size_t len = strlen(s) + 1;
    char *copy = mem_alloc(len);
    memcpy(copy, s, len);
    return copy;
}

static void api_free_string(const char *s)
{
    union {
        const char *borrowed;
        char *owned;
    } u = {.borrowed = s};
    mem_free(u.owned);
}

static void api_copy_urls(const char *const *from, const char **to)
{
    memset(to, 0, ETCD_URLS_MAX * sizeof(to[0]));
    for (size_t i = 0; i < ETCD_URLS_MAX && from[i]; i++) {
        to[i] = api_copy(from[i]);
    }
}

static int question_compare(const void *key, const struct store_avl_node *node)
{
    uint64_t sequence = *(const uint64_t *)key;
    uint64_t other = ((const struct etcd_question *)(const void *)node)->sequence;
    return (sequence > other) - (sequence < other);
}

struct etcd_api *etcd_api_open(const struct etcd_config *config)
{
    struct etcd_api *api = mem_alloc_zero(sizeof(*api));
    api->world = config->world;
    api->cfg = *config;
    api->cfg.name = api_copy(config->name);
    api->cfg.version = api_copy(config->version);
    api_copy_urls(config->client_urls, api->cfg.client_urls);
    api_copy_urls(config->peer_urls, api->cfg.peer_urls);
    struct store_link *lists[] = {
        &api->ops,      &api->awaits, &api->readers,    &api->waits,     &api->barriers,
        &api->watchers, &api->due,    &api->keepalives, &api->snapshots, &api->range_streams};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        store_link_init(lists[i]);
    }
    api->questions.compare = question_compare;
    buf_init(&api->scratch);
    api->turn = (struct world_timer){.fire = api_on_turn, .owner = api};
    api->pulse = (struct world_timer){.fire = api_on_pulse, .owner = api};
    /* An answer to a question of an earlier life must not answer one of this. */
    uint8_t seed[sizeof(api->question_sequence)];
    api->world->random->fill(api->world->self, seed, sizeof(seed));
    memcpy(&api->question_sequence, seed, sizeof(seed));
    return api;
}

void etcd_api_attach(struct etcd_api *api, struct node *node)
{
    CHECK(!api->node);
    api->node = node;
    api->leader_since = etcd_now(api);
    world_timer_set(api->world, &api->pulse, etcd_now(api) + API_PULSE);
}

void etcd_api_stop(struct etcd_api *api)
{
    CHECK(store_link_is_alone(&api->watchers) && store_link_is_alone(&api->keepalives) &&
          store_link_is_alone(&api->snapshots));
    world_timer_cancel(api->world, &api->turn);
    world_timer_cancel(api->world, &api->pulse);
    etcd_questions_free(api);
    for (struct store_link *l = api->ops.next; l != &api->ops;) {
        struct etcd_op *op = STORE_LINK_OWNER(l, struct etcd_op, all);
        l = l->next;
        CHECK(!op->call);
        if (!op->is_held) {
            etcd_op_free(op);
        }
    }
    api->node = NULL;
}

void etcd_api_close(struct etcd_api *api)
{
    CHECK(!api->node);
    etcd_ops_free(api);
    etcd_barriers_free(api);
    buf_deinit(&api->scratch);
    api_free_string(api->cfg.name);
    api_free_string(api->cfg.version);
    for (size_t i = 0; i < ETCD_URLS_MAX; i++) {
        api_free_string(api->cfg.client_urls[i]);
        api_free_string(api->cfg.peer_urls[i]);
    }
    mem_free(api);
}

void *etcd_api_owner(const struct etcd_api *api)
{
    return api->cfg.owner;
}

/* --- what the node tells --------------------------------------------------------------------- */

void etcd_api_ready(struct etcd_api *api)
{
    api->is_ready = true;
}

void etcd_api_leader_changed(struct etcd_api *api)
{
    node_id leader = node_status(api->node).leader;
    if (leader != api->leader) {
        api->leader = leader;
        api->leader_since = etcd_now(api);
    }
    api->must_ask_again = true;
    etcd_wake(api);
}

void etcd_api_advanced(struct etcd_api *api)
{
    if (!api->node) {
        return;
    }
    api->must_ask_again = api->must_ask_again || api->questions.count > 0;
    if (api->must_ask_again || !store_link_is_alone(&api->awaits)) {
        etcd_wake(api);
    }
    etcd_watches_turn(api);
}

void etcd_api_store_leaves(struct etcd_api *api)
{
    etcd_readers_restart(api);
    etcd_snapshots_end(api);
    etcd_wake(api);
}

/* --- what the services ask ------------------------------------------------------------------- */

bool etcd_is_witness(const struct etcd_api *api)
{
    if (!api->node || !node_is_ready(api->node)) {
        return false;
    }
    const struct raft_member *own =
        raft_membership_lookup(node_status(api->node).membership, api->cfg.member);
    return own && (own->roles & RAFT_WITNESS);
}

struct store *etcd_store(struct etcd_api *api, enum etcd_error *ret_why)
{
    struct store *store = api->node ? node_store(api->node) : NULL;
    if (store && etcd_is_witness(api)) {
        *ret_why = ETCD_LEARNER;
        return NULL;
    }
    if (!store) {
        *ret_why = ETCD_STOPPED;
    }
    return store;
}

void etcd_header(struct etcd_api *api, int64_t revision, struct buf *b)
{
    bool is_ready = api->node && node_is_ready(api->node);
    size_t header = store_pb_open(b, 1);
    store_pb_put_u64(b, 1, api->cfg.cluster);
    store_pb_put_u64(b, 2, api->cfg.member);
    store_pb_put_i64(b, 3, revision);
    store_pb_put_u64(b, 4, is_ready ? node_status(api->node).term : 0);
    store_pb_close(b, header);
}

bool etcd_wants_leader(const struct rpc_call *call)
{
    struct bytes value;
    return rpc_metadata(call, "hasleader", &value) && value.len == 4 &&
           memcmp(value.data, "true", 4) == 0;
}

bool etcd_lacks_leader(const struct etcd_api *api, const struct rpc_call *call)
{
    return api->leader == NODE_NONE && etcd_wants_leader(call);
}
